// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * UDP: the first packet between a process, its socket's port and a peer, sent
 * or received. A further packet costs one lookup.
 */
#include "network.h"
#include "system_registers.h"
#include "system_calls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The flows that were told. The least recently used ones are forgotten, and told
 * again if they go on. The pid tells processes that share a socket
 * apart, and with the port also a later socket in the same place. */
struct amp_datagram_flow {
	__u64 sk;
	__u32 remote[4];
	__u32 pid;
	__u16 local_port;
	__u16 remote_port;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct amp_datagram_flow);
	__type(value, __u32);
} datagram_flows SEC(".maps");

/* Where the headers of IP and UDP have what is read here (RFC 791, 8200, 768). */
enum {
	IPV4_SOURCE = 12,
	IPV4_DESTINATION = 16,
	IPV6_SOURCE = 8,
	IPV6_DESTINATION = 24,
	UDP_SOURCE = 0,
};

/* An address of a packet that was received. */
static __always_inline void read_address(__u32 *to, struct sk_buff *skb, __u32 v4, __u32 v6)
{
	unsigned char *header = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	__be32 address = 0;

	if (BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IPV6)) {
		bpf_probe_read_kernel(to, 16, header + v6);
		return;
	}
	bpf_probe_read_kernel(&address, sizeof(address), header + v4);
	put_v4(to, address);
}

/* e has the peer. For a packet that was received skb is that, if it is at hand: it
 * knows to which of the host's addresses it went. */
static __noinline void datagram(struct sock *sk, struct amp_ends *e, __u8 inbound,
				     struct sk_buff *skb)
{
	struct amp_datagram_flow key = {};
	struct amp_room *room;
	__u32 one = 1;

	key.sk = (__u64)sk;
	key.remote[0] = e->remote[0];
	key.remote[1] = e->remote[1];
	key.remote[2] = e->remote[2];
	key.remote[3] = e->remote[3];
	key.pid = bpf_get_current_pid_tgid() >> 32;
	key.local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	key.remote_port = e->remote_port;
	if (bpf_map_lookup_elem(&datagram_flows, &key))
		return;
	if (bpf_map_update_elem(&datagram_flows, &key, &one, BPF_NOEXIST) == -EEXIST)
		return;
	room = begin(AMP_FLOW_OPEN);
	if (!room)
		return;
	read_local(e, sk);
	if (skb)
		read_address(e->local, skb, IPV4_DESTINATION, IPV6_DESTINATION);
	flow_record(room, e, IPPROTO_UDP, inbound);
	send(room);
}

/* The peer's address as it is given with a packet, to the kernel or by it.
 * One of no family is one of IPv4 for a socket of that, and for one of IPv6 as
 * none (udp_sendmsg(), udpv6_sendmsg()). A value other than 0: it is none of IP. */
static __always_inline int named(struct amp_ends *e, struct sock *sk,
				 const struct sockaddr_in6 *name)
{
	if (name->family == AF_UNSPEC && BPF_CORE_READ(sk, __sk_common.skc_family) != AF_INET) {
		read_remote(e, sk);
		return 0;
	}
	if (name->family == AF_INET6) {
		e->remote[0] = name->address[0];
		e->remote[1] = name->address[1];
		e->remote[2] = name->address[2];
		e->remote[3] = name->address[3];
	} else if (name->family == AF_INET || name->family == AF_UNSPEC) {
		/* struct sockaddr_in has its address where this one has flow. */
		put_v4(e->remote, name->flow);
	} else {
		return -1;
	}
	e->remote_port = bpf_ntohs(name->port);
	return 0;
}

static __noinline void sends(struct sock *sk, struct msghdr *msg)
{
	struct sockaddr_in6 *given = BPF_CORE_READ(msg, msg_name);
	struct sockaddr_in6 name = {};
	struct amp_ends e = {};

	if (!wanted(AMP_FLOW_OPEN))
		return;
	if (!given) {
		read_remote(&e, sk);
	} else if (bpf_probe_read_kernel(&name, sizeof(name), given) || named(&e, sk, &name)) {
		return;
	}
	if (e.remote_port) /* else it is an error */
		datagram(sk, &e, 0, 0);
}

static __noinline void receives(struct sock *sk, struct sk_buff *skb)
{
	struct amp_ends e = {};
	__be16 port = 0;

	if (!wanted(AMP_FLOW_OPEN))
		return;
	read_address(e.remote, skb, IPV4_SOURCE, IPV6_SOURCE);
	bpf_probe_read_kernel(&port, sizeof(port),
			      BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, transport_header) +
				      UDP_SOURCE);
	e.remote_port = bpf_ntohs(port);
	datagram(sk, &e, 1, skb);
}

SEC("fentry/udp_sendmsg")
int amp_udp_send_fentry(__u64 *ctx)
{
	sends((struct sock *)ctx[0], (struct msghdr *)ctx[1]);
	return 0;
}

SEC("kprobe/udp_sendmsg")
int amp_udp_send_kprobe(struct pt_regs *ctx)
{
	sends((struct sock *)FUNCTION_1(ctx), (struct msghdr *)FUNCTION_2(ctx));
	return 0;
}

/* For a peer of IPv4 this one calls the other. */
SEC("fentry/udpv6_sendmsg")
int amp_udp6_send_fentry(__u64 *ctx)
{
	sends((struct sock *)ctx[0], (struct msghdr *)ctx[1]);
	return 0;
}

