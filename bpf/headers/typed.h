/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading the kernel's structures without a call for each field, where the
 * verifier can be told of what type a pointer is.
 */
#ifndef AMP_TYPED_H
#define AMP_TYPED_H

#include "events.h"

/* The loader sets it where the running task can be had with its type, and the
 * programs are relocated with the kernel's own BTF, which the verifier goes by. */
const volatile __u32 typed = 0;

/* And this where there is bpf_rdonly_cast(), since 6.2. The loader takes the calls out
 * of the programs elsewhere. */
const volatile __u32 casts = 0;

/* What comes from it is not trusted, but may be loaded from. (At each step from one
 * trusted pointer to the next, verifiers since 6.3 search all types of the kernel
 * several times: that made loading five times as long.) */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

#define CAST(pointer)                                                          \
	((typeof(pointer))bpf_rdonly_cast((const void *)(pointer),             \
					  bpf_core_type_id_kernel(typeof(*(pointer)))))

/* A field of what any address points to, by a cast if may_cast. A pointer that is read
 * by that is none of the numbers that functions of their own take: BPF_CORE_READ gives those. */
#define READ_BY(may_cast, from, field)                                         \
	({                                                                     \
		typeof((from)->field) _value;                                  \
		if ((may_cast) && casts)                                       \
			_value = CAST(from)->field;                            \
		else                                                           \
			_value = BPF_CORE_READ(from, field);                   \
		_value;                                                        \
	})
#define READ(from, field) READ_BY(1, from, field)

/* The same for an argument of the function that a program hangs at, and for what was
 * read from there by this. A trampoline's have their types, in any kernel. */
#ifdef AMP_TRAMPOLINES
#define ARGUMENT_READ(from, field)                                             \
	({                                                                     \
		typeof((from)->field) _value;                                  \
		if (casts)                                                     \
			_value = CAST(from)->field;                            \
		else                                                           \
			_value = (from)->field;                                \
		_value;                                                        \
	})
#else
#define ARGUMENT_READ(from, field) READ(from, field)
#endif

#endif
