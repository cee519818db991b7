/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What all programs share: the settings, the ring, the counts, and the room in
 * which a record is put together. Each object has these maps; the loader makes
 * them once and gives them to all (loader.go).
 */
#ifndef AMP_EVENTS_H
#define AMP_EVENTS_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "record.h"
#include "network_record.h"
#include "system_record.h"

/* What user space asks for. It may change at any time, field by field. */
struct amp_settings {
	__u32 kinds;	    /* that are wanted: 1 << kind */
	__u32 checks;	    /* enum amp_check: which exclusions there are at all */
	__u32 reduced;	    /* critical kinds and system directories only */
	__u32 critical;	    /* the critical kinds: 1 << kind */
	__u64 wakeup_bytes; /* in the ring, from which on the reader is woken */
	__u64 nearly_full;  /* bytes in the ring, from which on as if reduced */
};

enum amp_check {
	AMP_CHECK_USERS = 1 << 0,
	AMP_CHECK_PROCESSES = 1 << 1,
	AMP_CHECK_CHILDREN = 1 << 2,
	AMP_CHECK_PATHS = 1 << 3,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct amp_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* bytes; the loader sets it */
} events SEC(".maps");

/* The reader sets it when it goes to sleep for long; the next record wakes it.
 * While it is 0 the reader looks at the ring by itself, every few ms. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} reader_waits SEC(".maps");

/* What became of the events that did not get into the ring; and TAKEN, those
 * that a second program took, which are in the ring. */
enum amp_verdict {
	AMP_EXCLUDED,
	AMP_MERGED,
	AMP_SHED,
	AMP_FULL,
	AMP_MISSED,
	AMP_TAKEN,
	AMP_VERDICTS = 8,
};

struct amp_counts {
	__u64 of[32][AMP_VERDICTS]; /* by kind and verdict */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct amp_counts);
} counts SEC(".maps");

static __always_inline struct amp_settings *get_settings(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&settings, &key);
}

/* The CPU may change hands within the addition where programs can be preempted
 * (see mine()); the machine's instruction adds to memory in one go. */
static __always_inline void count(__u32 kind, enum amp_verdict verdict)
{
	__u32 key = 0;
	struct amp_counts *c = bpf_map_lookup_elem(&counts, &key);

	if (c)
		__sync_fetch_and_add(&c->of[kind & 31][verdict], 1);
}

/*
 * The kernel leaves a program out while the same one is running on that CPU, and
 * counts that as its recursion misses. Tracepoints used to run without
 * preemption, so that it did not happen. In 7.2 a program can be preempted by
 * another process that executes a file too (seen: 3 in 1000 in a small guest).
 * Keeping the CPU with bpf_preempt_disable() does not help: giving it back
 * is where the other process gets it, and the program is still running then.
 *
 * So each such hook has two programs. The first leaves a mark for its thread; the
 * second, which the kernel calls after it, does the work if there is none. Marks
 * are found by thread and hook. Should two ever meet in one place, an event is
 * seen twice.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} marks SEC(".maps");

enum program {
	FIRST,
	SECOND,
};

/*
 * What is compiled twice has its second programs in an object of their own, made with
 * AMP_SECOND: where they are not needed, nobody has to read them.
 */
#ifdef AMP_SECOND
#define THIS SECOND
#define PROGRAM(name) name##_second
#else
#define THIS FIRST
#define PROGRAM(name) name
#endif

/* Whether this program is the one to do the work. kind and hook name the hook:
 * hook tells those of one kind apart. */
static __always_inline int mine(enum program which, enum amp_kind kind, __u32 hook)
{
	__u64 thread = (__u32)bpf_get_current_pid_tgid();
	__u64 want = thread | (__u64)(kind + 32 * hook + 1) << 32;
	__u32 place = (thread + (kind + 32 * hook) * 769) & 8191;
	__u64 *mark = bpf_map_lookup_elem(&marks, &place);

	if (!mark)
		return which == FIRST;
	if (which == FIRST) {
		*mark = want;
		return 1;
	}
	if (*mark == want) {
		*mark = 0;
		return 0;
	}
	count(kind, AMP_TAKEN);
	return 1;
}

