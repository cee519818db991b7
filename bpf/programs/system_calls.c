// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tracepoints that all system calls run through, at their start and end: each
 * call is handed to the program that the loader put under its number, if there is one.
 */
#include "system_calls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AMP_CALLS 512 /* numbers of system calls end below */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, AMP_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} sys_enters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, AMP_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} sys_exits SEC(".maps");

/* Which numbers have one: to look here first costs every other call the least. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AMP_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} sys_enters_taken SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AMP_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} sys_exits_taken SEC(".maps");

SEC("raw_tracepoint/sys_enter")
int amp_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 number = ctx->args[1];
	__u32 *taken = bpf_map_lookup_elem(&sys_enters_taken, &number);

	if (taken && *taken && !compat())
		bpf_tail_call(ctx, &sys_enters, number);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u32 number = CALL_NUMBER(regs);
	__u32 *taken = bpf_map_lookup_elem(&sys_exits_taken, &number);

	if (taken && *taken && !compat())
		bpf_tail_call(ctx, &sys_exits, number);
	return 0;
}
