/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The structures of the kernel that the programs read, and of these just the
 * fields that they read. Order and offsets mean nothing here: each access is
 * relocated at load (CO-RE), against the kernel's own BTF or layouts derived
 * from its headers. A suffix after ___ is no part of the name.
 */
#ifndef AMP_KERNEL_H
#define AMP_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

/* Numbers of the bpf(2) interface; they never change. */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_RINGBUF = 27,
};

/* Of the helpers those that a program asks for before it calls them. */
enum bpf_func_id {
	BPF_FUNC_loop = 181,	     /* since 5.17 */
	BPF_FUNC_get_func_ret = 184, /* since 5.17 */
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};
enum {
	BPF_F_NO_PREALLOC = 1,
};
enum {
	BPF_RB_NO_WAKEUP = 1 << 0,
	BPF_RB_FORCE_WAKEUP = 1 << 1,
};
enum {
	BPF_RB_AVAIL_DATA = 0,
};
struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

#define PF_KTHREAD 0x00200000	     /* include/linux/sched.h */
#define SIGNAL_GROUP_EXIT 0x00000004 /* include/linux/sched/signal.h */

/* include/uapi/linux/stat.h */
#define S_IFMT 00170000
#define S_IFREG 0100000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kuid_t euid;
};

struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	unsigned int flags;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	int exit_code;
	__u64 start_boottime; /* since 5.5 */
	char comm[16];
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct cred *cred;
	struct signal_struct *signal;
	struct fs_struct *fs;
	struct files_struct *files;
	kuid_t loginuid; /* CONFIG_AUDIT */
};

struct task_struct___before_5_5 {
	__u64 real_start_time;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
};

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct inode {
	unsigned long i_ino;
	__u16 i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	__s64 i_size;
	struct super_block *i_sb;
	__s64 i_ctime_sec; /* since 6.11 */
	__u32 i_ctime_nsec;
};

struct inode___before_6_6 {
	struct timespec64 i_ctime;
};

struct inode___6_6 {
	struct timespec64 __i_ctime;
};

/* i_ino became 64 bits wide in 7.0 on all machines; it is so on ours anyway. */

struct file {
	struct inode *f_inode;
	struct path f_path;
	unsigned int f_mode;
};

struct linux_binprm {
	struct file *file;
	const char *filename; /* as given to execve, or /dev/fd/N[/path] */
	const char *interp;   /* differs from filename for scripts */
};

#pragma clang attribute pop

#endif
