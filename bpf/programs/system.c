// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What changes the system or the powers of a process: modules and eBPF programs
 * that are loaded, processes that take hold of others, changes of users.
 */
#include "filter.h"
#include "system_calls.h"
#include "system_kernel.h"
#include "system_record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void clear(struct amp_system_record *r)
{
	r->subtype = 0;
	r->other_pid = 0;
	r->old_uid = 0;
	r->old_euid = 0;
	r->name_size = 0;
	r->padding[0] = 0;
	r->padding[1] = 0;
	r->padding[2] = 0;
}

/* begin() of filter.h for the kinds of system_record.h. */
static __noinline struct amp_room *begin_system(enum amp_kind kind)
{
	struct amp_room *room = begin(kind);

	if (!room)
		return 0;
	clear(&room->system);
	room->size = sizeof(room->system);
	return room;
}

static __always_inline void put_name(struct amp_room *room, const char *name, __u32 max)
{
	struct amp_system_record *r = &room->system;
	long size = bpf_probe_read_kernel_str(room->record + sizeof(*r), max, name);

	if (size < 1 || size > AMP_NAME_MAX)
		return;
	r->name_size = size - 1;
	room->size = sizeof(*r) + size - 1;
}

SEC("raw_tracepoint/module_load")
int amp_module(struct bpf_raw_tracepoint_args *ctx)
{
	struct module *module = (struct module *)ctx->args[0];
	struct amp_room *room = begin_system(AMP_MODULE_LOAD);

	if (!room)
		return 0;
	put_name(room, (const char *)&module->name, sizeof(module->name));
	send(room);
	return 0;
}

static __noinline void bpf_loaded(struct bpf_prog *prog)
{
	struct amp_room *room = begin_system(AMP_BPF_LOAD);
	struct bpf_prog_aux *aux;

	if (!room)
		return;
	room->system.subtype = BPF_CORE_READ(prog, type);
	aux = BPF_CORE_READ(prog, aux);
	put_name(room, (const char *)&aux->name, sizeof(aux->name));
	send(room);
}

/* Where the kernel gives a program that was loaded, and each of its functions, a
 * name among its symbols. */
static __always_inline void named(struct bpf_prog *prog)
{
	if (!BPF_CORE_READ_BITFIELD_PROBED(prog, is_func))
		bpf_loaded(prog);
}

SEC("fentry/bpf_prog_kallsyms_add")
int amp_bpf_fentry(__u64 *ctx)
{
	named((struct bpf_prog *)ctx[0]);
	return 0;
}

SEC("kprobe/bpf_prog_kallsyms_add")
int amp_bpf_kprobe(struct pt_regs *ctx)
{
	named((struct bpf_prog *)FUNCTION_1(ctx));
	return 0;
}

#define BPF_PROG_LOAD 5

/* The program is found by its descriptor and not in the arguments: those can be
 * changed in the meantime. */
SEC("raw_tracepoint/sys_exit")
int amp_bpf_call(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct file___calls *file;

	if ((__u32)CALL_1(regs) != BPF_PROG_LOAD)
		return 0;
	file = file_of((__s64)ctx->args[1]);
	if (file)
		bpf_loaded(BPF_CORE_READ(file, private_data));
	return 0;
}

static __noinline void traced(__u32 request, __u32 target)
{
	struct amp_room *room = begin_system(AMP_TRACE);
	struct amp_system_record *r;

	if (!room)
		return;
	r = &room->system;
	r->subtype = request;
	r->other_pid = target;
	send(room);
}

#define AMP_PID_LEVELS 5 /* of a tree with 64 branches each: 30 bits of pid */

/* What the namespace of the running process knows under a pid, as task's tgid
 * in the initial one; 0 if it knows no such process. */
