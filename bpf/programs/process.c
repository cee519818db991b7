// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Start and end of processes, from raw tracepoints: they need neither kprobes
 * nor trampolines, nor a kernel that has BTF of its own.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* bytes; the loader sets it */
} events SEC(".maps");

/* By CPU: records that found the ring full; events that a second program took. */
enum {
	LOST,
	TAKEN,
	COUNTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/*
 * The kernel leaves a program out while the same one is running on that CPU, and
 * counts that as its recursion misses. Tracepoints used to run without
 * preemption, so that it did not happen. In 7.2 a program can be preempted by
 * another process that executes a file too (seen: 3 in 1000 in a small guest).
 * Keeping the CPU with bpf_preempt_disable() does not help: giving it back
 * is where the other process gets it, and the program is still running then.
 *
 * So each tracepoint has two programs. The first leaves a mark for its thread; the
 * second, which the kernel calls after it, does the work if there is none. Marks
 * are found by thread number. Should two threads ever meet in one place, an
 * event is seen twice.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u32);
} marks SEC(".maps");

enum program {
	FIRST,
	SECOND,
	PROGRAMS,
};

/* Room to put an exec's record together, for each program its own: a path and
 * arguments do not fit on the stack, and bpf_ringbuf_reserve() takes constant
 * sizes only. */
struct exec_record {
	struct amp_record head;
	char tail[AMP_PATH_MAX + AMP_ARGS_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, __u32);
	__type(value, struct exec_record);
} scratch SEC(".maps");

/* Bytes in the ring from which on the reader is woken; the loader sets it. */
const volatile __u64 wakeup_bytes = 1 << 17;

/* The reader sets it when it goes to sleep for long; the next record wakes it.
 * While it is 0 the reader looks at the ring by itself, every few ms. */
volatile __u32 reader_waits = 0;

static __always_inline __u64 wakeup(void)
{
	if (reader_waits) {
		reader_waits = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&counts, &what);

	if (n)
		*n += 1;
}

/* Whether this program is the one to do the work. */
static __always_inline int mine(enum program which)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u32 place = thread & 8191;
	__u32 *mark = bpf_map_lookup_elem(&marks, &place);

	if (!mark)
		return which == FIRST;
	if (which == FIRST) {
		*mark = thread;
		return 1;
	}
	if (*mark == thread) {
		*mark = 0;
		return 0;
	}
	count(TAKEN);
	return 1;
}

static __always_inline void emit(void *record, __u64 size)
{
	if (bpf_ringbuf_output(&events, record, size, wakeup()))
		count(LOST);
}

/* What is the same for all kinds: who. leader is the process's first thread. */
static __always_inline void fill(struct amp_record *r, struct task_struct *task,
				 struct task_struct *leader)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	r->version = AMP_RECORD_VERSION;
	r->time = bpf_ktime_get_boot_ns();
	if (bpf_core_field_exists(leader->start_boottime))
		r->start = BPF_CORE_READ(leader, start_boottime);
	else
		r->start = BPF_CORE_READ((struct task_struct___before_5_5 *)leader, real_start_time);
	r->pid = bpf_get_current_pid_tgid() >> 32;
	r->ppid = BPF_CORE_READ(parent, tgid);
	r->uid = (__u32)bpf_get_current_uid_gid();
	r->euid = BPF_CORE_READ(task, cred, euid.val);
	bpf_core_read(r->comm, sizeof(r->comm), &leader->comm);
	parent = BPF_CORE_READ(parent, group_leader);
	bpf_core_read(r->parent, sizeof(r->parent), &parent->comm);
}

/* A path that is not from the root ("./x"), or that names a descriptor of the
 * process (execveat with AT_EMPTY_PATH), is completed by the reader. */
static __always_inline int incomplete(const char *p)
{
	return p[0] != '/' || (p[1] == 'd' && p[2] == 'e' && p[3] == 'v' && p[4] == '/' &&
			       p[5] == 'f' && p[6] == 'd' && p[7] == '/');
}

