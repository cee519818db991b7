// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Events of files from system calls, for kernels where there is nothing else to hang
 * a program on. system_calls.c hands the calls on.
 */
#include "file_names.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)

struct pt_regs___file {
	unsigned long dx;
	unsigned long r10;
	unsigned long r8;
};

#define CALL_3(at) BPF_CORE_READ((struct pt_regs___file *)at, dx)
#define CALL_4(at) BPF_CORE_READ((struct pt_regs___file *)at, r10)

#elif defined(__TARGET_ARCH_arm64)

#define CALL_3(at) BPF_CORE_READ(at, user_regs.regs[2])
#define CALL_4(at) BPF_CORE_READ(at, user_regs.regs[3])

#endif

typedef struct {
	atomic64_t refcnt;
} file_ref_t;

struct file___counted {
	atomic64_t f_count;
};

struct file___referred { /* since 6.13; the value is one less than the references */
	file_ref_t f_ref;
};

struct files_struct___file {
	atomic_t count;
	struct fdtable___file *fdt;
};

struct fdtable___file {
	unsigned int max_fds;
	unsigned long *open_fds;
};

#pragma clang attribute pop

/* include/uapi: the numbers are the same on our architectures. */
#define O_CREAT 00000100
#define AT_REMOVEDIR 0x200
#define AT_EMPTY_PATH 0x1000
#define MAP_ANONYMOUS 0x20
#define CLOSE_RANGE_CLOEXEC 4
#define FICLONE 0x40049409
#define FICLONERANGE 0x4020940d

/* arm64 has the at-calls only. */
#define BEGIN(name)                                                                       \
	static __always_inline void name##_call(struct pt_regs *at, __s64 result);        \
	SEC("raw_tracepoint/sys_exit")                                                     \
	int amp_##name##_call(struct bpf_raw_tracepoint_args *ctx)                        \
	{                                                                                 \
		name##_call((struct pt_regs *)ctx->args[0], ctx->args[1]);                \
		return 0;                                                                 \
	}                                                                                 \
	static __always_inline void name##_call(struct pt_regs *at, __s64 result)

#define file_at(fd) ((struct file *)file_of(fd))

/* Ends of calls. */

static __always_inline void opened_by(__s64 fd)
{
	struct file *file = fd >= 0 && wanted(AMP_FILE_CREATE) ? file_at(fd) : 0;

	if (file)
		opened(file);
}

BEGIN(open)
{
	if (CALL_2(at) & O_CREAT)
		opened_by(result);
}

BEGIN(openat)
{
	if (CALL_3(at) & O_CREAT)
		opened_by(result);
}

BEGIN(openat2) /* creat too */
{
	opened_by(result);
}

BEGIN(mmap)
{
	__u64 protection = CALL_3(at);

	if (protection & PROT_EXEC && !(CALL_4(at) & MAP_ANONYMOUS) &&
	    (__u64)result < (__u64)-4095 && wanted(AMP_FILE_MAP))
		mapped(file_at((__s32)CALL_5(at)), protection);
}

BEGIN(copy_file_range)
{
	if (result > 0 && wanted(AMP_FILE_COPY))
		copied((__u64)file_at((__s32)CALL_1(at)), (__u64)file_at((__s32)CALL_3(at)));
}

BEGIN(sendfile)
{
	if (result > 0 && wanted(AMP_FILE_COPY))
		copied((__u64)file_at((__s32)CALL_2(at)), (__u64)file_at((__s32)CALL_1(at)));
}

BEGIN(ioctl)
{
	__u32 command = CALL_2(at);
	__u64 argument = CALL_3(at);
	__s64 from = argument;

	if (result || !wanted(AMP_FILE_COPY))
		return;
	if (command == FICLONERANGE) {
		if (bpf_probe_read_user(&from, sizeof(from), (void *)argument))
			return;
	} else if (command != FICLONE) {
		return;
	}
	copied((__u64)file_at((__s32)from), (__u64)file_at((__s32)CALL_1(at)));
}

BEGIN(mkdir) /* mknod too */
{
	if (!result)
		name_event(AMP_FILE_CREATE, AT_FDCWD, CALL_1(at), 0, 0, 0, ~0, ~0);
}

BEGIN(mkdirat) /* mknodat too */
{
	if (!result)
		name_event(AMP_FILE_CREATE, (__s32)CALL_1(at), CALL_2(at), 0, 0, 0, ~0, ~0);
}

BEGIN(symlink)
{
	if (!result)
		name_event(AMP_FILE_CREATE, AT_FDCWD, CALL_2(at), 0, 0, 0, ~0, ~0);
}

BEGIN(symlinkat)
{
	if (!result)
		name_event(AMP_FILE_CREATE, (__s32)CALL_2(at), CALL_3(at), 0, 0, 0, ~0, ~0);
}

BEGIN(rename)
{
	if (!result)
		name_event(AMP_FILE_RENAME, AT_FDCWD, CALL_1(at), AT_FDCWD, CALL_2(at), 0, ~0, ~0);
}

BEGIN(renameat) /* renameat2 too */
{
	if (!result)
		name_event(AMP_FILE_RENAME, (__s32)CALL_1(at), CALL_2(at), (__s32)CALL_3(at), CALL_4(at),
			   0, ~0, ~0);
}

BEGIN(link)
{
	if (!result)
		name_event(AMP_FILE_LINK, AT_FDCWD, CALL_1(at), AT_FDCWD, CALL_2(at), 0, ~0, ~0);
}

