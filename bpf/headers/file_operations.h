/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Operations on names, watched at the kernel's own functions (vfs_unlink() and
 * so on): what they begin with is kept by thread until their result is known.
 *
 * The functions know dentries, not mounts. mnt_want_write() comes before each of
 * them and tells the mount, or mnt_want_write_file() where the call has a
 * descriptor. A file system that stands on others (overlayfs)
 * calls the same functions once more from within; that is not told.
 */
#ifndef AMP_FILE_OPERATIONS_H
#define AMP_FILE_OPERATIONS_H

#include "file.h"

struct amp_operation {
	__u64 time;
	__u64 dentry;
	__u64 target; /* dentry; a file, for a copy */
	__u64 mount;
	__u64 inode;  /* address */
	__u64 parent; /* of a name that will be gone */
	__u32 kind;
	__u32 nested;
	__u32 late; /* begun by begin_rmdir() */
	__u32 name_size;
	char name[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32); /* thread */
	__type(value, struct amp_operation);
} operations SEC(".maps");

/* The mount that a thread was going to write to last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, __u64);
} write_mounts SEC(".maps");

/* An operation that did not end by then was missed at its end. To copy a large
 * file up takes overlayfs seconds, within which there are others. Of threads
 * that ended since, the reader finds what they left (bpf/operations.go). */
#define AMP_STALE 10000000000ULL /* ns */

static __always_inline void ended_unseen(struct amp_operation *op, __u32 thread)
{
	if (!op->late) /* such a one failed */
		count(op->kind, AMP_MISSED);
	bpf_map_delete_elem(&operations, &thread);
}

static __always_inline void will_write(__u64 mount)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct amp_operation *op = bpf_map_lookup_elem(&operations, &thread);
	__u64 *last;

	if (op) {
		/* What is within an operation writes to a file system below the
		 * operation's. Its own is written to when it is over: the kernel
		 * has only so many kretprobes for those that wait in a function. */
		if (!op->late && op->mount != mount && bpf_ktime_get_boot_ns() - op->time <= AMP_STALE)
			return;
		ended_unseen(op, thread);
	}
	last = bpf_map_lookup_elem(&write_mounts, &thread);
	if (last)
		*last = mount; /* an update costs several times as much */
	else
		bpf_map_update_elem(&write_mounts, &thread, &mount, BPF_ANY);
}

/* Where the thread writes, if that is the file system of the dentry. */
static __always_inline __u64 mount_for(struct dentry *dentry)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 *mount = bpf_map_lookup_elem(&write_mounts, &thread);

	if (mount && BPF_CORE_READ((struct vfsmount *)*mount, mnt_sb) == BPF_CORE_READ(dentry, d_sb))
		return *mount;
	return 0;
}

/* Whether the thread is within an operation already; counts how deep. */
static __always_inline int within(__u32 thread)
{
	struct amp_operation *outer = bpf_map_lookup_elem(&operations, &thread);

	if (!outer)
		return 0;
	if (bpf_ktime_get_boot_ns() - outer->time > AMP_STALE) {
		ended_unseen(outer, thread);
		return 0;
	}
	outer->nested += 1;
	return 1;
}

static __always_inline void begin_operation(enum amp_kind kind, struct dentry *dentry, __u64 target)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct amp_operation op = {};
	struct qstr name;

	if (!wanted(kind) || within(thread))
		return;
	op.time = bpf_ktime_get_boot_ns();
	op.kind = kind;
	op.dentry = (__u64)dentry;
	op.target = target;
	op.mount = mount_for(dentry);
	op.inode = (__u64)BPF_CORE_READ(dentry, d_inode);
	if (kind == AMP_FILE_RENAME) {
		/* Another name of the same file: nothing will happen. */
		if (op.inode == (__u64)BPF_CORE_READ((struct dentry *)target, d_inode))
			return;
		op.parent = (__u64)BPF_CORE_READ(dentry, d_parent);
		bpf_core_read(&name, sizeof(name), &dentry->d_name);
		op.name_size = name.len & 255;
		bpf_probe_read_kernel(op.name, name.len & 255, name.name);
	}
	if (bpf_map_update_elem(&operations, &thread, &op, BPF_ANY))
		count(kind, AMP_MISSED);
}

