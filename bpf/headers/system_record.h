/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What AMP_MODULE_LOAD, AMP_BPF_LOAD, AMP_TRACE and AMP_CREDENTIALS have beside
 * the head of record.h. system_record.go decodes it.
 */
#ifndef AMP_SYSTEM_RECORD_H
#define AMP_SYSTEM_RECORD_H

#include "record.h"

#define AMP_NAME_MAX 64 /* MODULE_NAME_LEN is 56, BPF_OBJ_NAME_LEN 16 */

struct amp_system_record {
	struct amp_record head;
	__u32 subtype;	 /* bpf: enum bpf_prog_type; trace: the request */
	__u32 other_pid; /* trace: thread group, in the initial pid namespace; 0: not known */
	__u32 old_uid;	 /* credentials: before */
	__u32 old_euid;
	__u16 name_size; /* bytes of the tail: module or program */
	__u16 padding[3];
};

/* process_vm_writev(2) is told as the request that does the same. */
#define AMP_PTRACE_POKEDATA 5

#endif
