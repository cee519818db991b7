/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which events go on, decided in the order of what it costs: the kind, the
 * user, the executable, duplicates, the path. Each event that does not go on is
 * counted by its reason.
 */
#ifndef AMP_FILTER_H
#define AMP_FILTER_H

#include "events.h"
#include "path.h"
#include "task.h"

/* Users whose events are left out, by real uid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, __u32);
} excluded_users SEC(".maps");

/* Executables whose processes' events are left out. */
struct amp_executable {
	__u64 inode;
	__u32 device;
	__u32 padding;
};

enum amp_exclusion {
	AMP_WITH_CHILDREN = 1 << 0,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct amp_executable);
	__type(value, __u32);
} excluded_executables SEC(".maps");

/* Processes that are left out whatever they execute, since an ancestor of
 * theirs is left out with its children. Kept by the programs of process.c. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32); /* pid */
	__type(value, __u32);
} heirs SEC(".maps");

/* What is said of paths: user space puts into each entry what the shorter
 * prefixes of its path say too. */
enum amp_place {
	AMP_PLACE_EXCLUDED = 1 << 0,
	AMP_PLACE_SYSTEM = 1 << 1, /* seen even while monitoring is reduced */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct amp_prefix);
	__type(value, __u32);
} places SEC(".maps");

/* What each process did, excluded and shed events too. */
struct amp_process {
	__u64 start;
	__u32 pid;
	__u32 padding;
};

struct amp_activity {
	struct amp_executable exe;
	__u32 uid;
	__u32 padding;
	char comm[AMP_COMM_SIZE];
	__u32 kinds[AMP_KINDS]; /* may wrap: of thousands of processes all is read, often */
};

static __always_inline void count_activity(struct amp_activity *a, __u32 kind)
{
	/* What is compared is to be what the address is made of: verifiers do not
	 * know that one number is a part of another. */
	if (!__builtin_constant_p(kind))
		barrier_var(kind);
	if (kind < AMP_KINDS)
		__sync_fetch_and_add(&a->kinds[kind], 1);
}

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct amp_process);
	__type(value, struct amp_activity);
} activity SEC(".maps");

/* Where a new entry of activity is made: it does not fit on the stack. A
 * program that is preempted in between may make one with another's first count. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct amp_activity);
} activity_template SEC(".maps");

/* What the running process executes. */
static __always_inline struct amp_executable executable_of(struct task_struct *task)
{
	struct mm_struct *mm = TASK_READ(task, mm);
	struct amp_executable exe = {};
	struct super_block *sb;
	struct inode *inode;
	struct file *file;

	if (!mm)
		return exe;
	file = TASK_READ(mm, exe_file);
	if (file) {
		inode = TASK_READ(file, f_inode);
		sb = TASK_READ(inode, i_sb);
		exe.inode = TASK_READ(inode, i_ino);
		exe.device = TASK_READ(sb, s_dev);
	}
	return exe;
}

static __always_inline struct amp_activity *activity_of(struct task_struct *task)
{
	struct task_struct *leader = TASK_READ(task, group_leader);
	struct cred *cred;
	struct amp_process key = {};
	struct amp_activity *a;
	__u32 zero = 0;

	key.start = start_of(leader);
	key.pid = TASK_READ(task, tgid);
	a = bpf_map_lookup_elem(&activity, &key);
	if (a)
		return a;
	a = bpf_map_lookup_elem(&activity_template, &zero);
	if (!a)
		return 0;
	cred = TASK_READ(task, cred);
	a->exe = executable_of(task);
	a->uid = TASK_READ(cred, uid.val);
	read_comm(a->comm, leader);
	bpf_map_update_elem(&activity, &key, a, BPF_NOEXIST);
	return bpf_map_lookup_elem(&activity, &key);
}

