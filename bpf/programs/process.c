// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Start and end of processes, from raw tracepoints: they need neither kprobes
 * nor trampolines, nor a kernel that has BTF of its own.
 */
#include "filter.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Refreshes what is known of the process, which executes another file now. If
 * what it was executing is excluded with its children, it is one of them. */
static __always_inline void new_executable(struct task_struct *task, struct amp_activity *a,
					   const struct amp_executable *exe)
{
	struct task_struct *leader = TASK_READ(task, group_leader);
	struct cred *cred = TASK_READ(task, cred);
	struct amp_settings *set = get_settings();

	if (!set)
		return;
	if (set->checks & AMP_CHECK_CHILDREN) {
		struct amp_executable old = a->exe;
		__u32 *how = bpf_map_lookup_elem(&excluded_executables, &old);
		__u32 pid = TASK_READ(task, tgid), one = 1;

		if (how && *how & AMP_WITH_CHILDREN)
			bpf_map_update_elem(&heirs, &pid, &one, BPF_ANY);
	}
	a->exe = *exe;
	a->uid = TASK_READ(cred, uid.val);
	read_comm(a->comm, leader);
}

static __always_inline void executed(struct bpf_raw_tracepoint_args *ctx, enum program which)
{
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	struct file *file = READ(bprm, file);
	struct task_struct *task = current_task();
	struct amp_executable exe;
	struct amp_exec_record *r;
	struct amp_activity *a;
	const char *filename;
	struct amp_room *room;
	struct fs_struct *fs;
	struct mm_struct *mm;
	__u64 start, args, end;
	struct path at;
	long path;

	if (!mine(which, AMP_EXEC, 0))
		return;
	exe = executable_of(task);
	a = activity_of(task);
	if (a)
		new_executable(task, a, &exe);
	if (!wanted(AMP_EXEC))
		return;
	room = begin_as(a, AMP_EXEC, task);
	if (!room)
		return;
	r = (struct amp_exec_record *)room->record;
	r->inode = exe.inode;
	r->device = exe.device;
	r->padding = 0;
	room->size = sizeof(*r);

	/* The helper's length counts the NUL; what follows goes over it. */
	filename = READ(bprm, filename);
	path = bpf_probe_read_kernel_str(room->record + sizeof(*r), AMP_PATH_MAX, filename);
	if (path < 1) {
		path = 1;
		r->head.flags |= AMP_PATH_TRUNCATED;
	}
	if (path == AMP_PATH_MAX)
		r->head.flags |= AMP_PATH_TRUNCATED;
	r->path_size = path - 1;
	room->size += path - 1;
	if (READ(bprm, interp) != filename)
		r->head.flags |= AMP_SCRIPT;

	at = read_path(&file->f_path);
	walk((__u64)at.dentry, (__u64)at.mnt, room->slot);
	if (!path_goes_on(room, AMP_EXEC)) {
		leave(room);
		return;
	}
	if (room->cut)
		r->head.flags |= AMP_EXE_TRUNCATED;
	r->exe_size = append_path(room, at.dentry);

	fs = TASK_READ(task, fs);
	at = read_path(&fs->pwd);
	walk((__u64)at.dentry, (__u64)at.mnt, room->slot);
	if (room->cut)
		r->head.flags |= AMP_DIRECTORY_TRUNCATED;
	r->cwd_size = append_walked(room);

	end = room->size;
	if (end > AMP_RECORD_MAX) { /* which it is not, but the verifier does not know */
		leave(room);
		count(AMP_EXEC, AMP_MISSED);
		return;
	}
	mm = TASK_READ(task, mm);
	start = mm ? TASK_READ(mm, arg_start) : 0;
	args = mm ? TASK_READ(mm, arg_end) - start : 0;
	if (args > AMP_ARGS_MAX) {
		args = AMP_ARGS_MAX;
		r->head.flags |= AMP_ARGS_TRUNCATED;
	}
	if (!mm || bpf_probe_read_user(room->record + end, args, (void *)start)) {
		args = 0;
		r->head.flags |= AMP_ARGS_TRUNCATED;
	}
	r->args_size = args;
	room->size = end + args;
	send(room);
}

SEC("raw_tracepoint/sched_process_exec")
int PROGRAM(amp_exec)(struct bpf_raw_tracepoint_args *ctx)
{
	executed(ctx, THIS);
	return 0;
}

static __always_inline void exited(struct bpf_raw_tracepoint_args *ctx, enum program which)
{
	struct task_struct *task = current_task();
	struct amp_settings *set = get_settings();
	struct amp_exit_record *r;
	struct task_struct *leader;
	struct signal_struct *sig;
	struct amp_room *room;
	__u32 pid;

	if (!mine(which, AMP_EXIT, 0))
		return;
	/* The kernel counted this thread out just before. */
	sig = TASK_READ(task, signal);
	if (TASK_READ(sig, live.counter) != 0)
		return;
	if (TASK_READ(task, flags) & PF_KTHREAD)
		return;
	room = begin(AMP_EXIT);
	if (set && set->checks & AMP_CHECK_CHILDREN) {
		pid = TASK_READ(task, tgid);
		bpf_map_delete_elem(&heirs, &pid);
	}
	if (!room)
		return;
	r = (struct amp_exit_record *)room->record;
	if (TASK_READ(sig, nr_threads) > 1)
		r->head.flags = AMP_THREADS;
	/* As wait_task_zombie() has it. */
	leader = TASK_READ(task, group_leader);
	if (TASK_READ(sig, flags) & SIGNAL_GROUP_EXIT)
		r->status = TASK_READ(sig, group_exit_code);
	else
		r->status = TASK_READ(leader, exit_code);
	r->padding = 0;
	room->size = sizeof(*r);
	send(room);
}

SEC("raw_tracepoint/sched_process_exit")
int PROGRAM(amp_exit)(struct bpf_raw_tracepoint_args *ctx)
{
	exited(ctx, THIS);
	return 0;
}

#ifndef AMP_SECOND
/* A child of a process that is left out with its children. Attached only where
 * there is such an exclusion; to do it twice does no harm. */
SEC("raw_tracepoint/sched_process_fork")
int amp_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = current_task();
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	__u32 pid = BPF_CORE_READ(child, tgid), of = TASK_READ(parent, tgid), one = 1;
	struct amp_executable exe;
	__u32 *how;

	if (pid == of)
		return 0; /* a thread */
	if (!bpf_map_lookup_elem(&heirs, &of)) {
		exe = executable_of(parent);
		how = bpf_map_lookup_elem(&excluded_executables, &exe);
		if (!how || !(*how & AMP_WITH_CHILDREN))
			return 0;
	}
	bpf_map_update_elem(&heirs, &pid, &one, BPF_ANY);
	return 0;
}
#endif
