/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events of files: what is the same however the kernel is watched.
 */
#ifndef AMP_FILE_H
#define AMP_FILE_H

#include "filter.h"

/* include/linux/fs.h */
#define FMODE_WRITE 0x2
#define FMODE_OPENED 0x80000
#define FMODE_CREATED 0x100000
#define FMODE_NOACCOUNT 0x20000000 /* a file system's own, below another file */

#define PROT_EXEC 0x4 /* include/uapi/asm-generic/mman-common.h */

/* include/uapi/linux/magic.h. Files that are no store of anything: a write there
 * is a word to the kernel. */
#define PROC_SUPER_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x62656572
#define CGROUP_SUPER_MAGIC 0x27e0eb
#define CGROUP2_SUPER_MAGIC 0x63677270
#define DEBUGFS_MAGIC 0x64626720
#define TRACEFS_MAGIC 0x74726163
#define SELINUX_MAGIC 0xf97cff8c

/* Files in memory alone: memfd_create(2). */
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6

#define SB_NOUSER (1UL << 31) /* include/linux/fs.h: the kernel's own mount */

static __always_inline int pseudo(struct super_block *sb)
{
	__u64 magic = READ(sb, s_magic);

	/* Descriptors that are regular files by their mode only: pidfs since 6.9 and others. */
	if (READ(sb, s_flags) & SB_NOUSER)
		return magic != TMPFS_MAGIC && magic != HUGETLBFS_MAGIC;
	return magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC || magic == CGROUP2_SUPER_MAGIC ||
	       magic == CGROUP_SUPER_MAGIC || magic == DEBUGFS_MAGIC || magic == TRACEFS_MAGIC ||
	       magic == SELINUX_MAGIC;
}

/*
 * Where the front of an inode has what an event tells of it, that is read into the room
 * as a whole. A call for each field is a part of what an event costs that one can
 * see, where there are no casts. The loader looks (fit.go): a kernel may have been
 * built with the members of its structures in random order.
 */
const volatile __u32 fronts = 0;

#define IN_FRONT(room, inode, field)                                                      \
	({                                                                                \
		typeof((inode)->field) _value;                                            \
		if (fronts)                                                               \
			_value = *(typeof(_value) *)((room)->front +                      \
						     bpf_core_field_offset(typeof(*(inode)), field)); \
		else                                                                      \
			_value = READ(inode, field);                                      \
		_value;                                                                   \
	})

static __always_inline __u64 changed(struct amp_room *room, struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_ctime_sec))
		return IN_FRONT(room, inode, i_ctime_sec) * 1000000000ULL +
		       IN_FRONT(room, inode, i_ctime_nsec);
	if (bpf_core_field_exists(((struct inode___6_6 *)inode)->__i_ctime))
		return IN_FRONT(room, (struct inode___6_6 *)inode, __i_ctime.tv_sec) * 1000000000ULL +
		       IN_FRONT(room, (struct inode___6_6 *)inode, __i_ctime.tv_nsec);
	return IN_FRONT(room, (struct inode___before_6_6 *)inode, i_ctime.tv_sec) * 1000000000ULL +
	       IN_FRONT(room, (struct inode___before_6_6 *)inode, i_ctime.tv_nsec);
}

static __always_inline int regular(struct inode *inode)
{
	return (READ(inode, i_mode) & S_IFMT) == S_IFREG;
}

/* Takes a room for an event of a file; inode may be NULL. */
static __always_inline struct amp_room *begin_file(enum amp_kind kind, struct inode *inode)
{
	struct amp_room *room = begin(kind);
	struct amp_file_record *r;
	struct super_block *sb;

	if (!room)
		return 0;
	r = &room->file;
	room->size = sizeof(*r);
	r->target_inode = 0;
	r->target_device = 0;
	r->path_size = 0;
	r->target_size = 0;
	if (!inode) {
		r->inode = 0;
		r->size = 0;
		r->changed = 0;
		r->device = 0;
		r->mode = 0;
		r->owner = ~0;
		r->group = ~0;
		return room;
	}
	if (fronts)
		bpf_probe_read_kernel(room->front, sizeof(room->front), inode);
	r->inode = IN_FRONT(room, inode, i_ino);
	r->size = IN_FRONT(room, inode, i_size);
	r->changed = changed(room, inode);
	sb = IN_FRONT(room, inode, i_sb);
	r->device = READ(sb, s_dev);
	r->mode = IN_FRONT(room, inode, i_mode);
	r->owner = IN_FRONT(room, inode, i_uid.val);
	r->group = IN_FRONT(room, inode, i_gid.val);
	return room;
}

/* The key under which a repetition of the event would be found. */
static __always_inline void key_of(struct amp_recent *e, struct amp_file_record *r, __u64 state)
{
	e->inode = r->inode;
	e->state = state;
	e->time = r->head.time;
	e->device = r->device;
	e->pid = r->head.kind == AMP_FILE_MAP ? 0 : r->head.pid;
	e->kind = r->head.kind;
	e->merged = 0;
}

/*
 * An event of one file whose dentry and mount are known. What of it must be the
 * same for a repetition to be no news depends on the kind.
 */