static __always_inline __u32 excluded(struct amp_settings *set, struct amp_activity *a, __u32 pid)
{
	if (set->checks & AMP_CHECK_USERS) {
		__u32 uid = a->uid;

		if (bpf_map_lookup_elem(&excluded_users, &uid))
			return 1;
	}
	if (set->checks & AMP_CHECK_PROCESSES) {
		struct amp_executable exe = a->exe;

		if (bpf_map_lookup_elem(&excluded_executables, &exe))
			return 1;
	}
	if (set->checks & AMP_CHECK_CHILDREN && bpf_map_lookup_elem(&heirs, &pid))
		return 1;
	return 0;
}

#define AMP_FILE_KINDS                                                                   \
	(1 << AMP_FILE_CREATE | 1 << AMP_FILE_WRITE | 1 << AMP_FILE_RENAME |             \
	 1 << AMP_FILE_LINK | 1 << AMP_FILE_DELETE | 1 << AMP_FILE_ATTRIBUTES |          \
	 1 << AMP_FILE_MAP | 1 << AMP_FILE_COPY)

static __always_inline int shedding(struct amp_settings *set)
{
	return set->reduced || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= set->nearly_full;
}

/* Whether anybody wants events of the kind. Cheap: ask before all else. */
static __always_inline int wanted(enum amp_kind kind)
{
	struct amp_settings *set = get_settings();

	return set && set->kinds >> kind & 1;
}

/* Who: what is the same for all kinds. */
static __always_inline void fill(struct amp_record *r, enum amp_kind kind,
				 struct task_struct *task)
{
	struct task_struct *parent = TASK_READ(task, real_parent);
	struct task_struct *leader = TASK_READ(task, group_leader);
	struct cred *cred = TASK_READ(task, cred);

	r->version = AMP_RECORD_VERSION;
	r->kind = kind;
	r->flags = 0;
	r->time = bpf_ktime_get_boot_ns();
	r->start = start_of(leader);
	r->cgroup = bpf_get_current_cgroup_id();
	r->pid = TASK_READ(task, tgid);
	r->uid = TASK_READ(cred, uid.val);
	r->euid = TASK_READ(cred, euid.val);
	r->auid = ~0;
	if (bpf_core_field_exists(task->loginuid))
		r->auid = TASK_READ(task, loginuid.val);
	r->merged = 0;
	read_comm(r->comm, leader);
	r->ppid = TASK_READ(parent, tgid);
	parent = TASK_READ(parent, group_leader);
	r->parent_start = start_of(parent);
	read_comm(r->parent, parent);
}

/* begin() of a kind that is wanted, where the process's activity is at hand. */
static __always_inline struct amp_room *begin_as(struct amp_activity *a, enum amp_kind kind,
						 struct task_struct *task)
{
	struct amp_settings *set = get_settings();
	struct amp_room *room;
	__u32 bit = 1U << kind;

	if (!set)
		return 0;
	if (a) {
		count_activity(a, kind);
		if (set->checks & ~AMP_CHECK_PATHS && excluded(set, a, TASK_READ(task, tgid))) {
			count(kind, AMP_EXCLUDED);
			return 0;
		}
	}
	if (!((set->critical | AMP_FILE_KINDS) & bit) && shedding(set)) {
		count(kind, AMP_SHED);
		return 0;
	}
	room = enter(kind);
	if (room)
		fill((struct amp_record *)room->record, kind, task);
	return room;
}

/*
 * begin() for the verifier: a function of its own, which is looked at once and of which
 * the ways through it end. Inlined, each of them went on through all that comes behind
 * it, and loading took half as long again.
 */
__attribute__((noinline)) int begin_event(__u32 kind)
{
	struct task_struct *task = current_task();
	struct amp_room *room;

	if (!wanted(kind & 31))
		return 0;
	room = begin_as(activity_of(task), kind & 31, task);
	return room ? room->slot + 1 : 0;
}

/*
 * The start of an event of the running process: decides what can be decided without
 * its file, and takes a room with the record's head filled in. NULL: the event goes
 * no further, and is counted. The caller writes what its kind has beside the
 * head, sets room->size to the size of its structure, appends the tail, and
 * ends with send() or leave().
 */