SEC("kprobe/udpv6_sendmsg")
int amp_udp6_send_kprobe(struct pt_regs *ctx)
{
	sends((struct sock *)FUNCTION_1(ctx), (struct msghdr *)FUNCTION_2(ctx));
	return 0;
}

/* In the process that receives, for both families. */
SEC("fentry/skb_consume_udp")
int amp_udp_receive_fentry(__u64 *ctx)
{
	receives((struct sock *)ctx[0], (struct sk_buff *)ctx[1]);
	return 0;
}

SEC("kprobe/skb_consume_udp")
int amp_udp_receive_kprobe(struct pt_regs *ctx)
{
	receives((struct sock *)FUNCTION_1(ctx), (struct sk_buff *)FUNCTION_2(ctx));
	return 0;
}

/*
 * Without these functions: sockets that are connected are told of by raw
 * tracepoints of all sockets (since 6.3), the others by the system calls to which
 * the peer's address is given, or which give it.
 */
static __noinline void passed(struct bpf_raw_tracepoint_args *ctx, __u8 inbound)
{
	struct sock *sk = (struct sock *)ctx->args[0];
	struct amp_ends e = {};

	if ((__s32)ctx->args[1] < 0 || protocol_of(sk) != IPPROTO_UDP || !wanted(AMP_FLOW_OPEN))
		return;
	read_remote(&e, sk);
	if (e.remote_port)
		datagram(sk, &e, inbound, 0);
}

SEC("raw_tracepoint/sock_send_length")
int amp_udp_sent(struct bpf_raw_tracepoint_args *ctx)
{
	passed(ctx, 0);
	return 0;
}

SEC("raw_tracepoint/sock_recv_length")
int amp_udp_received(struct bpf_raw_tracepoint_args *ctx)
{
	passed(ctx, 1);
	return 0;
}

/* As the kernel has it where the raw tracepoint exists. */
typedef void (*btf_trace_sock_send_length)(void *, struct sock *, int, int);

/* A system call that passed a packet; at is the user's pointer to the peer's
 * address. */
static __noinline void called(__s64 fd, __u64 at, __u8 inbound)
{
	struct sockaddr_in6 name = {};
	struct amp_ends e = {};
	struct sock *sk;

	if (!at && bpf_core_type_exists(btf_trace_sock_send_length))
		return;
	if (at && (bpf_probe_read_user(&name, sizeof(struct sockaddr_in), (void *)at) ||
		   (name.family == AF_INET6 &&
		    bpf_probe_read_user(&name, sizeof(name), (void *)at)) ||
		   (name.family != AF_INET6 && name.family != AF_INET && name.family != AF_UNSPEC)))
		return;
	sk = socket_of(fd);
	if (!sk || protocol_of(sk) != IPPROTO_UDP)
		return;
	if (!at)
		read_remote(&e, sk);
	else if (named(&e, sk, &name))
		return;
	if (e.remote_port)
		datagram(sk, &e, inbound, 0);
}

/* sendto(2) and recvfrom(2) */
static __always_inline void call_of_one(struct bpf_raw_tracepoint_args *ctx, __u8 inbound)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];

	if ((__s64)ctx->args[1] >= 0)
		called(CALL_1(regs), CALL_5(regs), inbound);
}

/* sendmsg(2) and recvmsg(2): the pointer to the address comes first. */
static __always_inline void call_of_message(struct bpf_raw_tracepoint_args *ctx, __u8 inbound)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u64 at = 0;

	if ((__s64)ctx->args[1] >= 0 &&
	    !bpf_probe_read_user(&at, sizeof(at), (void *)CALL_2(regs)))
		called(CALL_1(regs), at, inbound);
}

#define AMP_MESSAGES 8	    /* of one call that are looked at */
#define AMP_MMSGHDR_SIZE 64 /* struct mmsghdr */

/* sendmmsg(2) and recvmmsg(2) */
static __always_inline void call_of_many(struct bpf_raw_tracepoint_args *ctx, __u8 inbound)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u64 message = CALL_2(regs), fd = CALL_1(regs), at;

	for (int i = 0; i < AMP_MESSAGES && i < (__s32)ctx->args[1]; i++) {
		at = 0;
		if (bpf_probe_read_user(&at, sizeof(at),
					(void *)(message + i * AMP_MMSGHDR_SIZE)))
			break;
		called(fd, at, inbound);
	}
}

SEC("raw_tracepoint/sys_exit")
int amp_udp_sendto(struct bpf_raw_tracepoint_args *ctx)
{
	call_of_one(ctx, 0);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_udp_recvfrom(struct bpf_raw_tracepoint_args *ctx)
{
	call_of_one(ctx, 1);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_udp_sendmsg(struct bpf_raw_tracepoint_args *ctx)
{
	call_of_message(ctx, 0);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_udp_recvmsg(struct bpf_raw_tracepoint_args *ctx)
{
	call_of_message(ctx, 1);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_udp_sendmmsg(struct bpf_raw_tracepoint_args *ctx)
{
	call_of_many(ctx, 0);
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int amp_udp_recvmmsg(struct bpf_raw_tracepoint_args *ctx)
{
	call_of_many(ctx, 1);
	return 0;
}