/*
 * Compilers put vfs_rmdir() into its caller (seen: Debian's 5.10), where nothing can
 * be attached. What it calls then stands for it: one function before a directory is
 * removed, and another after that succeeded.
 */
static __always_inline void begin_rmdir(struct dentry *dentry)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct amp_operation op = {};

	if (!wanted(AMP_FILE_DELETE) || bpf_map_lookup_elem(&operations, &thread))
		return;
	op.time = bpf_ktime_get_boot_ns();
	op.kind = AMP_FILE_DELETE;
	op.late = 1;
	op.dentry = (__u64)dentry;
	op.mount = mount_for(dentry);
	op.inode = (__u64)BPF_CORE_READ(dentry, d_inode);
	if (bpf_map_update_elem(&operations, &thread, &op, BPF_ANY))
		count(AMP_FILE_DELETE, AMP_MISSED);
}

static __always_inline void end_rmdir(struct dentry *dentry)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct amp_operation *op = bpf_map_lookup_elem(&operations, &thread);

	if (!op || !op->late || op->dentry != (__u64)dentry)
		return;
	/* The argument itself is a pointer to kernels, which want a number here. */
	file_event(AMP_FILE_DELETE, *(volatile __u64 *)&op->dentry, op->mount, op->inode);
	bpf_map_delete_elem(&operations, &thread);
}

/* A rename that was done, or a link: two paths. */
__attribute__((noinline)) int moved(__u32 thread)
{
	struct amp_operation *op = bpf_map_lookup_elem(&operations, &thread);
	struct amp_file_record *r;
	struct amp_room *room;
	__u32 place = 0, second, n;
	char slash = '/';
	int ask, kind;

	if (!op)
		return 0;
	kind = op->kind & 31;
	room = begin_file(kind, (struct inode *)op->inode);
	if (!room)
		return 0;
	r = &room->file;
	ask = paths_decide(kind);

	/* A renamed dentry has its new name by now. */
	walk(kind == AMP_FILE_RENAME ? op->parent : op->dentry, op->mount, room->slot);
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	n = append_walked(room);
	if (kind == AMP_FILE_RENAME) {
		if (n != 1)
			n += append(room, &slash, 1);
		n += append(room, op->name, op->name_size & 255);
	}
	r->path_size = n;
	if (ask)
		place = place_of(room, room->record + sizeof(*r), n);

	walk(kind == AMP_FILE_RENAME ? op->dentry : op->target, op->mount, room->slot);
	if (room->cut)
		r->head.flags |= AMP_TARGET_TRUNCATED;
	if (ask) {
		__u64 at = room->at & (AMP_PATH_MAX - 1);

		/* Left out if both are excluded, seen if one is the system's. */
		second = place_of(room, room->path + at, AMP_PATH_MAX - at);
		place = (place & second & AMP_PLACE_EXCLUDED) | ((place | second) & AMP_PLACE_SYSTEM);
		if (!goes_on(kind, place)) {
			leave(room);
			return 0;
		}
	}
	r->target_size = append_walked(room);
	r->target_inode = r->inode;
	r->target_device = r->device;
	send(room);
	return 0;
}

static __always_inline void end_operation(enum amp_kind kind, __s64 result)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct amp_operation *op = bpf_map_lookup_elem(&operations, &thread);
	struct dentry *dentry;

	if (!op)
		return;
	if (op->nested) {
		op->nested -= 1;
		return;
	}
	dentry = (struct dentry *)op->dentry;
	if (op->kind == kind && result >= 0) {
		if (kind == AMP_FILE_RENAME || kind == AMP_FILE_LINK)
			moved(thread);
		else if (kind == AMP_FILE_COPY)
			copied(op->dentry, op->target);
		else if (kind == AMP_FILE_CREATE) /* it has its inode now */
			file_event(kind, op->dentry, op->mount, (__u64)BPF_CORE_READ(dentry, d_inode));
		else
			file_event(kind, op->dentry, op->mount, op->inode);
	}
	bpf_map_delete_elem(&operations, &thread);
}

#endif
