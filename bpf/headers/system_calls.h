/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls, for kernels where there is nothing to hang a program on but
 * the tracepoints that all calls run through. system_calls.c hands each to the
 * program for its number, as raw tracepoint: at the start args[0] are the
 * registers and args[1] the number, at the end args[1] is the result.
 */
#ifndef AMP_SYSTEM_CALLS_H
#define AMP_SYSTEM_CALLS_H

#include "events.h"
#include "system_registers.h"

enum {
	BPF_MAP_TYPE_PROG_ARRAY = 3,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct fdtable___calls {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct___calls {
	struct fdtable___calls *fdt;
};

struct file___calls {
	struct inode *f_inode;
	void *private_data;
};

struct socket___calls {
	struct sock *sk;
};

struct thread_info {
	unsigned long flags;
	__u32 status; /* x86 */
};

struct task_struct___calls {
	struct thread_info thread_info;
};

#pragma clang attribute pop

#define S_IFSOCK 0140000

/* arch/x86/include/asm/thread_info.h, arch/arm64/include/asm/thread_info.h */
#define TS_COMPAT 0x0002
#define TIF_32BIT 22

/* Whether the running call is one of 32 bits, whose numbers are others. */
static __always_inline int compat(void)
{
	struct task_struct___calls *task = (void *)bpf_get_current_task();

#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
#else
	return BPF_CORE_READ(task, thread_info.flags) >> TIF_32BIT & 1;
#endif
}

/* The open file behind a descriptor of the running process, NULL if there is none. */
static __always_inline struct file___calls *file_of(__s64 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct___calls *files;
	struct fdtable___calls *table;
	struct file **all, *file = 0;

	files = (struct files_struct___calls *)BPF_CORE_READ(task, files);
	table = BPF_CORE_READ(files, fdt);
	if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	all = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &all[fd]);
	return (struct file___calls *)file;
}

static __always_inline struct sock *socket_of(__s64 fd)
{
	struct file___calls *file = file_of(fd);
	struct socket___calls *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

#endif
