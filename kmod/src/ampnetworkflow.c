// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ampnetworkflow: network flows for the connector.
 *
 * TCP comes from the tracepoint of the changes of a socket's state, which are few:
 * the data's way is not touched. Who accepts, when a port is chosen for a socket that
 * listens, and the packets of UDP have no hook that is exported; they come from probes
 * (register_kprobe(), register_kretprobe()) on the functions that eBPF programs
 * look at too. Much of this runs in interrupts: nothing sleeps, and all memory is
 * there from the beginning.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hash.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/inet_sock.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "network_record.h"
#include "probe.h"
#include "subject.h"
#include "tracepoint.h"

static void put_v4(u32 *to, __be32 address)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = (__force u32)htonl(0xffff);
	to[3] = (__force u32)address;
}

/* A socket that is closed has given its port back; what it put into its packets
 * stays. */
static u16 local_port(const struct sock *sk)
{
	return sk->sk_num ?: ntohs(inet_sk(sk)->inet_sport);
}

static void read_local(struct amp_ends *e, const struct sock *sk)
{
	e->local_port = local_port(sk);
	if (sk->sk_family == AF_INET)
		put_v4(e->local, sk->sk_rcv_saddr);
#if IS_ENABLED(CONFIG_IPV6)
	else
		memcpy(e->local, &sk->sk_v6_rcv_saddr, sizeof(e->local));
#endif
}

static void read_remote(struct amp_ends *e, const struct sock *sk)
{
	e->remote_port = ntohs(sk->sk_dport);
	if (sk->sk_family == AF_INET)
		put_v4(e->remote, sk->sk_daddr);
#if IS_ENABLED(CONFIG_IPV6)
	else
		memcpy(e->remote, &sk->sk_v6_daddr, sizeof(e->remote));
#endif
}

static struct amp_flow_record *flow_record(struct amp_room *room, const struct amp_ends *ends, u8 protocol, u8 inbound)
{
	struct amp_flow_record *r = (struct amp_flow_record *)room->record;

	r->ends = *ends;
	r->protocol = protocol;
	r->inbound = inbound;
	return r;
}

/* TCP. */

/*
 * A connection, from its connect or accept to its end. Who made it is kept here:
 * a connection is established, and mostly ends, in an interrupt of whoever runs.
 * Its ends are kept since the local port is given back before the end is told.
 */
struct flow {
	struct hlist_node node;
	const struct sock *sk;
	struct amp_record who;
	struct amp_ends ends;
	u32 inbound;
	u64 opened; /* 0: being connected */
};

#define FLOWS 32768
#define FLOW_BITS 14

static struct flow *flows;
static HLIST_HEAD(unused);
static struct hlist_head *buckets;
static DEFINE_RAW_SPINLOCK(flow_lock);

static struct hlist_head *bucket(const struct sock *sk)
{
	return &buckets[hash_ptr((void *)sk, FLOW_BITS)];
}

/* Under flow_lock, as the two that follow. */
static struct flow *find(const struct sock *sk)
{
	struct flow *f;

	hlist_for_each_entry(f, bucket(sk), node)
		if (f->sk == sk)
			return f;
	return NULL;
}

static void drop(struct flow *f)
{
	hlist_del(&f->node);
	hlist_add_head(&f->node, &unused);
}

/* Remembers a flow; false where there is no room. */
static bool remember(const struct flow *flow)
{
	unsigned long flags;
	struct flow *f;
	bool room;

	raw_spin_lock_irqsave(&flow_lock, flags);
	f = find(flow->sk);
	if (f)
		drop(f); /* of a socket that was in the same place, whose end was missed */
	room = !hlist_empty(&unused);
	if (room) {
		f = hlist_entry(unused.first, struct flow, node);
		hlist_del(&f->node);
		*f = *flow;
		hlist_add_head(&f->node, bucket(flow->sk));
	}
	raw_spin_unlock_irqrestore(&flow_lock, flags);
	return room;
}

/* amp_begin() for the process that the flow remembers. */
static struct amp_room *begin_flow(u32 kind, const struct flow *f)
{
	struct amp_room *room;

