// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Events of files, from the kernel's functions: each program in two forms, for
 * trampolines (fentry, fexit) and for probes (kprobe, kretprobe).
 */
#include "file_operations.h"
#include "system_registers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct renamedata { /* since 5.12, and 5.10.220 */
	struct dentry *old_dentry;
	struct dentry *new_dentry;
	void *old_mnt_userns; /* 5.12 to 6.2 */
};

struct mnt_idmap { /* since 6.2 */
	int count;
};

struct iattr {
	unsigned int ia_valid;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs___function {
	unsigned long di, si, dx, cx, ax;
};
#define PROBED_0(at) BPF_CORE_READ((struct pt_regs___function *)at, di)
#define PROBED_1(at) BPF_CORE_READ((struct pt_regs___function *)at, si)
#define PROBED_2(at) BPF_CORE_READ((struct pt_regs___function *)at, dx)
#define PROBED_3(at) BPF_CORE_READ((struct pt_regs___function *)at, cx)
#define PROBED_RESULT(at) BPF_CORE_READ((struct pt_regs___function *)at, ax)
#else
#define PROBED_0(at) BPF_CORE_READ(at, user_regs.regs[0])
#define PROBED_1(at) BPF_CORE_READ(at, user_regs.regs[1])
#define PROBED_2(at) BPF_CORE_READ(at, user_regs.regs[2])
#define PROBED_3(at) BPF_CORE_READ(at, user_regs.regs[3])
#define PROBED_RESULT(at) PROBED_0(at)
#endif

#pragma clang attribute pop

/* include/linux/fs.h */
#define ATTR_MODE (1 << 0)
#define ATTR_UID (1 << 1)
#define ATTR_GID (1 << 2)

/* Since 5.12 a user namespace or an idmap of the mount comes first (second in
 * vfs_link()). The structure in which vfs_rename() has its arguments came with
 * it, but went to older kernels without it. */
#define SHIFTED                                                                           \
	(bpf_core_type_exists(struct mnt_idmap) ||                                        \
	 bpf_core_field_exists(((struct renamedata *)0)->old_mnt_userns))
#define IN_STRUCTURE bpf_core_type_exists(struct renamedata)

/*
 * Arguments of a trampoline. The kernel wants each read at an offset that stands
 * in the instruction; the compiler must not make one read with an offset that it
 * computes of two.
 */
#define TRAMPOLINE(at, offset)                                                            \
	({                                                                                \
		__u64 value;                                                              \
		asm volatile("%0 = *(u64 *)(%1 + " offset ")" : "=r"(value) : "r"(at));   \
		value;                                                                    \
	})
#define TRAMPOLINE_0(at) TRAMPOLINE(at, "0")
#define TRAMPOLINE_1(at) TRAMPOLINE(at, "8")
#define TRAMPOLINE_2(at) TRAMPOLINE(at, "16")
#define TRAMPOLINE_3(at) TRAMPOLINE(at, "24")
#define TRAMPOLINE_4(at) TRAMPOLINE(at, "32")
#define TRAMPOLINE_5(at) TRAMPOLINE(at, "40")
#define TRAMPOLINE_6(at) TRAMPOLINE(at, "48")

#ifdef AMP_TRAMPOLINES
static long (*get_func_ret)(void *ctx, __u64 *value) = (void *)BPF_FUNC_get_func_ret;
#endif

/* The result comes after the arguments, of which there are m if changed, else n,
 * until a helper came that knows. */
#define TRAMPOLINE_RESULT(at, n, m, changed)                                              \
	({                                                                                \
		__u64 value = 0;                                                          \
		if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_func_ret))  \
			get_func_ret(at, &value);                                         \
		else if (changed)                                                         \
			value = TRAMPOLINE_##m(at);                                       \
		else                                                                      \
			value = TRAMPOLINE_##n(at);                                       \
		value;                                                                    \
	})

/* Negative if an int, or a pointer that may be an error, says that it failed. (An
 * int's upper half holds anything.) */
static __always_inline __s64 failed(__u64 result)
{
	return (__u32)result > (__u32)-4096 ? -1 : 0;
}

/* As failed(), for a count of bytes, of which there must be some. */
static __always_inline __s64 none(__u64 bytes)
{
	return (__s64)bytes > 0 ? 0 : -1;
}

/*
 * The programs of a place: what a trampoline's does there, and what a probe's. A
 * trampoline's can be preempted, so that there is a second one, see mine(). They are
 * three objects: a host needs one or two of them, and would have to read all of one.
 */