BEGIN(linkat)
{
	if (!result)
		name_event(AMP_FILE_LINK, (__s32)CALL_1(at), CALL_2(at), (__s32)CALL_3(at), CALL_4(at), 0,
			   ~0, ~0);
}

BEGIN(unlink) /* rmdir too */
{
	if (!result)
		name_event(AMP_FILE_DELETE, AT_FDCWD, CALL_1(at), 0, 0, 0, ~0, ~0);
}

BEGIN(unlinkat)
{
	if (!result)
		name_event(AMP_FILE_DELETE, (__s32)CALL_1(at), CALL_2(at), 0, 0, 0, ~0, ~0);
}

BEGIN(chmod)
{
	if (!result)
		name_event(AMP_FILE_ATTRIBUTES, AT_FDCWD, CALL_1(at), 0, 0, CALL_2(at) & 07777, ~0, ~0);
}

BEGIN(fchmodat) /* fchmodat2 too */
{
	if (!result)
		name_event(AMP_FILE_ATTRIBUTES, (__s32)CALL_1(at), CALL_2(at), 0, 0, CALL_3(at) & 07777, ~0,
			   ~0);
}

BEGIN(chown) /* lchown too */
{
	if (!result)
		name_event(AMP_FILE_ATTRIBUTES, AT_FDCWD, CALL_1(at), 0, 0, 0, CALL_2(at), CALL_3(at));
}

BEGIN(fchownat)
{
	if (!result)
		name_event(AMP_FILE_ATTRIBUTES, (__s32)CALL_1(at), CALL_2(at), 0, 0, 0, CALL_3(at),
			   CALL_4(at));
}

BEGIN(fchmod) /* fchown too */
{
	struct file *file = !result && wanted(AMP_FILE_ATTRIBUTES) ? file_at((__s32)CALL_1(at)) : 0;

	if (file)
		event_of(AMP_FILE_ATTRIBUTES, file);
}

/* Starts of calls: what is closed must be looked at before. */

static __always_inline int last_reference(struct file *file)
{
	if (bpf_core_field_exists(((struct file___referred *)file)->f_ref))
		return BPF_CORE_READ((struct file___referred *)file, f_ref.refcnt.counter) == 0;
	return BPF_CORE_READ((struct file___counted *)file, f_count.counter) == 1;
}

__attribute__((noinline)) int closing_descriptor(__s64 fd)
{
	struct file *file = file_at(fd);

	if (file && last_reference(file))
		closing(file);
	return 0;
}

#define CLOSED_WORDS 4 /* of 64 descriptors each: more are not looked at */

/* The descriptors of a word of the bit map of open ones, the lowest at base. */
__attribute__((noinline)) int closing_word(__u64 word, __u64 base)
{
	for (__u32 i = 0; i < 64; i++) {
		barrier_var(word);
		if (!word)
			break;
		if (word & 1)
			closing_descriptor(base + i);
		word >>= 1;
	}
	return 0;
}

/* The bits of a word, the lowest at base, that stand for first to last. */
static __always_inline __u64 between(__u64 base, __u64 first, __u64 last)
{
	__u64 mask = ~0ULL;

	if (first >= base + 64 || last < base)
		return 0;
	if (first > base)
		mask = mask << ((first - base) & 63);
	if (last < base + 63)
		mask = mask & ~0ULL >> ((base + 63 - last) & 63);
	return mask;
}

/* All descriptors from first to last. */
__attribute__((noinline)) int closing_range(__u64 first, __u64 last)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct___file *files = (struct files_struct___file *)BPF_CORE_READ(task, files);
	struct fdtable___file *table = BPF_CORE_READ(files, fdt);
	__u64 limit = BPF_CORE_READ(table, max_fds);
	unsigned long *open = BPF_CORE_READ(table, open_fds);

	for (__u64 i = 0; i < CLOSED_WORDS; i++) {
		__u64 word = 0;

		if (i * 64 >= limit || bpf_probe_read_kernel(&word, sizeof(word), &open[i]))
			break;
		word &= between(i * 64, first, last);
		if (word)
			closing_word(word, i * 64);
	}
	return 0;
}

BEGIN(close)
{
	if (wanted(AMP_FILE_WRITE))
		closing_descriptor((__s32)CALL_1(at));
}

BEGIN(dup2) /* dup3 too: what is there before is closed */
{
	__s32 fd = CALL_2(at);

	if (wanted(AMP_FILE_WRITE) && fd != (__s32)CALL_1(at))
		closing_descriptor(fd);
}

BEGIN(close_range)
{
	if (wanted(AMP_FILE_WRITE) && !(CALL_3(at) & CLOSE_RANGE_CLOEXEC))
		closing_range((__u32)CALL_1(at), (__u32)CALL_2(at));
}

/*
 * The last thread ends; the descriptors are there until later. Of threads that end
 * at the same time several may find that none lives, and each of them has the
 * descriptors still: what the second tells is a duplicate, which is merged if both
 * are on one CPU and else told twice. Processes that share
 * descriptors (CLONE_FILES without CLONE_THREAD) make the references more than the
 * process has threads.
 */
SEC("raw_tracepoint/sched_process_exit")
int amp_exit_closes(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct files_struct___file *files = (struct files_struct___file *)BPF_CORE_READ(task, files);
	struct signal_struct *sig = BPF_CORE_READ(task, signal);

	if (files && wanted(AMP_FILE_WRITE) && BPF_CORE_READ(sig, live.counter) == 0 &&
	    BPF_CORE_READ(files, count.counter) <= BPF_CORE_READ(sig, nr_threads))
		closing_range(0, ~0U);
	return 0;
}
