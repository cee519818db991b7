/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs read of the kernel, named for the compiler: it is compiled with
 * the header package of the kernel, and of its debug information the layouts are
 * made. Nothing of it runs. For each structure, enumeration and typedef that a
 * program in bpf/programs relocates there is a line WANTED here; a test proves that.
 *
 * Pointers only: a structure that the headers do not define must not break the
 * compilation. Headers that not all kernels have stand behind __has_include.
 */
#include <linux/module.h>
#include <linux/binfmts.h>
#include <linux/bpf.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mm_types.h>
#include <linux/mount.h>
#include <linux/net.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/tcp.h>
#include <linux/xarray.h>
#include <net/inet_sock.h>
#include <net/sock.h>

#define WANTED(kind, name) kind name *amp_wanted_##name

/*
 * struct mount is private to the kernel's fs/mount.h. Its front has been this since
 * Linux 3.3, where it came to be, and is so in 7.2; a kernel that shuffles it
 * (CONFIG_RANDSTRUCT) is refused before it comes to this. bpf/layout/prove.go asks the
 * running kernel whether it holds there.
 */
struct mount {
	struct hlist_node mnt_hash;
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

WANTED(struct, bpf_prog);
WANTED(struct, bpf_prog_aux);
WANTED(struct, cred);
WANTED(struct, dentry);
WANTED(struct, fdtable);
WANTED(struct, file);
WANTED(struct, files_struct);
WANTED(struct, fs_struct);
WANTED(struct, iattr);
WANTED(struct, inet_sock);
WANTED(struct, inode);
WANTED(struct, linux_binprm);
WANTED(struct, mm_struct);
WANTED(struct, module);
WANTED(struct, mount);
WANTED(struct, msghdr);
WANTED(struct, path);
WANTED(struct, pid);
WANTED(struct, pid_namespace);
WANTED(struct, pt_regs);
WANTED(struct, qstr);
WANTED(struct, renamedata);
WANTED(struct, signal_struct);
WANTED(struct, sk_buff);
WANTED(struct, sock);
WANTED(struct, socket);
WANTED(struct, super_block);
WANTED(struct, task_struct);
WANTED(struct, tcp_sock);
WANTED(struct, upid);
WANTED(struct, vfsmount);
WANTED(struct, xa_node);
WANTED(enum, bpf_func_id);

/*
 * struct mnt_idmap is private to fs/mnt_idmapping.c. All that is asked is whether the
 * kernel has it: as struct vfsmount points to it then, it needs no line here (see
 * opaque in dwarf.go). MENTIONED(struct, mnt_idmap)
 */

/*
 * A tracepoint is known by the typedef that include/trace/bpf_probe.h makes where the
 * kernel defines it. The same is made here of the headers that declare them.
 */
#ifdef CONFIG_BPF_EVENTS
#include <trace/events/sock.h>
#undef _TRACE_SOCK_H
#define TRACE_HEADER_MULTI_READ
#undef PARAMS
#define PARAMS(args...) args
#undef TP_PROTO
#define TP_PROTO(args...) args
#undef DECLARE_EVENT_CLASS
#define DECLARE_EVENT_CLASS(...)
#undef DEFINE_EVENT
#define DEFINE_EVENT(template, name, proto, args)                                      \
	typedef void (*btf_trace_##name)(void *__data, PARAMS(proto));                 \
	btf_trace_##name *amp_wanted_btf_trace_##name
#undef TRACE_EVENT
#define TRACE_EVENT(name, proto, ...) DEFINE_EVENT(, name, PARAMS(proto), )
#include <trace/events/sock.h>
#endif
/* MENTIONED(typedef, btf_trace_sock_send_length): since 6.4 */
