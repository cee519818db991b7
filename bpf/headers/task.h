/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The running task. Where the verifier knows its type, its fields and what they
 * point to are loaded as in C: an instruction each, in place of a call.
 */
#ifndef AMP_TASK_H
#define AMP_TASK_H

#include "typed.h"

static __always_inline struct task_struct *current_task(void)
{
	if (casts)
		return CAST((struct task_struct *)bpf_get_current_task());
	if (typed)
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* A field of current_task(), or of something that was read from there by this. */
#define TASK_READ(from, field)                                                 \
	({                                                                     \
		typeof((from)->field) _value;                                  \
		if (typed)                                                     \
			_value = (from)->field;                                \
		else                                                           \
			_value = BPF_CORE_READ(from, field);                   \
		_value;                                                        \
	})

static __always_inline void read_comm(char *to, struct task_struct *task)
{
	if (typed) {
		((__u64 *)to)[0] = ((__u64 *)task->comm)[0];
		((__u64 *)to)[1] = ((__u64 *)task->comm)[1];
	} else {
		bpf_core_read(to, AMP_COMM_SIZE, &task->comm);
	}
}

static __always_inline __u64 start_of(struct task_struct *leader)
{
	if (bpf_core_field_exists(leader->start_boottime))
		return TASK_READ(leader, start_boottime);
	return BPF_CORE_READ((struct task_struct___before_5_5 *)leader, real_start_time);
}

#endif
