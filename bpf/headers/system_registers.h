/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registers: the arguments of a function at a kprobe (FUNCTION_*) and its result;
 * and those of a system call (CALL_*), which the registers of user space still
 * hold at its end. (arm64 puts the result over the first, and keeps that
 * elsewhere.)
 */
#ifndef AMP_SYSTEM_REGISTERS_H
#define AMP_SYSTEM_REGISTERS_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)

struct pt_regs {
	unsigned long di;
	unsigned long si;
	unsigned long r8;
	unsigned long ax;
	unsigned long orig_ax;
};

#define AMP_CALL_PREFIX "__x64_sys_"

#define FUNCTION_1(at) ((at)->di)
#define FUNCTION_2(at) ((at)->si)
#define RESULT(at) ((at)->ax)

#define CALL_NUMBER(at) BPF_CORE_READ(at, orig_ax)
#define CALL_1(at) BPF_CORE_READ(at, di)
#define CALL_2(at) BPF_CORE_READ(at, si)
#define CALL_5(at) BPF_CORE_READ(at, r8)

#elif defined(__TARGET_ARCH_arm64)

struct user_pt_regs {
	__u64 regs[31];
};

struct pt_regs {
	struct user_pt_regs user_regs;
	__u64 orig_x0;
	int syscallno;
};

#define AMP_CALL_PREFIX "__arm64_sys_"

#define FUNCTION_1(at) ((at)->user_regs.regs[0])
#define FUNCTION_2(at) ((at)->user_regs.regs[1])
#define RESULT(at) ((at)->user_regs.regs[0])

#define CALL_NUMBER(at) BPF_CORE_READ(at, syscallno)
#define CALL_1(at) BPF_CORE_READ(at, orig_x0)
#define CALL_2(at) BPF_CORE_READ(at, user_regs.regs[1])
#define CALL_5(at) BPF_CORE_READ(at, user_regs.regs[4])

#else
#error "for which architecture?"
#endif

#pragma clang attribute pop

#endif