static __always_inline struct amp_room *begin(enum amp_kind kind)
{
	__u32 slot = begin_event(kind);

	if (!slot)
		return 0;
	slot -= 1;
	return bpf_map_lookup_elem(&rooms, &slot);
}

/* Whether paths decide about events of the kind at the moment. */
static __always_inline int paths_decide(enum amp_kind kind)
{
	struct amp_settings *set = get_settings();

	return set && (set->checks & AMP_CHECK_PATHS ||
		       (!(set->critical >> kind & 1) && shedding(set)));
}

/* What is said of a path of so many bytes. */
static __always_inline __u32 place_of(struct amp_room *room, const char *path, __u64 len)
{
	__u32 *place;

	if (len > AMP_PREFIX_MAX - 1)
		len = AMP_PREFIX_MAX - 1;
	bpf_probe_read_kernel(room->prefix.path, len, path);
	room->prefix.path[len] = 0;
	room->prefix.bits = (len + 1) * 8;
	place = bpf_map_lookup_elem(&places, &room->prefix);
	return place ? *place : 0;
}

/* Whether an event goes on that happened at such a place. If not, it is
 * counted, and the caller leaves the room. */
static __always_inline int goes_on(enum amp_kind kind, __u32 place)
{
	struct amp_settings *set = get_settings();

	if (place & AMP_PLACE_EXCLUDED) {
		count(kind, AMP_EXCLUDED);
		return 0;
	}
	if (set && !(set->critical >> kind & 1) && !(place & AMP_PLACE_SYSTEM) && shedding(set)) {
		count(kind, AMP_SHED);
		return 0;
	}
	return 1;
}

/* The same for the path that walk() made. */
static __always_inline int path_goes_on(struct amp_room *room, enum amp_kind kind)
{
	__u64 at = room->at & (AMP_PATH_MAX - 1);

	return !paths_decide(kind) ||
	       goes_on(kind, place_of(room, room->path + at, AMP_PATH_MAX - at));
}

/*
 * Duplicates: the same kind of event of the same process and file, with nothing
 * changed since (state), within a short time. Each CPU remembers a few; a later
 * event that does go on tells how many were left out before it.
 */
struct amp_recent {
	__u64 inode;
	__u64 state;
	__u64 time;
	__u32 device;
	__u32 pid;
	__u32 kind;
	__u32 merged;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, struct amp_recent);
} recent SEC(".maps");

#define AMP_WINDOW 1000000000ULL      /* ns */
#define AMP_MAP_WINDOW 60000000000ULL /* of files that are mapped, whoever does it */

static __always_inline struct amp_recent *recent_of(const struct amp_recent *e)
{
	__u64 h = (e->inode ^ (__u64)e->pid << 32 ^ e->device ^ (__u64)e->kind << 56) *
		  0x9E3779B97F4A7C15ULL;
	__u32 place = h >> 55;

	return bpf_map_lookup_elem(&recent, &place);
}

static __always_inline int same(const struct amp_recent *a, const struct amp_recent *b)
{
	return a->inode == b->inode && a->device == b->device && a->pid == b->pid &&
	       a->kind == b->kind;
}

/* Whether e is a duplicate, within so many ns. It is counted then. */
static __always_inline int duplicate(const struct amp_recent *e, __u64 window)
{
	struct amp_recent *old = recent_of(e);

	if (!old || !same(old, e) || old->state != e->state || e->time - old->time > window)
		return 0;
	old->merged += 1;
	count(e->kind, AMP_MERGED);
	return 1;
}

/* Remembers an event that goes on; returns how many before it were left out. */
static __always_inline __u32 remember(const struct amp_recent *e)
{
	struct amp_recent *old = recent_of(e);
	__u32 merged;

	if (!old)
		return 0;
	merged = same(old, e) ? old->merged : 0;
	*old = *e;
	old->merged = 0;
	return merged;
}

#endif
