/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loops over what lies in a room. Where the kernel has bpf_loop (5.17) the verifier
 * looks at one turn; elsewhere at all of them, for each program anew, and that is
 * most of what loading costs.
 */
#ifndef AMP_LOOP_H
#define AMP_LOOP_H

#include "events.h"

/*
 * Calls step(room, i) for i from 0 to turns - 1 until it returns other than 0.
 * Kernels without bpf_loop do not know pointers to functions either: the loader
 * takes name_turn out there (fit.go).
 */
#define AMP_LOOP(step, room, turns)                                            \
	do {                                                                   \
		struct amp_room *_room = room;                                 \
                                                                               \
		if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) { \
			bpf_loop(turns, step##_turn, &_room, 0);               \
		} else {                                                       \
			for (__u32 _i = 0; _i < (turns); _i++) {               \
				barrier();                                     \
				if (step(_room, _i))                           \
					break;                                 \
			}                                                      \
		}                                                              \
	} while (0)

/* The turn of a step, as bpf_loop calls it. */
#define AMP_TURN(step)                                                         \
	static long step##_turn(__u32 i, void *room)                           \
	{                                                                      \
		return step(*(struct amp_room **)room, i);                     \
	}

#endif
