/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Paths, walked in the kernel from a file up to the root of the tree of mounts
 * in which it is: not to the root of the process (chroot), and not out of
 * a container, whose tree is one of its own. As in /proc, " (deleted)" is at the
 * end of a path that is gone.
 */
#ifndef AMP_PATH_H
#define AMP_PATH_H

#include "loop.h"
#include "typed.h"

#define AMP_COMPONENTS 80 /* names and mounts of a path; more of them are cut off */

/* Bytes of "/", the name of all roots. A dentry that is above all and has a longer
 * one is that of a file in no directory: memfd_create(2). */
#define ROOT_NAME 1

static __always_inline struct mount *mount_of(const struct vfsmount *mnt)
{
	return (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
}

/* Derived layouts may lack struct mount, which is private to the kernel's fs/. */
static __always_inline int mounts_known(void)
{
	return bpf_core_field_exists(((struct mount *)0)->mnt_mountpoint);
}

/* A path of the kernel's: one call, unless that was built with the members of its
 * structures in random order. */
static __always_inline struct path read_path(const struct path *from)
{
	struct path path = {};

	if (bpf_core_field_offset(struct path, dentry) == sizeof(path.mnt)) {
		bpf_core_read(&path, sizeof(path), from);
	} else {
		path.mnt = BPF_CORE_READ(from, mnt);
		path.dentry = BPF_CORE_READ(from, dentry);
	}
	return path;
}

struct amp_step {
	struct dentry *parent;
	struct qstr name;
};

/* Reads where a path goes on above a dentry, and its name. If that takes calls, it is
 * one where they stand side by side, as in all kernels up to now. */
static __always_inline long read_step(struct amp_step *to, struct dentry *d, int may_cast)
{
	if (may_cast && casts) {
		to->parent = CAST(d)->d_parent;
		to->name.len = CAST(d)->d_name.len;
		to->name.name = CAST(d)->d_name.name;
		return 0;
	}
	if (bpf_core_field_offset(struct dentry, d_name) ==
	    bpf_core_field_offset(struct dentry, d_parent) + sizeof(to->parent))
		return bpf_core_read(to, sizeof(*to), &d->d_parent);
	return bpf_core_read(&to->parent, sizeof(to->parent), &d->d_parent) ?:
	       bpf_core_read(&to->name, sizeof(to->name), &d->d_name);
}

/* Puts one more name in front of the path, or goes from a mount to where it is
 * mounted; other than 0 when the path ends. */
static __always_inline int climb_by(struct amp_room *room, int may_cast)
{
	struct amp_walk *w = &room->walk;
	struct dentry *d = w->dentry;
	struct amp_step up;
	__u64 len, at;
	int top;

	if (d == w->root && w->mount) {
		struct mount *mount = w->mount, *below = READ_BY(may_cast, mount, mnt_parent);

		if (below == mount) {
			room->cut = 0;
			return 1;
		}
		w->dentry = READ_BY(may_cast, mount, mnt_mountpoint);
		w->mount = below;
		w->root = READ_BY(may_cast, below, mnt.mnt_root);
		return 0;
	}
	if (read_step(&up, d, may_cast))
		return 1;
	top = up.parent == d || !up.parent;
	if (top && up.name.len <= ROOT_NAME) {
		/* The root of a file system, and not of its mount: the mount was
		 * taken away, or is not known. */
		return 1;
	}
	len = up.name.len & 255;
	at = room->at;
	if (at > AMP_PATH_MAX || at < len + 1)
		return 1;
	at -= len;
	bpf_probe_read_kernel(&room->path[at & (AMP_PATH_MAX - 1)], len, up.name.name);
	at -= 1;
	room->path[at & (AMP_PATH_MAX - 1)] = '/';
	room->at = at;
	if (top) {
		room->cut = 0;
		return 1;
	}
	w->dentry = up.parent;
	return 0;
}

/* Without casts: kernels that have them have bpf_loop, and verifiers before 6.2 refuse
 * what becomes of a cast in a loop ("back-edge"). */
static __always_inline int climb(struct amp_room *room, __u32 i)
{
	return climb_by(room, 0);
}

static long climb_turn(__u32 i, void *room)
{
	return climb_by(*(struct amp_room **)room, 1);
}

/*
 * Puts the path of a dentry on a mount at the end of room->path and returns its
 * bytes. Without a mount it is the path on the file system.
 *
 * For the verifier's sake it is a function of its own, which is looked at once
 * for each program, and what changes from step to step lies in memory: with it in
 * registers each way through a step makes one through the next.
 */
__attribute__((noinline)) int walk(__u64 dentry, __u64 vfsmount, __u32 slot)
{
	struct amp_room *room = bpf_map_lookup_elem(&rooms, &slot);
	struct amp_walk *w;

	if (!room)
		return 0;
	w = &room->walk;
	w->dentry = (struct dentry *)dentry;
	w->root = 0;
	w->mount = 0;
	room->at = AMP_PATH_MAX;
	room->cut = 1;
	if (vfsmount) {
		w->root = READ((struct vfsmount *)vfsmount, mnt_root);
		if (mounts_known())
			w->mount = mount_of((struct vfsmount *)vfsmount);
	}
	AMP_LOOP(climb, room, AMP_COMPONENTS);
	if (room->at == AMP_PATH_MAX) {
		room->at = AMP_PATH_MAX - 1;
		room->path[AMP_PATH_MAX - 1] = '/';
	}
	return AMP_PATH_MAX - room->at;
}

/* Adds the path that walk() made to the record; returns its bytes. */
static __always_inline __u32 append_walked(struct amp_room *room)
{
	__u64 at = room->at & (AMP_PATH_MAX - 1);

	return append(room, room->path + at, AMP_PATH_MAX - at);
}

/* A dentry that is no more in its folder, or never was in one. (A file system's
 * root is no file.) */
static __always_inline int unlinked(struct dentry *dentry)
{
	return !READ(dentry, d_hash.pprev) &&
	       (READ(dentry, d_parent) != dentry ||
		READ(dentry, d_name.len) > ROOT_NAME);
}

/* The same with what /proc adds to a path that is gone. */
static __always_inline __u32 append_path(struct amp_room *room, struct dentry *dentry)
{
	char deleted[10] = " (deleted)";
	__u32 n = append_walked(room);

	if (unlinked(dentry))
		n += append(room, deleted, sizeof(deleted));
	return n;
}

#endif
