// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TCP: connections made, accepted and ended, and sockets that listen. All comes
 * from the changes of a socket's state, which are few: the data's way is not
 * touched. Only who accepted a connection is asked for elsewhere.
 */
#include "network.h"
#include "system_registers.h"
#include "system_calls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * A connection, from its connect or accept to its end. Who made it is kept here:
 * a connection is established, and mostly ends, in an interrupt of whoever runs.
 * Its ends are kept since the local port is given back before the end is told.
 */
struct amp_flow {
	struct amp_record who;
	struct amp_executable exe;
	struct amp_ends ends;
	__u32 inbound;
	__u64 opened; /* 0: being connected */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 50000);
	__type(key, __u64); /* struct sock * */
	__type(value, struct amp_flow);
} flows SEC(".maps");

/* Sockets that begin to listen with a port that is not chosen yet, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} listening SEC(".maps");

/* As mine() of events.h, for programs that run in interrupts too: there, the
 * thread is that of another event. The mark is a socket and its new state. It
 * is left for states too of which nothing is told, so that what the second
 * program takes can be set against what the kernel counts. */
static __always_inline int mine_socket(enum program which, struct sock *sk, __u32 state)
{
	__u64 want = (__u64)sk ^ (__u64)(state + 1) << 56;
	__u32 place = (want * 0x9E3779B97F4A7C15ULL) >> 51;
	__u64 *mark = bpf_map_lookup_elem(&marks, &place);

	if (!mark)
		return which == FIRST;
	if (which == FIRST) {
		*mark = want;
		return 1;
	}
	if (*mark == want) {
		*mark = 0;
		return 0;
	}
	count(AMP_FLOW_OPEN, AMP_TAKEN);
	return 1;
}

/* Whether one of the checks leaves the process out. */
static __always_inline int left_out(struct amp_settings *set, struct amp_flow *f)
{
	__u32 uid = f->who.uid, pid = f->who.pid;

	if (set->checks & AMP_CHECK_USERS && bpf_map_lookup_elem(&excluded_users, &uid))
		return 1;
	if (set->checks & AMP_CHECK_PROCESSES && bpf_map_lookup_elem(&excluded_executables, &f->exe))
		return 1;
	return set->checks & AMP_CHECK_CHILDREN && bpf_map_lookup_elem(&heirs, &pid);
}

/* begin() of filter.h for the process that the flow remembers. */
static __noinline struct amp_room *begin_flow(enum amp_kind kind, struct amp_flow *f)
{
	struct amp_settings *set = get_settings();
	struct amp_process key = {};
	struct amp_activity *a;
	struct amp_room *room;
	struct amp_record *r;

	if (!set || !(set->kinds >> kind & 1))
		return 0;
	key.start = f->who.start;
	key.pid = f->who.pid;
	a = bpf_map_lookup_elem(&activity, &key);
	if (a)
		count_activity(a, kind);
	if (left_out(set, f)) {
		count(kind, AMP_EXCLUDED);
		return 0;
	}
	if (!(set->critical >> kind & 1) && shedding(set)) {
		count(kind, AMP_SHED);
		return 0;
	}
	room = enter(kind);
	if (!room)
		return 0;
	r = &room->flow.head;
	*r = f->who;
	r->kind = kind;
	r->time = bpf_ktime_get_boot_ns();
	flow_record(room, &f->ends, IPPROTO_TCP, f->inbound);
	return room;
}

static __noinline void fill_flow(struct amp_flow *f)
{
	struct task_struct *task = current_task();

	activity_of(task);
	fill(&f->who, AMP_FLOW_OPEN, task);
	f->exe = executable_of(task);
}

/* In the process that connects. A flow for which there is no room is missed
 * when it is established: until then it may be refused. */
static __always_inline void connecting(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct amp_flow f = {};

	fill_flow(&f);
	bpf_map_update_elem(&flows, &key, &f, BPF_ANY);
}

/* In an interrupt. */
static __noinline void established(struct sock *sk, __u32 old)
{
	__u64 key = (__u64)sk;
	struct amp_flow *f = bpf_map_lookup_elem(&flows, &key);
	struct amp_room *room;

	if (!f) {
		/* Connected before the programs were attached, or no room. */
		if (old == TCP_SYN_SENT) {
			count(AMP_FLOW_OPEN, AMP_MISSED);
			count(AMP_FLOW_CLOSE, AMP_MISSED);
		}
		return;
	}
	if (f->opened)
		return; /* accepted before (fast open) */
	f->opened = bpf_ktime_get_boot_ns();
	read_local(&f->ends, sk);
	read_remote(&f->ends, sk);
	room = begin_flow(AMP_FLOW_OPEN, f);
	if (room)
		send(room);
}

/* The kernel counts the peer's FIN as a byte that came. What was sent again is
 * told since 4.19; before, what the peer has confirmed must do. */
static __always_inline void read_bytes(struct amp_flow_record *r, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	if (bpf_core_field_exists(tp->bytes_sent))
		r->sent = BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans);
	else
		r->sent = BPF_CORE_READ(tp, bytes_acked);
	r->received = BPF_CORE_READ(tp, bytes_received);
	if (BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1 && r->received)
		r->received -= 1;
}

