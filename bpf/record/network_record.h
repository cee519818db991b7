/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What AMP_FLOW_OPEN, AMP_FLOW_CLOSE and AMP_LISTEN have beside the head of
 * record.h. network_record.go decodes it.
 */
#ifndef AMP_NETWORK_RECORD_H
#define AMP_NETWORK_RECORD_H

#include "record.h"

/* Both ends. Addresses are in network order, those of IPv4 as ::ffff:a.b.c.d,
 * whatever the socket's own family; ports are in the machine's order. */
struct amp_ends {
	__u32 local[4];
	__u32 remote[4];
	__u16 local_port;
	__u16 remote_port;
};

struct amp_flow_record {
	struct amp_record head;
	__u64 sent;	/* close: bytes of the stream, without what was sent again */
	__u64 received; /* close: bytes of the stream */
	__u64 duration; /* close: ns since it was opened or accepted */
	struct amp_ends ends;
	__u8 protocol;	/* IPPROTO_TCP or IPPROTO_UDP */
	__u8 inbound;	/* 1: the peer began it */
	__u16 padding;
};

#endif
