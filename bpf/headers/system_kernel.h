/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What system.c reads of the kernel beside kernel.h.
 */
#ifndef AMP_SYSTEM_KERNEL_H
#define AMP_SYSTEM_KERNEL_H

#include "kernel.h"

#define EEXIST 17

#define PTRACE_TRACEME 0
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206

#define PT_SEIZED 0x00010000 /* include/linux/ptrace.h */

enum bpf_prog_type {
	BPF_PROG_TYPE_UNSPEC,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct module {
	char name[56];
};

struct bpf_prog_aux {
	char name[16];
};

struct bpf_prog {
	__u16 is_func; /* a bit */
	enum bpf_prog_type type;
	struct bpf_prog_aux *aux;
};

struct cred___ids {
	kuid_t uid, suid, euid, fsuid;
	kgid_t gid, sgid, egid, fsgid;
};

struct list_head {
	struct list_head *next;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

/* The tree of pids of a namespace: struct xarray since 4.20. */
struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift;
	void *slots[64];
};

struct idr {
	struct xarray idr_rt;
};

struct pid_namespace {
	struct idr idr;
	unsigned int level;
};

struct upid {
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[4]; /* PIDTYPE_PID is 0 */
	struct upid numbers[1];
};

struct task_struct___system {
	unsigned int ptrace;
	unsigned int in_execve; /* a bit */
	struct list_head ptraced;
	struct list_head ptrace_entry;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	const struct cred *real_cred;
	int tgid;
};

#pragma clang attribute pop

#endif