static __attribute__((noinline)) int file_event(__u32 kind, __u64 dentry, __u64 mount, __u64 inode)
{
	struct amp_recent e = {};
	struct amp_file_record *r;
	struct amp_room *room;
	int once = kind == AMP_FILE_WRITE || kind == AMP_FILE_MAP || kind == AMP_FILE_ATTRIBUTES;

	if (inode && pseudo(READ((struct inode *)inode, i_sb)))
		return 0;
	room = begin_file(kind & 31, (struct inode *)inode);
	if (!room)
		return 0;
	r = &room->file;
	if (once) {
		key_of(&e, r, kind == AMP_FILE_ATTRIBUTES ? (__u64)r->owner << 32 ^ r->group << 16 ^ r->mode :
							    r->changed ^ r->size << 40);
		if (duplicate(&e, kind == AMP_FILE_MAP ? AMP_MAP_WINDOW : AMP_WINDOW)) {
			leave(room);
			return 0;
		}
	}
	walk(dentry, mount, room->slot);
	if (!path_goes_on(room, kind & 31)) {
		leave(room);
		return 0;
	}
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	if (kind == AMP_FILE_DELETE)
		r->path_size = append_walked(room);
	else
		r->path_size = append_path(room, (struct dentry *)dentry);
	if (once)
		r->head.merged = remember(&e);
	send(room);
	return 0;
}

/* Of an argument. */
static __always_inline int regular_file(struct file *file)
{
	struct inode *inode = ARGUMENT_READ(file, f_inode);

	return (ARGUMENT_READ(inode, i_mode) & S_IFMT) == S_IFREG;
}

static __always_inline void event_of(enum amp_kind kind, struct file *file)
{
	struct path path = read_path(&file->f_path);

	file_event(kind, (__u64)path.dentry, (__u64)path.mnt, (__u64)BPF_CORE_READ(file, f_inode));
}

/* A file was opened. */
static __always_inline void opened(struct file *file)
{
	__u32 mode = ARGUMENT_READ(file, f_mode);

	/* One without a name (O_TMPFILE) comes to be when it gets one. */
	if (mode & FMODE_CREATED && !(mode & FMODE_NOACCOUNT) && regular_file(file) &&
	    !unlinked(READ(file, f_path.dentry)))
		event_of(AMP_FILE_CREATE, file);
}

/* A file is about to be closed, by the last who had it. */
static __always_inline void closing(struct file *file)
{
	__u32 mode = ARGUMENT_READ(file, f_mode);

	if (mode & FMODE_WRITE && mode & FMODE_OPENED && !(mode & FMODE_NOACCOUNT) &&
	    regular_file(file))
		event_of(AMP_FILE_WRITE, file);
}

/* A file is mapped. */
static __always_inline void mapped(struct file *file, __u64 protection)
{
	if (file && protection & PROT_EXEC && regular_file(file))
		event_of(AMP_FILE_MAP, file);
}

/* Bytes went from one file to another inside the kernel. */
__attribute__((noinline)) int copied(__u64 from_file, __u64 to_file)
{
	struct file *from = (struct file *)from_file, *to = (struct file *)to_file;
	struct inode *source = BPF_CORE_READ(from, f_inode), *target = BPF_CORE_READ(to, f_inode);
	struct amp_recent e = {};
	struct amp_file_record *r;
	struct amp_room *room;
	struct path path;
	__u32 place = 0;
	__u64 at;
	int ask;

	if (!wanted(AMP_FILE_COPY) || !regular(source) || !regular(target))
		return 0;
	room = begin_file(AMP_FILE_COPY, source);
	if (!room)
		return 0;
	r = &room->file;
	r->target_inode = BPF_CORE_READ(target, i_ino);
	r->target_device = BPF_CORE_READ(target, i_sb, s_dev);
	key_of(&e, r, r->target_inode ^ (__u64)r->target_device << 32);
	if (duplicate(&e, AMP_WINDOW)) {
		leave(room);
		return 0;
	}
	ask = paths_decide(AMP_FILE_COPY);

	path = read_path(&from->f_path);
	walk((__u64)path.dentry, (__u64)path.mnt, room->slot);
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	if (ask) {
		at = room->at & (AMP_PATH_MAX - 1);
		place = place_of(room, room->path + at, AMP_PATH_MAX - at);
	}
	r->path_size = append_path(room, path.dentry);

	path = read_path(&to->f_path);
	walk((__u64)path.dentry, (__u64)path.mnt, room->slot);
	if (room->cut)
		r->head.flags |= AMP_TARGET_TRUNCATED;
	if (ask) {
		at = room->at & (AMP_PATH_MAX - 1);
		/* Left out if both are excluded, seen if one is the system's. */
		at = place_of(room, room->path + at, AMP_PATH_MAX - at);
		place = (place & at & AMP_PLACE_EXCLUDED) | ((place | at) & AMP_PLACE_SYSTEM);
		if (!goes_on(AMP_FILE_COPY, place)) {
			leave(room);
			return 0;
		}
	}
	r->target_size = append_path(room, path.dentry);
	r->head.merged = remember(&e);
	send(room);
	return 0;
}

#endif
