/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel side of an event source hands to the connector: one layout
 * for the eBPF programs and for the kernel modules. record*.go decodes it.
 *
 * A record is a struct amp_record, then what its kind has beside it (struct
 * amp_exec_record and so on, which begin with the amp_record), then a tail of
 * bytes without padding, in the order in which the sizes of its parts stand in
 * the structure. Strings in the tail have no NUL at their end. All numbers are
 * in the machine's own byte order. A reader skips a version that it does not
 * know; a kind that it does not know is no error either.
 *
 * The includer brings the types __u8 to __u64 (linux/types.h or kernel.h).
 */
#ifndef AMP_RECORD_H
#define AMP_RECORD_H

#define AMP_RECORD_VERSION 2

#define AMP_PATH_MAX 4096 /* bytes of one path in the tail, at most: PATH_MAX */
#define AMP_ARGS_MAX 4096 /* bytes of arguments, their NULs included */
#define AMP_COMM_SIZE 16  /* TASK_COMM_LEN */

/* The numbers are those of monitor.Kind. */
enum amp_kind {
	AMP_EXEC = 1,	     /* an execve that succeeded: amp_exec_record */
	AMP_EXIT,	     /* the last thread of a process ended: amp_exit_record */
	AMP_FILE_CREATE,     /* amp_file_record, as the file kinds that follow */
	AMP_FILE_WRITE,	     /* closed for the last time, was open for writing */
	AMP_FILE_RENAME,
	AMP_FILE_LINK,
	AMP_FILE_DELETE,
	AMP_FILE_ATTRIBUTES,
	AMP_FILE_MAP,
	AMP_FILE_COPY,
	AMP_FLOW_OPEN,	     /* network_record.h */
	AMP_FLOW_CLOSE,
	AMP_LISTEN,
	AMP_MODULE_LOAD,     /* system_record.h */
	AMP_BPF_LOAD,
	AMP_TRACE,
	AMP_CREDENTIALS,
	AMP_KINDS,
};

enum amp_flag {
	AMP_PATH_TRUNCATED = 1 << 0,   /* the first path of the tail is not whole */
	AMP_ARGS_TRUNCATED = 1 << 1,   /* the arguments were longer, or not all readable */
	AMP_SCRIPT = 1 << 2,	       /* exec: path is a script, another file is the program */
	AMP_THREADS = 1 << 3,	       /* exit: other threads are not yet reaped, so a
					  second record of this exit may follow */
	AMP_TARGET_TRUNCATED = 1 << 4, /* the target's path is not whole */
	AMP_EXE_TRUNCATED = 1 << 5,    /* exec: the path of the program is not whole */
	AMP_DIRECTORY_TRUNCATED = 1 << 6,
	AMP_JOINED = 1 << 7,	       /* path and target are a directory, a NUL and the
					  name that the process used from there */
};

struct amp_record {
	__u32 size;	    /* of the whole record, tail included */
	__u8 version;	    /* AMP_RECORD_VERSION */
	__u8 kind;	    /* enum amp_kind */
	__u16 flags;	    /* enum amp_flag */
	__u64 time;	    /* when it happened: CLOCK_BOOTTIME, ns */
	__u64 start;	    /* when the process was made: CLOCK_BOOTTIME, ns */
	__u64 parent_start; /* the same of its parent */
	__u64 cgroup;	    /* id in the unified hierarchy */
	__u32 pid;	    /* thread group, in the initial pid namespace */
	__u32 ppid;	    /* thread group of the parent */
	__u32 uid;	    /* real and effective, in the initial user namespace */
	__u32 euid;
	__u32 auid;	    /* of the login, ~0 if there was none */
	__u32 merged;	    /* events that this one tells beside itself */
	char comm[AMP_COMM_SIZE];   /* ended by NUL */
	char parent[AMP_COMM_SIZE]; /* comm of the parent's first thread */
};

struct amp_exec_record {
	struct amp_record head;
	__u64 inode;	  /* of the program */
	__u32 device;	  /* s_dev of its file system: major << 20 | minor */
	__u16 path_size;  /* as given to execve, or /dev/fd/N[/path] */
	__u16 exe_size;	  /* path of the program */
	__u16 cwd_size;
	__u16 args_size;  /* each ended by a NUL but for a last one that was cut off */
	__u32 padding;
};

struct amp_exit_record {
	struct amp_record head;
	__u32 status; /* as wait(2) gives it */
	__u32 padding;
};

struct amp_file_record {
	struct amp_record head;
	__u64 inode;	    /* 0 where it is not known, as the rest */
	__u64 size;	    /* bytes */
	__u64 changed;	    /* ctime, ns since 1970 */
	__u64 target_inode; /* copy */
	__u32 device;	    /* as in amp_exec_record */
	__u32 target_device;
	__u32 mode;	    /* st_mode */
	__u32 owner;	    /* in the initial user namespace */
	__u32 group;
	__u16 path_size;
	__u16 target_size;  /* rename, link, copy */
};

#endif
