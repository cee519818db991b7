/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Paths, from a file up to the root of the tree of mounts in which it is, as the
 * eBPF programs have them: not to the root of the process (chroot). d_path() would
 * do that, and asks for the root of the running task, which one that ends has
 * no more when the kernel closes its files.
 */
#ifndef AMP_PATH_H
#define AMP_PATH_H

#include <linux/dcache.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/uaccess.h>

#include "ring.h"

#define AMP_COMPONENTS 80 /* names and mounts of a path; more of them are cut off */

/* Before 5.8; not tested. Kernels with patches of later ones may have one without the other. */
#ifndef AMP_HAS_KERNEL_NOFAULT
#define copy_from_kernel_nofault probe_kernel_read
#endif
#ifndef get_kernel_nofault
#define get_kernel_nofault(value, at) copy_from_kernel_nofault(&(value), at, sizeof(value))
#endif

/*
 * The front of struct mount, which is private to the kernel's fs/ and in no header.
 * It has stood like this since 3.3, when mounts got a part of their own
 * that others do not see; all that came later came behind it. amp_path_prove()
 * asks the running kernel.
 */
struct amp_mount {
	struct hlist_node hash;
	struct amp_mount *parent;
	struct dentry *mountpoint;
	struct vfsmount mnt;
};

/*
 * Puts the path of a dentry on a mount at the end of room->path and returns its
 * bytes. Without a mount it is the path on the file system. Nothing is locked:
 * dentries and mounts are not freed under RCU, and what is read can be read without
 * a fault, so that the worst that a rename in between does is a mixed path.
 */
static u32 amp_walk(struct amp_room *room, struct dentry *dentry, const struct vfsmount *vfsmount)
{
	struct dentry *root = NULL, *parent;
	struct amp_mount *mount = NULL, *below;
	const unsigned char *name;
	u32 len, step;

	room->at = AMP_PATH_MAX;
	room->cut = true;
	rcu_read_lock();
	if (vfsmount && !get_kernel_nofault(root, &vfsmount->mnt_root))
		mount = container_of(vfsmount, struct amp_mount, mnt);
	for (step = 0; step < AMP_COMPONENTS; step++) {
		if (mount && dentry == root) {
			if (get_kernel_nofault(below, &mount->parent))
				break;
			if (below == mount) {
				room->cut = false;
				break;
			}
			if (get_kernel_nofault(dentry, &mount->mountpoint) ||
			    get_kernel_nofault(root, &below->mnt.mnt_root))
				break;
			mount = below;
			continue;
		}
		if (get_kernel_nofault(parent, &dentry->d_parent) ||
		    get_kernel_nofault(name, &dentry->d_name.name) ||
		    get_kernel_nofault(len, &dentry->d_name.len))
			break;
		/* The root of a file system, and not of its mount: the mount was taken
		 * away, or is not known. One with a name is a file in no directory. */
		if (parent == dentry && len <= 1)
			break;
		len = min_t(u32, len, NAME_MAX);
		if (room->at < len + 1)
			break;
		room->at -= len;
		if (copy_from_kernel_nofault(room->path + room->at, name, len))
			break;
		room->path[--room->at] = '/';
		if (parent == dentry) {
			room->cut = false;
			break;
		}
		dentry = parent;
	}
	rcu_read_unlock();
	if (room->at == AMP_PATH_MAX)
		room->path[--room->at] = '/';
	return AMP_PATH_MAX - room->at;
}

/* Adds bytes to the record; returns how many. */
static u32 amp_append(struct amp_room *room, const void *from, u32 size)
{
	if (size > AMP_RECORD_MAX - room->size)
		return 0;
	memcpy(room->record + room->size, from, size);
	room->size += size;
	return size;
}

/* Adds the path that amp_walk() made to the record; returns its bytes. */
static u32 amp_append_walked(struct amp_room *room)
{
	return amp_append(room, room->path + room->at, AMP_PATH_MAX - room->at);
}

/* A dentry that is no more in its folder, or never was in one. (A file system's
 * root is no file.) */
static bool amp_unlinked(const struct dentry *dentry)
{
	return d_unhashed(dentry) && (!IS_ROOT(dentry) || dentry->d_name.len > 1);
}

/* The same with what /proc adds to a path that is gone. */
static u32 amp_append_path(struct amp_room *room, const struct dentry *dentry)
{
	u32 n = amp_append_walked(room);

	if (amp_unlinked(dentry))
		n += amp_append(room, " (deleted)", 10);
	return n;
}

/* Walks up from a mount for which the kernel itself says what comes out: the path
 * of /proc ends with what d_path() has for it, which knows the loader's root. */
static int amp_path_prove(void)
{
	struct amp_room *room;
	struct path path;
	char *buf, *want;
	size_t n;
	int err;

	err = kern_path("/proc", LOOKUP_FOLLOW, &path);
	if (err)
		return err;
	err = -ENOMEM;
	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	room = kvzalloc(sizeof(*room), GFP_KERNEL);
	if (!buf || !room)
		goto out;
	want = d_path(&path, buf, PATH_MAX);
	err = PTR_ERR_OR_ZERO(want);
	if (err)
		goto out;
	amp_walk(room, path.dentry, path.mnt);
	n = strlen(want);
	if (room->cut || n > AMP_PATH_MAX - room->at || memcmp(room->path + AMP_PATH_MAX - n, want, n)) {
		pr_err("the path of /proc is %.*s, expected %s: this kernel has another struct mount\n",
		       (int)(AMP_PATH_MAX - room->at), room->path + room->at, want);
		err = -EOPNOTSUPP;
	}
out:
	kvfree(room);
	kfree(buf);
	path_put(&path);
	return err;
}

#endif
