/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who did it: the head of a record, for the running task.
 */
#ifndef AMP_SUBJECT_H
#define AMP_SUBJECT_H

#include <linux/audit.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>

#include "ring.h"

static u64 amp_start_of(const struct task_struct *leader)
{
#ifdef AMP_HAS_START_BOOTTIME
	return leader->start_boottime;
#else
	return leader->real_start_time;
#endif
}

/* Without the lock of the name's owner: it may be changed meanwhile, and is then a
 * mixture of both, as eBPF programs would read it. */
static void amp_comm(char *to, const struct task_struct *task)
{
	memcpy(to, task->comm, AMP_COMM_SIZE);
	to[AMP_COMM_SIZE - 1] = 0;
}

static u64 amp_cgroup(struct task_struct *task)
{
#if !defined(CONFIG_CGROUPS)
	return 0;
#elif defined(AMP_HAS_CGROUP_ID)
	return cgroup_id(task_dfl_cgroup(task));
#else /* before 5.5, not tested: as bpf_get_current_cgroup_id() has it there */
	return cgroup_get_kernfs_id(task_dfl_cgroup(task))->id;
#endif
}

/* Fills the head with all but the size. */
static void amp_fill(struct amp_record *r, u32 kind)
{
	struct task_struct *task = current, *parent;
	const struct cred *cred = current_cred();

	r->version = AMP_RECORD_VERSION;
	r->kind = kind;
	r->flags = 0;
	r->time = ktime_get_boot_fast_ns();
	r->start = amp_start_of(task->group_leader);
	r->pid = task->tgid;
	r->uid = __kuid_val(cred->uid);
	r->euid = __kuid_val(cred->euid);
	r->auid = __kuid_val(audit_get_loginuid(task));
	r->merged = 0;
	amp_comm(r->comm, task->group_leader);
	rcu_read_lock();
	r->cgroup = amp_cgroup(task);
	parent = rcu_dereference(task->real_parent);
	r->ppid = parent->tgid;
	parent = parent->group_leader;
	r->parent_start = amp_start_of(parent);
	amp_comm(r->parent, parent);
	rcu_read_unlock();
}

/* Takes a room for an event of the running process, with the head filled and
 * size bytes for all that the kind has beside it, which are 0. NULL: the event goes no further. */
static struct amp_room *amp_begin(u32 kind, u32 size)
{
	struct amp_room *room;

	if (!amp_wanted(kind) || amp_shed(kind))
		return NULL;
	room = amp_enter(kind);
	if (!room)
		return NULL;
	amp_fill(&room->head, kind);
	memset(room->record + sizeof(room->head), 0, size - sizeof(room->head));
	room->size = size;
	return room;
}

#endif
