/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading the kernel's structures without a call for each field, where the
 * verifier can be told of what type a pointer is.
 */
#ifndef AMP_TYPED_H
#define AMP_TYPED_H

#include "events.h"

/* The loader sets it where the kernel has bpf_get_current_task_btf() (5.11), and
 * the programs are relocated with its own BTF, which the verifier goes by. */
const volatile __u32 typed = 0;

/* Since 6.2. What comes from it is not trusted, but may be loaded from. (At each step
 * from one trusted pointer to the next, verifiers since 6.3 search all types of
 * the kernel several times: that made loading five times as long.) */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

static __always_inline int casts(void)
{
	return typed && bpf_rdonly_cast;
}

#define CAST(pointer)                                                          \
	((typeof(pointer))bpf_rdonly_cast((const void *)(pointer),             \
					  bpf_core_type_id_kernel(typeof(*(pointer)))))

/* A field of what any address points to. A pointer that is read by this is none of
 * the numbers that functions of their own take: BPF_CORE_READ gives those. */
#define READ(from, field)                                                      \
	({                                                                     \
		typeof((from)->field) _value;                                  \
		if (casts())                                                   \
			_value = CAST(from)->field;                            \
		else                                                           \
			_value = BPF_CORE_READ(from, field);                   \
		_value;                                                        \
	})

#endif