/* In an interrupt or in any process. Who takes the flow away tells of it. */
static __noinline void closed(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct amp_flow *f = bpf_map_lookup_elem(&flows, &key);
	struct amp_flow_record *r;
	struct amp_room *room = 0;

	if (!f)
		return;
	if (f->opened) {
		room = begin_flow(AMP_FLOW_CLOSE, f);
		if (room) {
			r = &room->flow;
			r->duration = r->head.time - f->opened;
			read_bytes(r, sk);
		}
	}
	if (bpf_map_delete_elem(&flows, &key)) {
		if (room)
			leave(room);
		return;
	}
	if (room)
		send(room);
}

/* In the process that accepts. */
static __noinline void accepted(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct amp_flow f = {};
	struct amp_room *room;
	__u32 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (protocol_of(sk) != IPPROTO_TCP || state == TCP_LISTEN)
		return;
	fill_flow(&f);
	read_local(&f.ends, sk);
	read_remote(&f.ends, sk);
	f.inbound = 1;
	f.opened = f.who.time;
	room = begin_flow(AMP_FLOW_OPEN, &f);
	if (room)
		send(room);
	if (bpf_map_update_elem(&flows, &key, &f, BPF_ANY))
		count(AMP_FLOW_CLOSE, AMP_MISSED);
	/* Ended before it was accepted. */
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		closed(sk);
}

static __noinline void listens(struct sock *sk)
{
	struct amp_room *room = begin(AMP_LISTEN);
	struct amp_ends ends = {};

	if (!room)
		return;
	read_local(&ends, sk);
	flow_record(room, &ends, IPPROTO_TCP, 1);
	send(room);
}

/* In the process that calls listen(2). Without a port the kernel chooses one
 * only afterwards: listen_done() waits for that. */
static __always_inline void listen_begun(struct sock *sk)
{
	__u64 thread = bpf_get_current_pid_tgid(), socket = (__u64)sk;

	if (BPF_CORE_READ(sk, __sk_common.skc_num))
		listens(sk);
	else
		bpf_map_update_elem(&listening, &thread, &socket, BPF_ANY);
}

static __noinline void listen_done(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *socket = bpf_map_lookup_elem(&listening, &thread);
	struct sock *sk;

	if (!socket)
		return;
	sk = (struct sock *)*socket;
	bpf_map_delete_elem(&listening, &thread);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		listens(sk);
}

static __always_inline void state_changed(struct bpf_raw_tracepoint_args *ctx, enum program which)
{
	struct sock *sk = (struct sock *)ctx->args[0];
	__u32 old = ctx->args[1], new = ctx->args[2];

	if (!mine_socket(which, sk, new))
		return;
	if (new != TCP_SYN_SENT && new != TCP_CLOSE && new != TCP_LISTEN && new != TCP_ESTABLISHED)
		return;
	if (protocol_of(sk) != IPPROTO_TCP)
		return;
	switch (new) {
	case TCP_SYN_SENT:
		connecting(sk);
		break;
	case TCP_ESTABLISHED:
		established(sk, old);
		break;
	case TCP_LISTEN:
		listen_begun(sk);
		break;
	case TCP_CLOSE:
		closed(sk);
		break;
	}
}

SEC("raw_tracepoint/inet_sock_set_state")
int amp_tcp_state(struct bpf_raw_tracepoint_args *ctx)
{
	state_changed(ctx, FIRST);
	return 0;
}

SEC("raw_tracepoint/inet_sock_set_state")
int amp_tcp_state_second(struct bpf_raw_tracepoint_args *ctx)
{
	state_changed(ctx, SECOND);
	return 0;
}

/* The last that is heard of a socket. At the end of accept(2) its lock is no
 * more held: its state may change while accepted() looks at it, and the flow
 * is remembered after it ended. */
SEC("raw_tracepoint/tcp_destroy_sock")
int amp_tcp_destroy(struct bpf_raw_tracepoint_args *ctx)
{
	closed((struct sock *)ctx->args[0]);
	return 0;
}

/* Accepting, at a point where the new socket is locked: sock_graft(). A
 * trampoline's program can be preempted, so that there is a second one. */
SEC("fentry/security_sock_graft")
int amp_tcp_accept_fentry(__u64 *ctx)
{
	if (mine(FIRST, AMP_FLOW_OPEN, 0))
		accepted((struct sock *)ctx[0]);
	return 0;
}

SEC("fentry/security_sock_graft")
int amp_tcp_accept_fentry_second(__u64 *ctx)
{
	if (mine(SECOND, AMP_FLOW_OPEN, 0))
		accepted((struct sock *)ctx[0]);
	return 0;
}

SEC("kprobe/security_sock_graft")
int amp_tcp_accept_kprobe(struct pt_regs *ctx)
{
	accepted((struct sock *)FUNCTION_1(ctx));
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_tcp_accept_call(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = socket_of((__s64)ctx->args[1]);

	if (sk)
		accepted(sk);
	return 0;
}

SEC("fexit/inet_csk_listen_start")
int amp_tcp_listen_fexit(__u64 *ctx)
{
	if (mine(FIRST, AMP_LISTEN, 0))
		listen_done();
	return 0;
}

SEC("fexit/inet_csk_listen_start")
int amp_tcp_listen_fexit_second(__u64 *ctx)
{
	if (mine(SECOND, AMP_LISTEN, 0))
		listen_done();
	return 0;
}

SEC("kretprobe/inet_csk_listen_start")
int amp_tcp_listen_kretprobe(struct pt_regs *ctx)
{
	listen_done();
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_tcp_listen_call(struct bpf_raw_tracepoint_args *ctx)
{
	listen_done();
	return 0;
}