static __noinline __u32 tgid_of(__u32 pid)
{
	struct task_struct___system *task = (void *)bpf_get_current_task();
	struct pid *own = BPF_CORE_READ(task, thread_pid), *found;
	struct pid_namespace *ns = 0;
	struct hlist_node *link;
	__u32 level = BPF_CORE_READ(own, level);
	__u64 entry;

	bpf_probe_read_kernel(&ns, sizeof(ns),
			      (char *)own + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, ns));
	entry = (__u64)BPF_CORE_READ(ns, idr.idr_rt.xa_head);
	for (int i = 0; i < AMP_PID_LEVELS && (entry & 3) == 2; i++) {
		struct xa_node *node = (struct xa_node *)(entry - 2);
		__u32 at = pid >> (BPF_CORE_READ(node, shift) & 31);

		if (at > 63 && i == 0)
			return 0;
		bpf_probe_read_kernel(&entry, sizeof(entry),
				      (char *)node + bpf_core_field_offset(struct xa_node, slots) +
					      (at & 63) * sizeof(void *));
	}
	found = (struct pid *)entry;
	if (!found || entry & 3)
		return 0;
	link = BPF_CORE_READ(found, tasks[0].first);
	if (!link)
		return 0;
	task = (void *)((char *)link - bpf_core_field_offset(struct task_struct___system, pid_links));
	return BPF_CORE_READ(task, tgid);
}