	if (!amp_wanted(kind) || amp_shed(kind))
		return NULL;
	room = amp_enter(kind);
	if (!room)
		return NULL;
	memset(room->record, 0, sizeof(struct amp_flow_record));
	room->head = f->who;
	room->head.kind = kind;
	room->head.time = ktime_get_boot_fast_ns();
	room->size = sizeof(struct amp_flow_record);
	flow_record(room, &f->ends, IPPROTO_TCP, f->inbound);
	return room;
}

static bool flows_wanted(void)
{
	return amp_wanted(AMP_FLOW_OPEN) || amp_wanted(AMP_FLOW_CLOSE);
}

/* In the process that connects. A flow for which there is no room is missed
 * when it is established: until then it may be refused. */
static void connecting(const struct sock *sk)
{
	struct flow f = { .sk = sk };

	if (!flows_wanted())
		return;
	amp_fill(&f.who, AMP_FLOW_OPEN);
	remember(&f);
}

/* In an interrupt. */
static void established(const struct sock *sk, int old)
{
	struct flow copy = { .sk = NULL };
	struct amp_room *room;
	unsigned long flags;
	struct flow *f;
	bool known;

	raw_spin_lock_irqsave(&flow_lock, flags);
	f = find(sk);
	known = f;
	if (f && !f->opened) { /* else it was accepted before (fast open) */
		f->opened = ktime_get_boot_fast_ns();
		read_local(&f->ends, sk);
		read_remote(&f->ends, sk);
		copy = *f;
	}
	raw_spin_unlock_irqrestore(&flow_lock, flags);
	if (!known && old == TCP_SYN_SENT && flows_wanted()) {
		/* Connected before the events were asked for, or no room. */
		amp_count(AMP_FLOW_OPEN, AMP_MISSED);
		amp_count(AMP_FLOW_CLOSE, AMP_MISSED);
	}
	if (!copy.sk)
		return;
	room = begin_flow(AMP_FLOW_OPEN, &copy);
	if (!room)
		return;
	amp_send(room);
	amp_leave(room);
}

/* The kernel counts the peer's FIN as a byte that came. What was sent again is
 * told since 4.19; before, what the peer has confirmed must do. */
static void read_bytes(struct amp_flow_record *r, const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

#ifdef AMP_HAS_BYTES_SENT
	r->sent = tp->bytes_sent - tp->bytes_retrans;
#else
	r->sent = tp->bytes_acked;
#endif
	r->received = tp->bytes_received;
	if (sock_flag(sk, SOCK_DONE) && r->received)
		r->received--;
}

/* In an interrupt or in any process. Who takes the flow away tells of it. */
static void closed(const struct sock *sk)
{
	struct flow copy = { .opened = 0 };
	struct amp_flow_record *r;
	struct amp_room *room;
	unsigned long flags;
	struct flow *f;

	raw_spin_lock_irqsave(&flow_lock, flags);
	f = find(sk);
	if (f) {
		copy = *f;
		drop(f);
	}
	raw_spin_unlock_irqrestore(&flow_lock, flags);
	if (!copy.opened)
		return;
	room = begin_flow(AMP_FLOW_CLOSE, &copy);
	if (!room)
		return;
	r = (struct amp_flow_record *)room->record;
	r->duration = r->head.time - copy.opened;
	read_bytes(r, sk);
	amp_send(room);
	amp_leave(room);
}

/* In the process that accepts, with the new socket locked: sock_graft(). */
static int accepted(struct kprobe *p, struct pt_regs *regs)
{
	const struct sock *sk = (const struct sock *)amp_argument(regs, 0);
	struct flow f = { .sk = sk, .inbound = 1 };
	struct amp_room *room;

	if (!flows_wanted() || (sk->sk_family != AF_INET && sk->sk_family != AF_INET6) ||
	    sk->sk_protocol != IPPROTO_TCP || sk->sk_state == TCP_LISTEN)
		return 0;
	amp_fill(&f.who, AMP_FLOW_OPEN);
	read_local(&f.ends, sk);
	read_remote(&f.ends, sk);
	f.opened = f.who.time;
	room = begin_flow(AMP_FLOW_OPEN, &f);
	if (room) {
		amp_send(room);
		amp_leave(room);
	}
	if (!remember(&f))
		amp_count(AMP_FLOW_CLOSE, AMP_MISSED);
	else if (sk->sk_state == TCP_CLOSE) /* ended before it was accepted */
		closed(sk);
	return 0;
}