/* The longest key of an LPM trie. */
#define AMP_PREFIX_MAX 256

struct amp_prefix {
	__u32 bits;
	char path[AMP_PREFIX_MAX];
};

/* Fixed part and tail of a record, at most. */
#define AMP_RECORD_MAX 20480

/* Bytes of the front of an inode, file.h. */
#define AMP_INODE_FRONT 136

/* Where walk() is, path.h. */
struct amp_walk {
	struct dentry *dentry;
	struct dentry *root; /* of the mount */
	struct mount *mount;
};

/* Room to put a record together: paths and arguments do not fit on the stack,
 * and bpf_ringbuf_reserve() takes constant sizes only. (Nor is a record filled
 * in place: a reader waits for a reserved record, and a program may have to
 * wait for the CPU in between.) */
struct amp_room {
	__u64 owner; /* the thread in it, 0 if there is none */
	__u32 slot;  /* this room's number */
	__u32 size;  /* of record so far */
	__u32 at;    /* where in path the path begins that walk() made */
	__u32 cut;   /* walk(): path is not whole */
	__u32 dotted; /* dotted(): prefix is */
	struct amp_walk walk;
	char front[AMP_INODE_FRONT] __attribute__((aligned(8)));
	struct amp_prefix prefix;
	char path[AMP_PATH_MAX + 256];
	union {
		struct amp_exec_record exec;
		struct amp_exit_record exit;
		struct amp_file_record file;
		struct amp_flow_record flow;
		struct amp_system_record system;
		char record[AMP_RECORD_MAX + AMP_PATH_MAX];
	};
};

/*
 * A program can be preempted or interrupted by another on the same CPU, so that
 * each CPU has several rooms. Taking one is no atomic operation (that came
 * with 5.12); should two take one at the same moment, the first notices in
 * send(), and its event is counted as missed.
 */
#define AMP_ROOMS 3

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, AMP_ROOMS);
	__type(key, __u32);
	__type(value, struct amp_room);
} rooms SEC(".maps");

static __always_inline __u64 owner(void)
{
	return (__u32)bpf_get_current_pid_tgid() | 1ULL << 32;
}

/* Takes a room, or counts the event as missed and returns NULL. leave() or
 * send() gives it back. */
static __always_inline struct amp_room *enter(enum amp_kind kind)
{
	struct amp_room *room;

	for (__u32 slot = 0; slot < AMP_ROOMS; slot++) {
		__u32 key = slot;

		room = bpf_map_lookup_elem(&rooms, &key);
		if (!room)
			break;
		if (room->owner)
			continue;
		room->owner = owner();
		room->slot = slot;
		room->size = 0;
		return room;
	}
	count(kind, AMP_MISSED);
	return 0;
}

static __always_inline void leave(struct amp_room *room)
{
	room->owner = 0;
}

static __always_inline __u64 wakeup(struct amp_settings *set)
{
	__u32 key = 0;
	__u32 *waits = bpf_map_lookup_elem(&reader_waits, &key);

	if (waits && *waits) {
		*waits = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= set->wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* Puts the record into the ring and leaves the room. */
static __always_inline void send(struct amp_room *room)
{
	struct amp_record *r = (struct amp_record *)room->record;
	struct amp_settings *set = get_settings();
	__u64 size = room->size;

	if (!set)
		return;
	if (room->owner != owner()) {
		count(r->kind, AMP_MISSED);
		return;
	}
	if (size > AMP_RECORD_MAX)
		size = AMP_RECORD_MAX;
	r->size = size;
	if (bpf_ringbuf_output(&events, r, size, wakeup(set)))
		count(r->kind, AMP_FULL);
	room->owner = 0;
}

/* Adds bytes of the kernel's memory to the record; returns how many. */
static __always_inline __u32 append(struct amp_room *room, const void *from, __u64 size)
{
	__u64 at = room->size;

	if (at > AMP_RECORD_MAX || size > AMP_PATH_MAX)
		return 0;
	if (bpf_probe_read_kernel(room->record + at, size, from))
		return 0;
	room->size = at + size;
	return size;
}

#endif
