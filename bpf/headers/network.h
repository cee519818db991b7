/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs for TCP and for UDP share: the ends of a socket, and the
 * record of a flow.
 */
#ifndef AMP_NETWORK_H
#define AMP_NETWORK_H

#include "filter.h"
#include "network_kernel.h"
#include "network_record.h"
#include <bpf/bpf_endian.h>

static __always_inline __u32 protocol_of(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol);
}

static __always_inline void put_v4(__u32 *to, __be32 address)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = address;
}

/* A socket that is closed has given its port back; what it put into its packets
 * stays. */
static __always_inline __u16 local_port(struct sock *sk)
{
	__u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);

	if (port)
		return port;
	return bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

static __always_inline void read_local(struct amp_ends *e, struct sock *sk)
{
	e->local_port = local_port(sk);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		put_v4(e->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	else
		bpf_core_read(e->local, sizeof(e->local), &sk->__sk_common.skc_v6_rcv_saddr);
}

static __always_inline void read_remote(struct amp_ends *e, struct sock *sk)
{
	e->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET)
		put_v4(e->remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	else
		bpf_core_read(e->remote, sizeof(e->remote), &sk->__sk_common.skc_v6_daddr);
}

/* Begins the record of a flow in a room whose head is filled. */
static __always_inline struct amp_flow_record *flow_record(struct amp_room *room,
							   const struct amp_ends *ends,
							   __u8 protocol, __u8 inbound)
{
	struct amp_flow_record *r = &room->flow;

	r->sent = 0;
	r->received = 0;
	r->duration = 0;
	r->ends = *ends;
	r->protocol = protocol;
	r->inbound = inbound;
	r->padding = 0;
	room->size = sizeof(*r);
	return r;
}

#endif