static void state_changed(void *data, const struct sock *sk, const int old, const int new)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	switch (new) {
	case TCP_SYN_SENT:
		connecting(sk);
		break;
	case TCP_ESTABLISHED:
		established(sk, old);
		break;
	case TCP_CLOSE:
		closed(sk);
		break;
	}
}

/* The last that is heard of a socket. */
static void destroyed(void *data, struct sock *sk)
{
	closed(sk);
}

static struct amp_tracepoint tracepoints[] = {
	{ .name = "inet_sock_set_state", .probe = state_changed },
	{ .name = "tcp_destroy_sock", .probe = destroyed },
};

/* In the process that calls listen(2); at its end the socket has a port, also one
 * that the kernel chose. */
static int listen_begins(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct sock *sk = (const struct sock *)amp_argument(regs, 0);

	if (!amp_wanted(AMP_LISTEN) || sk->sk_protocol != IPPROTO_TCP)
		return 1;
	*(const struct sock **)ri->data = sk;
	return 0;
}

static int listens(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct sock *sk = *(const struct sock **)ri->data;
	struct amp_ends ends = {};
	struct amp_room *room;

	if ((int)regs_return_value(regs))
		return 0;
	room = amp_begin(AMP_LISTEN, sizeof(struct amp_flow_record));
	if (!room)
		return 0;
	read_local(&ends, sk);
	flow_record(room, &ends, IPPROTO_TCP, 1);
	amp_send(room);
	amp_leave(room);
	return 0;
}

/* UDP: the first packet between a process, its socket's port and a peer. */

/* The flows that were told, each in the place that its hash says; another one there
 * takes it, and the first is told again if it goes on. The pid tells processes
 * that share a socket apart, and with the port also a later socket in the same place. */
struct datagram_flow {
	const struct sock *sk;
	u32 remote[4];
	u32 pid;
	u16 local_port;
	u16 remote_port;
};

#define DATAGRAM_BITS 14
#define DATAGRAM_LOCKS 64

static struct datagram_flow *datagram_flows;
static raw_spinlock_t datagram_locks[DATAGRAM_LOCKS];

/* Whether the flow was told. It counts as told from now on. */
static bool told(const struct datagram_flow *key)
{
	u32 place = jhash(key, sizeof(*key), 0) >> (32 - DATAGRAM_BITS);
	raw_spinlock_t *lock = &datagram_locks[place % DATAGRAM_LOCKS];
	unsigned long flags;
	bool known;

	raw_spin_lock_irqsave(lock, flags);
	known = !memcmp(&datagram_flows[place], key, sizeof(*key));
	if (!known)
		datagram_flows[place] = *key;
	raw_spin_unlock_irqrestore(lock, flags);
	return known;
}

/* e has the peer. For a packet that was received skb knows to which of the host's
 * addresses it went. */
static void datagram(const struct sock *sk, struct amp_ends *e, u8 inbound, const struct sk_buff *skb)
{
	struct datagram_flow key;
	struct amp_room *room;

	BUILD_BUG_ON(sizeof(key) != sizeof(void *) + 24); /* no padding, which would be compared too */
	key.sk = sk;
	memcpy(key.remote, e->remote, sizeof(key.remote));
	key.pid = current->tgid;
	key.local_port = sk->sk_num;
	key.remote_port = e->remote_port;
	if (told(&key))
		return;
	room = amp_begin(AMP_FLOW_OPEN, sizeof(struct amp_flow_record));
	if (!room)
		return;
	read_local(e, sk);
	if (skb && skb->protocol == htons(ETH_P_IPV6))
		memcpy(e->local, &ipv6_hdr(skb)->daddr, sizeof(e->local));
	else if (skb)
		put_v4(e->local, ip_hdr(skb)->daddr);
	flow_record(room, e, IPPROTO_UDP, inbound);
	amp_send(room);
	amp_leave(room);
}

/* The peer's address as it is given with a packet; false: it is none of IP. One of no
 * family is one of IPv4 for a socket of that, and for one of IPv6 as none
 * (udp_sendmsg(), udpv6_sendmsg()). */
