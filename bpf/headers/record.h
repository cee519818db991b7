/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel side of an event source hands to the connector: one layout
 * for the eBPF programs and for the kernel modules. record.go decodes it.
 *
 * A record is this fixed header and a tail of tail bytes without padding:
 * first path_size bytes of path, then args_size bytes of arguments. All
 * numbers are in the machine's own byte order. A reader skips a version that
 * it does not know; a kind that it does not know is no error either. A field
 * is added at the end of the header, with a new version.
 *
 * The includer brings the types __u8 to __u64 (linux/types.h or kernel.h).
 */
#ifndef AMP_RECORD_H
#define AMP_RECORD_H

#define AMP_RECORD_VERSION 1

#define AMP_PATH_MAX 4096 /* bytes of path, the NUL included: PATH_MAX */
#define AMP_ARGS_MAX 4096 /* bytes of arguments, their NULs included */
#define AMP_COMM_SIZE 16  /* TASK_COMM_LEN */

enum amp_kind {
	AMP_EXEC = 1, /* an execve that succeeded */
	AMP_EXIT = 2, /* the last thread of a process ended */
};

enum amp_flag {
	AMP_PATH_TRUNCATED = 1 << 0, /* the path was longer than AMP_PATH_MAX */
	AMP_ARGS_TRUNCATED = 1 << 1, /* the arguments were longer, or not all readable */
	AMP_SCRIPT = 1 << 2,	     /* path is a script, another file is the program */
	AMP_THREADS = 1 << 3,	     /* exit: other threads are not yet reaped, so a
					second record of this exit may follow */
};

struct amp_record {
	__u32 size;	 /* of the whole record, tail included */
	__u8 version;	 /* AMP_RECORD_VERSION */
	__u8 kind;	 /* enum amp_kind */
	__u16 flags;	 /* enum amp_flag */
	__u64 time;	 /* when it happened: CLOCK_BOOTTIME, ns */
	__u64 start;	 /* when the process was made: CLOCK_BOOTTIME, ns */
	__u64 inode;	 /* exec: inode number of the program, where path does not
			    name it from the root; else 0 */
	__u32 pid;	 /* thread group, in the initial pid namespace */
	__u32 ppid;	 /* thread group of the parent */
	__u32 uid;	 /* real and effective, in the initial user namespace */
	__u32 euid;
	__u32 status;	 /* exit: as wait(2) gives it; else 0 */
	__u16 path_size; /* bytes of path in the tail, without the NUL */
	__u16 args_size; /* bytes of arguments, each ended by a NUL but for a
			    last one that was cut off */
	char comm[AMP_COMM_SIZE];   /* ended by NUL */
	char parent[AMP_COMM_SIZE]; /* comm of the parent's first thread */
};

#endif
