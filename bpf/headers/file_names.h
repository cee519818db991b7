/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events of files for which there is but the name that the process used, in its
 * own memory: the record has the directory from which the name counts, a NUL, and
 * the name (AMP_JOINED). The reader puts them together.
 */
#ifndef AMP_FILE_NAMES_H
#define AMP_FILE_NAMES_H

#include "file.h"
#include "system_calls.h"

#define AT_FDCWD -100

/* Puts a name and its directory at the end of the record; returns their bytes. */
__attribute__((noinline)) int append_name(__u32 slot, __s32 directory, __u64 name)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct amp_room *room = bpf_map_lookup_elem(&rooms, &slot);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct path path = {};
	char first = 0, nul = 0;
	__u64 at, begun;
	long n;

	if (!room)
		return 0;
	begun = room->size;
	bpf_probe_read_user(&first, 1, (void *)name);
	if (first == '/') {
		path = read_path(&fs->root);
	} else if (directory == AT_FDCWD) {
		path = read_path(&fs->pwd);
	} else {
		path = read_path(&((struct file *)file_of(directory))->f_path);
	}
	walk((__u64)path.dentry, (__u64)path.mnt, slot);
	append_walked(room);
	append(room, &nul, 1);
	at = room->size;
	if (at > AMP_RECORD_MAX)
		return 0;
	n = bpf_probe_read_user_str(room->record + at, AMP_PATH_MAX, (void *)name);
	if (n > 0)
		room->size = at + n - 1;
	else if (n < 0) /* some kernels give 0 for nothing but a NUL */
		room->cut = 1;
	return room->size - begun;
}

/* Looks at one byte of the path in room->prefix: other than 0 when it is known
 * whether the path is dotted. */
static __always_inline int look_for_dot(struct amp_room *room, __u32 i)
{
	const char *at;

	if (i >= AMP_PREFIX_MAX - 1)
		return 1;
	at = room->prefix.path + i;
	if (at[0] == '/' && (at[1] == '.' || at[1] == '/'))
		room->dotted = 1;
	return !at[0] || room->dotted;
}
AMP_TURN(look_for_dot)

/* Whether the path in room->prefix has components that are nothing, or begin
 * with a dot: it may mean another place then. */
__attribute__((noinline)) int dotted(__u32 slot)
{
	struct amp_room *room = bpf_map_lookup_elem(&rooms, &slot);

	if (!room)
		return 1;
	room->dotted = 0;
	AMP_LOOP(look_for_dot, room, AMP_PREFIX_MAX - 1);
	return room->dotted;
}

/* What is said of the name with its directory that begins at from in the
 * record; negative if that cannot be told without following it. */
__attribute__((noinline)) int place_of_name(__u32 slot, __u64 from)
{
	struct amp_room *room = bpf_map_lookup_elem(&rooms, &slot);
	__u64 n, at;
	__u32 *place;

	if (!room || from > AMP_RECORD_MAX)
		return -1;
	n = bpf_probe_read_kernel_str(room->prefix.path, AMP_PREFIX_MAX, room->record + from);
	if (n < 2 || n > AMP_PREFIX_MAX)
		return -1;
	if (n < AMP_PREFIX_MAX) {
		/* The name follows the directory, in the place of its NUL. What goes over
		 * the end of the prefix goes into room->path, which has been used. */
		at = n == 2 ? 0 : n - 1;
		from += n;
		if (room->record[from] == '/')
			from += 1;
		room->prefix.path[at] = '/';
		bpf_probe_read_kernel_str(room->prefix.path + at + 1, AMP_PREFIX_MAX,
					  room->record + from);
	}
	room->prefix.bits = AMP_PREFIX_MAX * 8;
	if (dotted(slot))
		return -1;
	place = bpf_map_lookup_elem(&places, &room->prefix);
	return place ? *place : 0;
}

/* An event of what a name says, and a second one unless other is 0. The mode, owner
 * and group are those that the call sets. */
static __always_inline void name_event(enum amp_kind kind, __s64 directory, __u64 name,
				       __s64 other_directory, __u64 other, __u32 mode, __u32 owner, __u32 group)
{
	struct amp_room *room;
	struct amp_file_record *r;
	__u64 from;
	int place, second, ask;

	if (!wanted(kind))
		return;
	room = begin_file(kind, 0);
	if (!room)
		return;
	r = &room->file;
	r->mode = mode;
	r->owner = owner;
	r->group = group;
	r->head.flags |= AMP_JOINED;
	ask = paths_decide(kind);
	r->path_size = append_name(room->slot, directory, name);
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	place = ask ? place_of_name(room->slot, sizeof(*r)) : -1;
	if (other) {
		from = room->size;
		r->target_size = append_name(room->slot, other_directory, other);
		if (room->cut)
			r->head.flags |= AMP_TARGET_TRUNCATED;
		second = ask ? place_of_name(room->slot, from) : -1;
		if (second < 0)
			place = -1;
		if (place >= 0)
			place = (place & second & AMP_PLACE_EXCLUDED) | ((place | second) & AMP_PLACE_SYSTEM);
	}
	if (place >= 0 && !goes_on(kind, place)) {
		leave(room);
		return;
	}
	send(room);
}

#endif
