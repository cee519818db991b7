/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The structures of the kernel's network side that the programs read; see
 * kernel.h.
 */
#ifndef AMP_NETWORK_KERNEL_H
#define AMP_NETWORK_KERNEL_H

#include "kernel.h"

#define AF_UNSPEC 0
#define AF_INET 2
#define AF_INET6 10

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

#define EEXIST 17

#define ETH_P_IPV6 0x86DD

#define SOCK_DONE 1 /* enum sock_flags: the peer's FIN was taken */

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};

/* include/uapi: addresses as users and the kernel give them. */
struct sockaddr_in {
	__u16 family;
	__be16 port;
	__be32 address;
	__u8 zero[8];
};

struct sockaddr_in6 {
	__u16 family;
	__be16 port;
	__be32 flow;
	__be32 address[4];
	__u32 scope;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	__u8 in6_u[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr; /* CONFIG_IPV6 */
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol; /* before 5.6 a bit field of 8 bits */
};

struct inet_sock {
	__be16 inet_sport;
};

struct tcp_sock {
	__u64 bytes_acked;
	__u64 bytes_sent;    /* since 4.19, with what was sent again */
	__u64 bytes_retrans; /* since 4.19 */
	__u64 bytes_received;
};

struct sk_buff {
	__be16 protocol;
	__u16 network_header;
	__u16 transport_header;
	unsigned char *head;
};

struct msghdr {
	void *msg_name;
	int msg_namelen;
};

#pragma clang attribute pop

#endif