static __always_inline void exec(struct bpf_raw_tracepoint_args *ctx, enum program which)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	const char *filename;
	struct exec_record *e;
	struct mm_struct *mm;
	__u32 key = which;
	__u64 start, args, path;
	__u16 flags = 0;

	if (!mine(which))
		return;
	e = bpf_map_lookup_elem(&scratch, &key);
	if (!e)
		return;

	/* The helper's length counts the NUL; the arguments go over it. */
	filename = BPF_CORE_READ(bprm, filename);
	path = bpf_probe_read_kernel_str(e->tail, AMP_PATH_MAX, filename);
	path -= 1;
	if (path >= AMP_PATH_MAX) { /* an error's negative number is huge here */
		path = 0;
		e->tail[0] = 0;
		flags |= AMP_PATH_TRUNCATED;
	}
	if (path == AMP_PATH_MAX - 1)
		flags |= AMP_PATH_TRUNCATED;

	e->head.inode = 0;
	if (BPF_CORE_READ(bprm, interp) != filename)
		flags |= AMP_SCRIPT;
	else if (incomplete(e->tail))
		e->head.inode = BPF_CORE_READ(bprm, file, f_inode, i_ino);

	mm = BPF_CORE_READ(task, mm);
	start = BPF_CORE_READ(mm, arg_start);
	args = BPF_CORE_READ(mm, arg_end) - start;
	if (args > AMP_ARGS_MAX) {
		args = AMP_ARGS_MAX;
		flags |= AMP_ARGS_TRUNCATED;
	}
	if (bpf_probe_read_user(e->tail + path, args, (void *)start)) {
		args = 0;
		flags |= AMP_ARGS_TRUNCATED;
	}

	fill(&e->head, task, task);
	e->head.size = sizeof(e->head) + path + args;
	e->head.kind = AMP_EXEC;
	e->head.flags = flags;
	e->head.status = 0;
	e->head.path_size = path;
	e->head.args_size = args;
	emit(e, sizeof(e->head) + path + args);
}

SEC("raw_tracepoint/sched_process_exec")
int amp_exec(struct bpf_raw_tracepoint_args *ctx)
{
	exec(ctx, FIRST);
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int amp_exec_second(struct bpf_raw_tracepoint_args *ctx)
{
	exec(ctx, SECOND);
	return 0;
}

static __always_inline void exited(struct bpf_raw_tracepoint_args *ctx, enum program which)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct amp_record r = {};
	struct task_struct *leader;
	struct signal_struct *sig;

	if (!mine(which))
		return;
	/* The kernel counted this thread out just before. */
	sig = BPF_CORE_READ(task, signal);
	if (BPF_CORE_READ(sig, live.counter) != 0)
		return;
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return;
	leader = BPF_CORE_READ(task, group_leader);
	fill(&r, task, leader);
	r.size = sizeof(r);
	r.kind = AMP_EXIT;
	if (BPF_CORE_READ(sig, nr_threads) > 1)
		r.flags = AMP_THREADS;
	/* As wait_task_zombie() has it. */
	if (BPF_CORE_READ(sig, flags) & SIGNAL_GROUP_EXIT)
		r.status = BPF_CORE_READ(sig, group_exit_code);
	else
		r.status = BPF_CORE_READ(leader, exit_code);
	/* Not reserved and filled in place: a reader waits for a reserved record,
	 * and this program may have to wait for the CPU in between. */
	emit(&r, sizeof(r));
}

SEC("raw_tracepoint/sched_process_exit")
int amp_exit(struct bpf_raw_tracepoint_args *ctx)
{
	exited(ctx, FIRST);
	return 0;
}

SEC("raw_tracepoint/sched_process_exit")
int amp_exit_second(struct bpf_raw_tracepoint_args *ctx)
{
	exited(ctx, SECOND);
	return 0;
}
