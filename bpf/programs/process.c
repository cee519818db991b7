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

/* Records that found the ring full, by CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* Room to put an exec's record together. A path and arguments do not fit on the
 * stack, and bpf_ringbuf_reserve() takes constant sizes only. */
struct exec_record {
	struct amp_record head;
	char tail[AMP_PATH_MAX + AMP_ARGS_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_record);
} scratch SEC(".maps");

/* Bytes in the ring from which on the reader is woken; the loader sets it. */
const volatile __u64 wakeup_bytes = 1 << 17;

/* The reader sets it when it goes to sleep for long; the next record wakes it.
 * While it is 0 the reader looks at the ring by itself, every few ms. */
volatile __u32 reader_waits = 0;

/*
 * The kernel leaves an event out when the same program is already running on
 * that CPU. Up to 6.18 tracepoints run without preemption and that does not
 * happen; with 7.2 a program is preempted by another process's exec, and some
 * in a thousand were missed. So keep the CPU, where the kernel has the calls for
 * it (since 6.10). What is left is a few instructions long, and is counted.
 */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* The loader clears it for a kernel that does not let raw tracepoints do so. */
const volatile __u8 keep_cpu = 1;

static __always_inline void hold(void)
{
	if (keep_cpu && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_disable();
}

static __always_inline void release(void)
{
	if (keep_cpu && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_enable();
}

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

static __always_inline void count_lost(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&lost, &zero);

	if (count)
		*count += 1;
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

static __always_inline void exec(struct task_struct *task, struct linux_binprm *bprm)
{
	const char *filename = BPF_CORE_READ(bprm, filename);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 start = BPF_CORE_READ(mm, arg_start);
	__u64 args = BPF_CORE_READ(mm, arg_end) - start;
	struct exec_record *e;
	__u16 flags = 0;
	__u32 zero = 0;
	__u64 path;

	e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e)
		return;

	/* The helper's length counts the NUL; the arguments go over it. */
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
	if (bpf_ringbuf_output(&events, e, sizeof(e->head) + path + args, wakeup()))
		count_lost();
}

SEC("raw_tracepoint/sched_process_exec")
int amp_exec(struct bpf_raw_tracepoint_args *ctx)
{
	hold();
	exec((struct task_struct *)ctx->args[0], (struct linux_binprm *)ctx->args[2]);
	release();
	return 0;
}

static __always_inline void exited(struct task_struct *task)
{
	struct signal_struct *sig = BPF_CORE_READ(task, signal);
	struct task_struct *leader;
	struct amp_record *r;

	/* The kernel counted this thread out just before. */
	if (BPF_CORE_READ(sig, live.counter) != 0)
		return;
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return;
	r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
	if (!r) {
		count_lost();
		return;
	}
	leader = BPF_CORE_READ(task, group_leader);
	fill(r, task, leader);
	r->size = sizeof(*r);
	r->kind = AMP_EXIT;
	r->flags = BPF_CORE_READ(sig, nr_threads) > 1 ? AMP_THREADS : 0;
	r->inode = 0;
	r->path_size = 0;
	r->args_size = 0;
	/* As wait_task_zombie() has it. */
	if (BPF_CORE_READ(sig, flags) & SIGNAL_GROUP_EXIT)
		r->status = BPF_CORE_READ(sig, group_exit_code);
	else
		r->status = BPF_CORE_READ(leader, exit_code);
	bpf_ringbuf_submit(r, wakeup());
}

SEC("raw_tracepoint/sched_process_exit")
int amp_exit(struct bpf_raw_tracepoint_args *ctx)
{
	hold();
	exited((struct task_struct *)ctx->args[0]);
	release();
	return 0;
}