static bool named(struct amp_ends *e, const struct sock *sk, const struct sockaddr *name, int size)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)name;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)name;

	if (size >= (int)sizeof(*v6) && v6->sin6_family == AF_INET6) {
		memcpy(e->remote, &v6->sin6_addr, sizeof(e->remote));
		e->remote_port = ntohs(v6->sin6_port);
		return true;
	}
	if (size >= (int)sizeof(name->sa_family) && name->sa_family == AF_UNSPEC && sk->sk_family != AF_INET) {
		read_remote(e, sk);
		return true;
	}
	if (size >= (int)sizeof(*v4) && (v4->sin_family == AF_INET || v4->sin_family == AF_UNSPEC)) {
		put_v4(e->remote, v4->sin_addr.s_addr);
		e->remote_port = ntohs(v4->sin_port);
		return true;
	}
	return false;
}

static int sends(struct kprobe *p, struct pt_regs *regs)
{
	const struct sock *sk = (const struct sock *)amp_argument(regs, 0);
	const struct msghdr *msg = (const struct msghdr *)amp_argument(regs, 1);
	struct amp_ends e = {};

	if (!amp_wanted(AMP_FLOW_OPEN))
		return 0;
	if (!msg->msg_name)
		read_remote(&e, sk);
	else if (!named(&e, sk, msg->msg_name, msg->msg_namelen))
		return 0;
	if (e.remote_port) /* else it is an error */
		datagram(sk, &e, 0, NULL);
	return 0;
}

/* In the process that receives, for both families. */
static int receives(struct kprobe *p, struct pt_regs *regs)
{
	const struct sock *sk = (const struct sock *)amp_argument(regs, 0);
	const struct sk_buff *skb = (const struct sk_buff *)amp_argument(regs, 1);
	struct amp_ends e = {};

	if (!amp_wanted(AMP_FLOW_OPEN))
		return 0;
	if (skb->protocol == htons(ETH_P_IPV6))
		memcpy(e.remote, &ipv6_hdr(skb)->saddr, sizeof(e.remote));
	else
		put_v4(e.remote, ip_hdr(skb)->saddr);
	e.remote_port = ntohs(udp_hdr(skb)->source);
	datagram(sk, &e, 1, skb);
	return 0;
}

static struct amp_probe probes[] = {
	AMP_AT("security_sock_graft", accepted, AMP_FLOW_OPEN),
	AMP_AT("udp_sendmsg", sends, AMP_FLOW_OPEN),
	/* For a peer of IPv4 this one calls the other. */
	AMP_AT_OPTIONAL("udpv6_sendmsg", sends, AMP_FLOW_OPEN),
	AMP_AT("skb_consume_udp", receives, AMP_FLOW_OPEN),
	AMP_AROUND("inet_csk_listen_start", listen_begins, listens, struct sock *, AMP_LISTEN),
};

#include "module.h"

static void tables_free(void)
{
	vfree(flows);
	kvfree(buckets);
	vfree(datagram_flows);
}

static int tables_make(void)
{
	size_t i;

	flows = vzalloc(FLOWS * sizeof(*flows));
	buckets = kvcalloc(1 << FLOW_BITS, sizeof(*buckets), GFP_KERNEL);
	datagram_flows = vzalloc((1 << DATAGRAM_BITS) * sizeof(*datagram_flows));
	if (!flows || !buckets || !datagram_flows) {
		tables_free();
		return -ENOMEM;
	}
	for (i = 0; i < FLOWS; i++)
		hlist_add_head(&flows[i].node, &unused);
	for (i = 0; i < DATAGRAM_LOCKS; i++)
		raw_spin_lock_init(&datagram_locks[i]);
	return 0;
}

static int __init ampnetworkflow_init(void)
{
	int err = tables_make();

	if (err)
		return err;
	err = amp_start();
	if (err)
		tables_free();
	return err;
}

static void __exit ampnetworkflow_exit(void)
{
	amp_stop();
	tables_free();
}

module_init(ampnetworkflow_init);
module_exit(ampnetworkflow_exit);

MODULE_DESCRIPTION("Network flows for the AMP connector");
MODULE_LICENSE("Dual BSD/GPL");