static __always_inline __u32 self(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* Where the kernel tells its process connector of a process that was taken hold
 * of. It tells of one that is let go too. */
static __noinline void attached(struct task_struct___system *task, __u32 request)
{
	if (request != PTRACE_ATTACH)
		return;
	if (BPF_CORE_READ(task, ptrace) & PT_SEIZED)
		request = PTRACE_SEIZE;
	traced(request, BPF_CORE_READ(task, tgid));
}

SEC("fentry/proc_ptrace_connector")
int amp_attach_fentry(__u64 *ctx)
{
	attached((struct task_struct___system *)ctx[0], ctx[1]);
	return 0;
}

SEC("kprobe/proc_ptrace_connector")
int amp_attach_kprobe(struct pt_regs *ctx)
{
	attached((struct task_struct___system *)FUNCTION_1(ctx), FUNCTION_2(ctx));
	return 0;
}

SEC("fentry/security_ptrace_traceme")
int amp_traceme_fentry(__u64 *ctx)
{
	traced(PTRACE_TRACEME, self());
	return 0;
}

SEC("kprobe/security_ptrace_traceme")
int amp_traceme_kprobe(struct pt_regs *ctx)
{
	traced(PTRACE_TRACEME, self());
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_ptrace_call(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u64 request = CALL_1(regs);

	if (ctx->args[1])
		return 0;
	if (request == PTRACE_TRACEME)
		traced(request, self());
	if (request == PTRACE_ATTACH || request == PTRACE_SEIZE)
		traced(request, tgid_of(CALL_2(regs)));
	return 0;
}

static __always_inline void wrote(struct pt_regs *regs, __s64 result)
{
	if (result > 0)
		traced(AMP_PTRACE_POKEDATA, tgid_of(CALL_1(regs)));
}

/* The registers of calls that run, by thread: at its end a function's arguments
 * are gone. (With fexit they would not be, but types of kernels may name the
 * function twice, as that of 6.1 does, and then none can be chosen.) */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} vm_writes SEC(".maps");

SEC("kprobe/" AMP_CALL_PREFIX "process_vm_writev")
int amp_vm_write_kprobe(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid(), regs = FUNCTION_1(ctx);

	bpf_map_update_elem(&vm_writes, &thread, &regs, BPF_ANY);
	return 0;
}

SEC("kretprobe/" AMP_CALL_PREFIX "process_vm_writev")
int amp_vm_write_kretprobe(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *regs = bpf_map_lookup_elem(&vm_writes, &thread);

	if (regs)
		wrote((struct pt_regs *)*regs, RESULT(ctx));
	bpf_map_delete_elem(&vm_writes, &thread);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_vm_write_call(struct bpf_raw_tracepoint_args *ctx)
{
	wrote((struct pt_regs *)ctx->args[0], ctx->args[1]);
	return 0;
}

/* Who a process is. */
struct amp_ids {
	__u32 uid, euid, suid, fsuid;
	__u32 gid, egid, sgid, fsgid;
};

static __always_inline struct amp_ids ids_of(const struct cred___ids *c)
{
	struct amp_ids ids = {
		.uid = BPF_CORE_READ(c, uid.val),
		.euid = BPF_CORE_READ(c, euid.val),
		.suid = BPF_CORE_READ(c, suid.val),
		.fsuid = BPF_CORE_READ(c, fsuid.val),
		.gid = BPF_CORE_READ(c, gid.val),
		.egid = BPF_CORE_READ(c, egid.val),
		.sgid = BPF_CORE_READ(c, sgid.val),
		.fsgid = BPF_CORE_READ(c, fsgid.val),
	};

	return ids;
}

static __always_inline int same_ids(const struct amp_ids *a, const struct amp_ids *b)
{
	return a->uid == b->uid && a->euid == b->euid && a->suid == b->suid &&
	       a->fsuid == b->fsuid && a->gid == b->gid && a->egid == b->egid &&
	       a->sgid == b->sgid && a->fsgid == b->fsgid;
}

/*
 * Changes that were told just now. The kernel changes threads one by one, and
 * the C library does so for all of a process; and there are servers that change
 * to a user and back for each request.
 */
struct amp_change {
	struct amp_ids ids; /* afterwards */
	__u32 pid;
};

struct amp_changed {
	__u64 time;
	__u64 merged;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct amp_change);
	__type(value, struct amp_changed);
} changes SEC(".maps");

static __noinline void changed(const struct amp_ids *old, const struct amp_ids *new)
{
	struct amp_activity *a;
	struct amp_system_record *r;
	struct amp_changed now = {}, *last;
	struct amp_change key = { .ids = *new, .pid = self() };
	struct amp_room *room;
	__u32 merged = 0;

	if (same_ids(old, new) || !wanted(AMP_CREDENTIALS))
		return;
	now.time = bpf_ktime_get_boot_ns();
	last = bpf_map_lookup_elem(&changes, &key);
	/* A thread on another processor may have told since the time was read. */
	if (last && (__s64)(now.time - last->time) < (__s64)AMP_WINDOW) {
		__sync_fetch_and_add(&last->merged, 1);
		count(AMP_CREDENTIALS, AMP_MERGED);
		return;
	}
	if (last) {
		merged = last->merged;
		bpf_map_delete_elem(&changes, &key);
	}
	/* Of threads that come here at once, one tells. */
	if (bpf_map_update_elem(&changes, &key, &now, BPF_NOEXIST) == -EEXIST) {
		count(AMP_CREDENTIALS, AMP_MERGED);
		return;
	}
	/* The exclusion of users goes by what is remembered. */
	a = activity_of(current_task());
	if (a)
		a->uid = new->uid;
	room = begin_system(AMP_CREDENTIALS);
	if (!room)
		return;
	r = &room->system;
	r->head.merged = merged;
	r->head.uid = new->uid;
	r->head.euid = new->euid;
	r->old_uid = old->uid;
	r->old_euid = old->euid;
	send(room);
}

static __always_inline const struct cred___ids *own_cred(void)
{
	struct task_struct___system *task = (void *)bpf_get_current_task();

	return (const struct cred___ids *)BPF_CORE_READ(task, real_cred);
}

/* An exec that changes the user is told by its own event. */
static __always_inline int executes(void)
{
	struct task_struct___system *task = (void *)bpf_get_current_task();

	return bpf_core_field_exists(task->in_execve) &&
	       BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}

static __always_inline void committed(const struct cred___ids *cred)
{
	struct amp_ids old = ids_of(own_cred()), new = ids_of(cred);

	if (!executes())
		changed(&old, &new);
}

SEC("fentry/commit_creds")
int amp_credentials_fentry(__u64 *ctx)
{
	committed((const struct cred___ids *)ctx[0]);
	return 0;
}

SEC("kprobe/commit_creds")
int amp_credentials_kprobe(struct pt_regs *ctx)
{
	committed((const struct cred___ids *)FUNCTION_1(ctx));
	return 0;
}

/* Who a thread was before the call that it is in. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct amp_ids);
} before_call SEC(".maps");

SEC("raw_tracepoint/sys_enter")
int amp_credentials_enter(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct amp_ids ids = ids_of(own_cred());

	bpf_map_update_elem(&before_call, &thread, &ids, BPF_ANY);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_credentials_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct amp_ids *kept = bpf_map_lookup_elem(&before_call, &thread);
	struct amp_ids old, new = ids_of(own_cred());

	if (!kept)
		return 0;
	old = *kept;
	bpf_map_delete_elem(&before_call, &thread);
	changed(&old, &new);
	return 0;
}