#ifdef AMP_TRAMPOLINES
#define AT(name, function, kind, hook, do_trampoline, do_probe)                           \
	SEC("fentry/" function)                                                           \
	int PROGRAM(amp_##name##_fentry)(__u64 *at)                                       \
	{                                                                                 \
		if (mine(THIS, kind, hook))                                               \
			do_trampoline;                                                    \
		return 0;                                                                 \
	}

#define AFTER(name, function, kind, hook, n, m, changed, verdict)                         \
	SEC("fexit/" function)                                                            \
	int PROGRAM(amp_##name##_fexit)(__u64 *at)                                        \
	{                                                                                 \
		if (mine(THIS, kind, hook))                                               \
			end_operation(kind, verdict(TRAMPOLINE_RESULT(at, n, m, changed))); \
		return 0;                                                                 \
	}
#else
#define AT(name, function, kind, hook, do_trampoline, do_probe)                           \
	SEC("kprobe/" function)                                                           \
	int amp_##name##_kprobe(struct pt_regs *at)                                       \
	{                                                                                 \
		do_probe;                                                                 \
		return 0;                                                                 \
	}

#define AFTER(name, function, kind, hook, n, m, changed, verdict)                         \
	SEC("kretprobe/" function)                                                        \
	int amp_##name##_kretprobe(struct pt_regs *at)                                    \
	{                                                                                 \
		end_operation(kind, verdict(PROBED_RESULT(at)));                          \
		return 0;                                                                 \
	}
#endif

/* Files. */

AT(open, "security_file_open", AMP_FILE_CREATE, 1,
   opened((struct file *)TRAMPOLINE_0(at)), opened((struct file *)PROBED_0(at)))

AT(fput, "__fput", AMP_FILE_WRITE, 1,
   closing((struct file *)TRAMPOLINE_0(at)), closing((struct file *)PROBED_0(at)))

AT(mmap, "security_mmap_file", AMP_FILE_MAP, 1,
   mapped((struct file *)TRAMPOLINE_0(at), TRAMPOLINE_1(at)),
   mapped((struct file *)PROBED_0(at), PROBED_1(at)))

/* Names. */

AT(want_write, "mnt_want_write", AMP_FILE_CREATE, 2,
   will_write(TRAMPOLINE_0(at)), will_write(PROBED_0(at)))

static __always_inline void will_write_file(struct file *file)
{
	will_write((__u64)BPF_CORE_READ(file, f_path.mnt));
}

AT(want_write_file, "mnt_want_write_file", AMP_FILE_ATTRIBUTES, 3,
   will_write_file((struct file *)TRAMPOLINE_0(at)), will_write_file((struct file *)PROBED_0(at)))

/* The dentry is argument n before 5.12, m since. */
#define NAME(name, function, kind, hook, n, m)                                            \
	AT(name, function, kind, hook,                                                    \
	   begin_operation(kind, (struct dentry *)(SHIFTED ? TRAMPOLINE_##m(at) : TRAMPOLINE_##n(at)), 0), \
	   begin_operation(kind, (struct dentry *)(SHIFTED ? PROBED_##m(at) : PROBED_##n(at)), 0))

NAME(unlink, "vfs_unlink", AMP_FILE_DELETE, 1, 1, 2)
AFTER(unlink, "vfs_unlink", AMP_FILE_DELETE, 2, 3, 4, SHIFTED, failed)

NAME(rmdir, "vfs_rmdir", AMP_FILE_DELETE, 3, 1, 2)
AFTER(rmdir, "vfs_rmdir", AMP_FILE_DELETE, 4, 2, 3, SHIFTED, failed)

AT(rmdir_early, "security_inode_rmdir", AMP_FILE_DELETE, 5,
   begin_rmdir((struct dentry *)TRAMPOLINE_1(at)), begin_rmdir((struct dentry *)PROBED_1(at)))
AT(rmdir_late, "d_delete", AMP_FILE_DELETE, 6,
   end_rmdir((struct dentry *)TRAMPOLINE_0(at)), end_rmdir((struct dentry *)PROBED_0(at)))

NAME(mkdir, "vfs_mkdir", AMP_FILE_CREATE, 3, 1, 2)
AFTER(mkdir, "vfs_mkdir", AMP_FILE_CREATE, 4, 3, 4, SHIFTED, failed)

NAME(mknod, "vfs_mknod", AMP_FILE_CREATE, 5, 1, 2)
AFTER(mknod, "vfs_mknod", AMP_FILE_CREATE, 6, 4, 5, SHIFTED, failed)

NAME(symlink, "vfs_symlink", AMP_FILE_CREATE, 7, 1, 2)
AFTER(symlink, "vfs_symlink", AMP_FILE_CREATE, 8, 3, 4, SHIFTED, failed)

AT(link, "vfs_link", AMP_FILE_LINK, 1,
   begin_operation(AMP_FILE_LINK, (struct dentry *)TRAMPOLINE_0(at), SHIFTED ? TRAMPOLINE_3(at) : TRAMPOLINE_2(at)),
   begin_operation(AMP_FILE_LINK, (struct dentry *)PROBED_0(at), SHIFTED ? PROBED_3(at) : PROBED_2(at)))
AFTER(link, "vfs_link", AMP_FILE_LINK, 2, 4, 5, SHIFTED, failed)

static __always_inline void renamed_by(struct renamedata *data)
{
	begin_operation(AMP_FILE_RENAME, BPF_CORE_READ(data, old_dentry),
			(__u64)BPF_CORE_READ(data, new_dentry));
}

#define RENAME_TRAMPOLINE                                                                 \
	{                                                                                 \
		if (IN_STRUCTURE)                                                            \
			renamed_by((struct renamedata *)TRAMPOLINE_0(at));                \
		else                                                                      \
			begin_operation(AMP_FILE_RENAME, (struct dentry *)TRAMPOLINE_1(at), TRAMPOLINE_3(at)); \
	}
#define RENAME_PROBE                                                                      \
	{                                                                                 \
		if (IN_STRUCTURE)                                                            \
			renamed_by((struct renamedata *)PROBED_0(at));                    \
		else                                                                      \
			begin_operation(AMP_FILE_RENAME, (struct dentry *)PROBED_1(at), PROBED_3(at)); \
	}
AT(rename, "vfs_rename", AMP_FILE_RENAME, 1, RENAME_TRAMPOLINE, RENAME_PROBE)
AFTER(rename, "vfs_rename", AMP_FILE_RENAME, 2, 6, 1, IN_STRUCTURE, failed)

/* Mode and owner. */

static __always_inline void attributes(__u64 dentry, __u64 attr)
{
	__u32 valid = BPF_CORE_READ((struct iattr *)attr, ia_valid);
	__u32 thread = bpf_get_current_pid_tgid();

	if (valid & (ATTR_MODE | ATTR_UID | ATTR_GID))
		begin_operation(AMP_FILE_ATTRIBUTES, (struct dentry *)dentry, 0);
	else
		within(thread); /* to be taken back at its end */
}

AT(attributes, "notify_change", AMP_FILE_ATTRIBUTES, 1,
   attributes(SHIFTED ? TRAMPOLINE_1(at) : TRAMPOLINE_0(at), SHIFTED ? TRAMPOLINE_2(at) : TRAMPOLINE_1(at)),
   attributes(SHIFTED ? PROBED_1(at) : PROBED_0(at), SHIFTED ? PROBED_2(at) : PROBED_1(at)))
AFTER(attributes, "notify_change", AMP_FILE_ATTRIBUTES, 2, 3, 4, SHIFTED, failed)

/* Copies: from file, its position, to file. */

static __always_inline void copying(__u64 from, __u64 to)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct amp_operation op = {};

	if (!wanted(AMP_FILE_COPY) || within(thread))
		return;
	op.time = bpf_ktime_get_boot_ns();
	op.kind = AMP_FILE_COPY;
	op.dentry = from;
	op.target = to;
	if (bpf_map_update_elem(&operations, &thread, &op, BPF_ANY))
		count(AMP_FILE_COPY, AMP_MISSED);
}

#define COPY(name, function, hook)                                                        \
	AT(name, function, AMP_FILE_COPY, hook,                                           \
	   copying(TRAMPOLINE_0(at), TRAMPOLINE_2(at)), copying(PROBED_0(at), PROBED_2(at))) \
	AFTER(name, function, AMP_FILE_COPY, hook + 1, 6, 6, SHIFTED, none)

COPY(copy_range, "vfs_copy_file_range", 1)
COPY(splice, "do_splice_direct", 3)
COPY(clone, "vfs_clone_file_range", 5)
