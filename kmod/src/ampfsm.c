// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * ampfsm: events of processes and files for the connector.
 *
 * Start and end of processes come from tracepoints. For files the kernel exports
 * no hook to modules that tells of all of them with their process: fsnotify's groups
 * want a mark for each file system beforehand, and LSM hooks are for what is built
 * in. So it is probes on the kernel's functions (register_kprobe(),
 * register_kretprobe()), the same functions as the eBPF programs look at. All of them run
 * in the process that does it; nothing here sleeps or takes a lock of the file system.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/binfmts.h>
#include <linux/fs_struct.h>
#include <linux/magic.h>
#include <linux/mman.h>

#include "subject.h"
#include "path.h"
#include "probe.h"
#include "tracepoint.h"

/* They say what was done with a file that is open. */
#if !defined(FMODE_CREATED) || !defined(FMODE_OPENED) || !defined(FMODE_NOACCOUNT)
#error "this kernel does not tell that a file was created (FMODE_CREATED): Linux 4.19 is the first that does"
#endif

/* Processes. */

/* Reads the program's memory without waiting for a page. */
static long peek_user(void *to, const void __user *from, unsigned long size)
{
#if defined(AMP_HAS_USER_NOFAULT)
	return copy_from_user_nofault(to, from, size);
#elif defined(AMP_HAS_PROBE_USER) /* before 5.8, not tested */
	return probe_user_read(to, from, size);
#else /* before 5.5, not tested */
	unsigned long left;

#ifdef VERIFY_READ /* before 5.0 */
	if (!access_ok(VERIFY_READ, from, size))
		return -EFAULT;
#else
	if (!access_ok(from, size))
		return -EFAULT;
#endif
	pagefault_disable();
	left = __copy_from_user_inatomic(to, from, size);
	pagefault_enable();
	return left ? -EFAULT : 0;
#endif
}

/* Copies arguments from the program's memory, as far as they can be had without
 * waiting for a page. */
static u32 append_arguments(struct amp_room *room)
{
	struct mm_struct *mm = current->mm;
	unsigned long from = mm ? mm->arg_start : 0;
	unsigned long size = mm ? mm->arg_end - from : 0;

	if (size > AMP_ARGS_MAX) {
		size = AMP_ARGS_MAX;
		room->head.flags |= AMP_ARGS_TRUNCATED;
	}
	if (!mm || size > AMP_RECORD_MAX - room->size ||
	    peek_user(room->record + room->size, (void __user *)from, size)) {
		room->head.flags |= AMP_ARGS_TRUNCATED;
		return 0;
	}
	room->size += size;
	return size;
}

static void executed(void *data, struct task_struct *task, pid_t old, struct linux_binprm *bprm)
{
	struct amp_room *room = amp_begin(AMP_EXEC, sizeof(struct amp_exec_record));
	struct amp_exec_record *r;
	struct file *file;
	size_t n;

	if (!room)
		return;
	r = (struct amp_exec_record *)room->record;
	file = bprm->file;
	r->inode = file_inode(file)->i_ino;
	r->device = file_inode(file)->i_sb->s_dev;

	n = strnlen(bprm->filename, AMP_PATH_MAX);
	if (n == AMP_PATH_MAX) {
		n = AMP_PATH_MAX - 1;
		r->head.flags |= AMP_PATH_TRUNCATED;
	}
	r->path_size = amp_append(room, bprm->filename, n);
	if (bprm->interp != bprm->filename)
		r->head.flags |= AMP_SCRIPT;

	amp_walk(room, file->f_path.dentry, file->f_path.mnt);
	if (room->cut)
		r->head.flags |= AMP_EXE_TRUNCATED;
	r->exe_size = amp_append_path(room, file->f_path.dentry);

	/* The lock of fs is a spin lock that is never taken in interrupts, and not by us here:
	 * another thread that shares fs is gone since the exec. */
	amp_walk(room, current->fs->pwd.dentry, current->fs->pwd.mnt);
	if (room->cut)
		r->head.flags |= AMP_DIRECTORY_TRUNCATED;
	r->cwd_size = amp_append_walked(room);

	r->args_size = append_arguments(room);
	amp_send(room);
	amp_leave(room);
}

/* The last thread of a process ends: the kernel counted it out just before. */
static void exited(void *data, struct task_struct *task)
{
	struct signal_struct *sig = task->signal;
	struct amp_exit_record *r;
	struct amp_room *room;

	if (atomic_read(&sig->live) || task->flags & PF_KTHREAD)
		return;
	room = amp_begin(AMP_EXIT, sizeof(*r));
	if (!room)
		return;
	r = (struct amp_exit_record *)room->record;
	if (sig->nr_threads > 1)
		r->head.flags |= AMP_THREADS;
	/* As wait_task_zombie() has it. */
	r->status = sig->flags & SIGNAL_GROUP_EXIT ? sig->group_exit_code : task->group_leader->exit_code;
	amp_send(room);
	amp_leave(room);
}

static struct amp_tracepoint tracepoints[] = {
	{ .name = "sched_process_exec", .probe = executed },
	{ .name = "sched_process_exit", .probe = exited },
};

/* Files. */

/* Of tracefs and selinuxfs, whose numbers not all kernels' headers have. */
#ifndef TRACEFS_MAGIC
#define TRACEFS_MAGIC 0x74726163
#endif

/* Files that are no store of anything: a write there is a word to the kernel. */
static bool pseudo(const struct super_block *sb)
{
	unsigned long magic = sb->s_magic;

	/* The kernel's own mounts: descriptors that are regular files by their mode only,
	 * but for files in memory (memfd_create(2)). */
	if (sb->s_flags & SB_NOUSER)
		return magic != TMPFS_MAGIC && magic != HUGETLBFS_MAGIC;
	return magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC || magic == CGROUP2_SUPER_MAGIC ||
	       magic == CGROUP_SUPER_MAGIC || magic == DEBUGFS_MAGIC || magic == TRACEFS_MAGIC ||
	       magic == SELINUX_MAGIC;
}

static u64 changed(const struct inode *inode)
{
#ifdef AMP_HAS_INODE_CTIME
	struct timespec64 ctime = inode_get_ctime(inode);

	return ctime.tv_sec * NSEC_PER_SEC + ctime.tv_nsec;
#else
	return inode->i_ctime.tv_sec * NSEC_PER_SEC + inode->i_ctime.tv_nsec;
#endif
}

/* What a record says of a file. */
struct about {
	u64 inode;
	u64 size;
	u64 changed;
	u32 device;
	u32 mode;
	u32 owner;
	u32 group;
};

static void look_at(struct about *a, struct inode *inode)
{
	a->inode = inode->i_ino;
	a->size = i_size_read(inode);
	a->changed = changed(inode);
	a->device = inode->i_sb->s_dev;
	a->mode = inode->i_mode;
	a->owner = __kuid_val(inode->i_uid);
	a->group = __kgid_val(inode->i_gid);
}

/* Takes a room for an event of a file. */
static struct amp_room *begin_file(u32 kind, const struct about *a)
{
	struct amp_room *room = amp_begin(kind, sizeof(struct amp_file_record));
	struct amp_file_record *r;

	if (!room)
		return NULL;
	r = (struct amp_file_record *)room->record;
	r->inode = a->inode;
	r->size = a->size;
	r->changed = a->changed;
	r->device = a->device;
	r->mode = a->mode;
	r->owner = a->owner;
	r->group = a->group;
	return room;
}

#define WINDOW NSEC_PER_SEC
#define MAP_WINDOW (60ULL * NSEC_PER_SEC) /* of files that are mapped, whoever does it */

static void key_of(struct amp_recent *e, const struct amp_file_record *r, u64 state)
{
	e->inode = r->inode;
	e->state = state;
	e->time = r->head.time;
	e->device = r->device;
	e->pid = r->head.kind == AMP_FILE_MAP ? 0 : r->head.pid;
	e->kind = r->head.kind;
	e->merged = 0;
}

/* An event of one file. What of it must be the same for a repetition to be no news
 * depends on the kind. */
static void file_event(u32 kind, struct dentry *dentry, const struct vfsmount *mnt, const struct about *a)
{
	bool once = kind == AMP_FILE_WRITE || kind == AMP_FILE_MAP || kind == AMP_FILE_ATTRIBUTES;
	struct amp_room *room = begin_file(kind, a);
	struct amp_file_record *r;
	struct amp_recent e;

	if (!room)
		return;
	r = (struct amp_file_record *)room->record;
	if (once) {
		key_of(&e, r, kind == AMP_FILE_ATTRIBUTES ? (u64)r->owner << 32 ^ r->group << 16 ^ r->mode :
							    r->changed ^ r->size << 40);
		if (amp_duplicate(&e, kind == AMP_FILE_MAP ? MAP_WINDOW : WINDOW)) {
			amp_leave(room);
			return;
		}
		r->head.merged = amp_remember(&e);
	}
	amp_walk(room, dentry, mnt);
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	if (kind == AMP_FILE_DELETE)
		r->path_size = amp_append_walked(room);
	else
		r->path_size = amp_append_path(room, dentry);
	amp_send(room);
	amp_leave(room);
}

static void event_of(u32 kind, struct file *file)
{
	struct inode *inode = file_inode(file);
	struct about a;

	if (!amp_wanted(kind) || !S_ISREG(inode->i_mode) || pseudo(inode->i_sb))
		return;
	look_at(&a, inode);
	file_event(kind, file->f_path.dentry, file->f_path.mnt, &a);
}

static int opened(struct kprobe *p, struct pt_regs *regs)
{
	struct file *file = (struct file *)amp_argument(regs, 0);

	/* One without a name (O_TMPFILE) comes to be when it gets one. */
	if (file->f_mode & FMODE_CREATED && !(file->f_mode & FMODE_NOACCOUNT) && !amp_unlinked(file->f_path.dentry))
		event_of(AMP_FILE_CREATE, file);
	return 0;
}

/* A file is about to be closed, by the last who had it. */
static int closing(struct kprobe *p, struct pt_regs *regs)
{
	struct file *file = (struct file *)amp_argument(regs, 0);

	if (file->f_mode & FMODE_WRITE && file->f_mode & FMODE_OPENED && !(file->f_mode & FMODE_NOACCOUNT))
		event_of(AMP_FILE_WRITE, file);
	return 0;
}

static int mapped(struct kprobe *p, struct pt_regs *regs)
{
	struct file *file = (struct file *)amp_argument(regs, 0);

	if (file && amp_argument(regs, 1) & PROT_EXEC)
		event_of(AMP_FILE_MAP, file);
	return 0;
}

/*
 * Operations on names: what they begin with is kept until their result is known. The
 * functions know dentries, not mounts. mnt_want_write() comes before each of them
 * and tells the mount, or mnt_want_write_file() where the call has a descriptor. A file
 * system that stands on others (overlayfs) calls the same functions once more from
 * within; that is not told.
 */
struct operation {
	u32 kind;
	bool claimed; /* this thread's place in within */
	bool counts;  /* the function returns how much it did, and nothing was done where that is 0 */
	struct dentry *dentry;
	struct dentry *target;
	struct dentry *parent; /* of a name that will be gone */
	struct file *from;     /* copy */
	struct file *to;
	const struct vfsmount *mnt;
	struct about about; /* as it was before */
	u32 name_size;
	char name[NAME_MAX];
};

/* Threads have a place by their number. Where two come to the same one, an operation
 * may be told with those below it, or without its mount: nobody waits. */
#define PLACES 4096

/* The thread that is within an operation, 0 if none. */
static atomic_t within[PLACES];

/* The mount that a thread was going to write to last. It is compared with what
 * the thread does then, and read without a fault: the mount may be gone. */
static struct {
	pid_t thread;
	const struct vfsmount *mnt;
} writes[PLACES];

static bool is_within(void)
{
	return atomic_read(&within[current->pid % PLACES]) == current->pid;
}

static void will_write(const struct vfsmount *mnt)
{
	u32 place = current->pid % PLACES;

	if (is_within())
		return; /* of a file system below the operation's */
	WRITE_ONCE(writes[place].mnt, mnt);
	WRITE_ONCE(writes[place].thread, current->pid);
}

static int will_write_mount(struct kprobe *p, struct pt_regs *regs)
{
	will_write((const struct vfsmount *)amp_argument(regs, 0));
	return 0;
}

static int will_write_file(struct kprobe *p, struct pt_regs *regs)
{
	will_write(((struct file *)amp_argument(regs, 0))->f_path.mnt);
	return 0;
}

/* Where the thread writes, if that is the file system of the dentry. */
static const struct vfsmount *mount_for(const struct dentry *dentry)
{
	u32 place = current->pid % PLACES;
	const struct vfsmount *mnt = READ_ONCE(writes[place].mnt);
	struct super_block *sb;

	if (!mnt || READ_ONCE(writes[place].thread) != current->pid || get_kernel_nofault(sb, &mnt->mnt_sb))
		return NULL;
	return sb == dentry->d_sb ? mnt : NULL;
}

/* Other than 0, which takes the probe of the return back: the operation is not told. */
static int begin_operation(struct operation *op, u32 kind)
{
	int who;

	if (!amp_wanted(kind))
		return 1;
	who = atomic_cmpxchg(&within[current->pid % PLACES], 0, current->pid);
	if (who == current->pid)
		return 1;
	op->kind = kind;
	op->claimed = !who;
	op->counts = kind == AMP_FILE_COPY;
	return 0;
}

static int begin_name(struct kretprobe_instance *ri, u32 kind, struct dentry *dentry, struct dentry *target)
{
	struct operation *op = (struct operation *)ri->data;
	struct inode *inode = d_inode(dentry);

	/* Another name of the same file: nothing will happen. */
	if (kind == AMP_FILE_RENAME && inode == d_inode(target))
		return 1;
	if (begin_operation(op, kind))
		return 1;
	op->dentry = dentry;
	op->target = target;
	op->mnt = mount_for(dentry);
	memset(&op->about, 0, sizeof(op->about));
	if (inode)
		look_at(&op->about, inode);
	if (kind == AMP_FILE_RENAME) {
		/* Both parents are locked: the name stays what it is until then. */
		op->parent = dentry->d_parent;
		op->name_size = min_t(u32, dentry->d_name.len, NAME_MAX);
		memcpy(op->name, dentry->d_name.name, op->name_size);
	}
	return 0;
}

/* A rename that was done, or a link: two paths. */
static void moved(const struct operation *op)
{
	struct amp_room *room = begin_file(op->kind, &op->about);
	struct amp_file_record *r;

	if (!room)
		return;
	r = (struct amp_file_record *)room->record;
	/* A renamed dentry has its new name by now. */
	amp_walk(room, op->kind == AMP_FILE_RENAME ? op->parent : op->dentry, op->mnt);
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	r->path_size = amp_append_walked(room);
	if (op->kind == AMP_FILE_RENAME) {
		if (r->path_size != 1)
			r->path_size += amp_append(room, "/", 1);
		r->path_size += amp_append(room, op->name, op->name_size);
	}
	amp_walk(room, op->kind == AMP_FILE_RENAME ? op->dentry : op->target, op->mnt);
	if (room->cut)
		r->head.flags |= AMP_TARGET_TRUNCATED;
	r->target_size = amp_append_walked(room);
	r->target_inode = r->inode;
	r->target_device = r->device;
	amp_send(room);
	amp_leave(room);
}

/* Bytes went from one file to another inside the kernel. */
static void copied(const struct operation *op)
{
	struct inode *from = file_inode(op->from), *to = file_inode(op->to);
	struct amp_file_record *r;
	struct amp_room *room;
	struct amp_recent e;
	struct about a;

	if (!S_ISREG(from->i_mode) || !S_ISREG(to->i_mode))
		return;
	look_at(&a, from);
	room = begin_file(AMP_FILE_COPY, &a);
	if (!room)
		return;
	r = (struct amp_file_record *)room->record;
	r->target_inode = to->i_ino;
	r->target_device = to->i_sb->s_dev;
	key_of(&e, r, r->target_inode ^ (u64)r->target_device << 32);
	if (amp_duplicate(&e, WINDOW)) {
		amp_leave(room);
		return;
	}
	r->head.merged = amp_remember(&e);
	amp_walk(room, op->from->f_path.dentry, op->from->f_path.mnt);
	if (room->cut)
		r->head.flags |= AMP_PATH_TRUNCATED;
	r->path_size = amp_append_path(room, op->from->f_path.dentry);
	amp_walk(room, op->to->f_path.dentry, op->to->f_path.mnt);
	if (room->cut)
		r->head.flags |= AMP_TARGET_TRUNCATED;
	r->target_size = amp_append_path(room, op->to->f_path.dentry);
	amp_send(room);
	amp_leave(room);
}

static void succeeded(struct operation *op)
{
	struct inode *inode;

	switch (op->kind) {
	case AMP_FILE_RENAME:
	case AMP_FILE_LINK:
		moved(op);
		return;
	case AMP_FILE_COPY:
		copied(op);
		return;
	case AMP_FILE_CREATE: /* it has its inode now */
	case AMP_FILE_ATTRIBUTES:
		inode = d_inode(op->dentry);
		if (inode)
			look_at(&op->about, inode);
		break;
	}
	if (!pseudo(op->dentry->d_sb))
		file_event(op->kind, op->dentry, op->mnt, &op->about);
}

static int end_operation(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct operation *op = (struct operation *)ri->data;
	unsigned long result = regs_return_value(regs);

	/* The result is an int, of which the upper half may hold anything, or a pointer that
	 * may be an error; of most copies it is a count, of which there must be some. */
	if (op->counts ? (long)result > 0 : (u32)result <= (u32)-4096)
		succeeded(op);
	if (op->claimed)
		atomic_set(&within[current->pid % PLACES], 0);
	return 0;
}

/* A user namespace or an idmap of the mount came first with 5.12 (second in vfs_link()). */
#ifdef AMP_HAS_SHIFTED
#define SHIFT 1
#else
#define SHIFT 0
#endif

#define ARGUMENT(type, n) ((type)amp_argument(regs, n))

/* The functions that have the directory and then the name. */
#define NAME_OPERATION(name, kind)                                                               \
	static int name##_begins(struct kretprobe_instance *ri, struct pt_regs *regs)            \
	{                                                                                        \
		return begin_name(ri, kind, ARGUMENT(struct dentry *, 1 + SHIFT), NULL);         \
	}

NAME_OPERATION(unlink, AMP_FILE_DELETE)
NAME_OPERATION(create, AMP_FILE_CREATE)

static int link_begins(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return begin_name(ri, AMP_FILE_LINK, ARGUMENT(struct dentry *, 0), ARGUMENT(struct dentry *, 2 + SHIFT));
}

static int rename_begins(struct kretprobe_instance *ri, struct pt_regs *regs)
{
#ifdef AMP_HAS_RENAMEDATA
	struct renamedata *data = ARGUMENT(struct renamedata *, 0);

	return begin_name(ri, AMP_FILE_RENAME, data->old_dentry, data->new_dentry);
#else
	return begin_name(ri, AMP_FILE_RENAME, ARGUMENT(struct dentry *, 1), ARGUMENT(struct dentry *, 3));
#endif
}

static int attributes_begin(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct iattr *attr = ARGUMENT(struct iattr *, 1 + SHIFT);

	if (!(attr->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID)))
		return 1;
	return begin_name(ri, AMP_FILE_ATTRIBUTES, ARGUMENT(struct dentry *, SHIFT), NULL);
}

/* From file, its position, to file. */
static int copy_begins(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct operation *op = (struct operation *)ri->data;

	op->from = ARGUMENT(struct file *, 0);
	op->to = ARGUMENT(struct file *, 2);
	return begin_operation(op, AMP_FILE_COPY);
}

/* Before 4.20 a clone was of all that was asked for or of nothing, and returned 0 or an error. */
static int clone_begins(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	int untold = copy_begins(ri, regs);

#ifdef AMP_HAS_CLONE_STATUS
	((struct operation *)ri->data)->counts = false;
#endif
	return untold;
}

/*
 * Compilers put vfs_rmdir() into its caller (seen: Debian's 5.10), where nothing can be
 * attached. What it calls then stands for it: one function before a directory is removed,
 * and another after that succeeded. Of an overlay the removal below it is told too then.
 */
static struct {
	pid_t thread;
	struct dentry *dentry;
	const struct vfsmount *mnt;
} removals[PLACES];

static int removing(struct kprobe *p, struct pt_regs *regs)
{
	struct dentry *dentry = ARGUMENT(struct dentry *, 1);
	u32 place = current->pid % PLACES;

	if (is_within() || !amp_wanted(AMP_FILE_DELETE))
		return 0; /* vfs_rmdir() was seen */
	removals[place].dentry = dentry;
	removals[place].mnt = mount_for(dentry);
	WRITE_ONCE(removals[place].thread, current->pid);
	return 0;
}

static int removed(struct kprobe *p, struct pt_regs *regs)
{
	struct dentry *dentry = ARGUMENT(struct dentry *, 0);
	u32 place = current->pid % PLACES;
	struct inode *inode;
	struct about a;

	if (READ_ONCE(removals[place].thread) != current->pid || removals[place].dentry != dentry)
		return 0;
	WRITE_ONCE(removals[place].thread, 0);
	inode = d_inode(dentry);
	if (!inode || !S_ISDIR(inode->i_mode) || pseudo(dentry->d_sb))
		return 0;
	look_at(&a, inode);
	file_event(AMP_FILE_DELETE, dentry, removals[place].mnt, &a);
	return 0;
}

#define OPERATION(function, begins, of) AMP_AROUND(function, begins, end_operation, struct operation, of)

static struct amp_probe probes[] = {
	AMP_AT("mnt_want_write", will_write_mount, AMP_FILE_CREATE),
	AMP_AT("mnt_want_write_file", will_write_file, AMP_FILE_ATTRIBUTES),
	AMP_AT("security_file_open", opened, AMP_FILE_CREATE),
	AMP_AT("__fput", closing, AMP_FILE_WRITE),
	AMP_AT("security_mmap_file", mapped, AMP_FILE_MAP),
	OPERATION("vfs_unlink", unlink_begins, AMP_FILE_DELETE),
	OPERATION("vfs_rmdir", unlink_begins, AMP_FILE_DELETE),
	AMP_AT_OPTIONAL("security_inode_rmdir", removing, AMP_FILE_DELETE),
	AMP_AT_OPTIONAL("d_delete", removed, AMP_FILE_DELETE),
	OPERATION("vfs_mkdir", create_begins, AMP_FILE_CREATE),
	OPERATION("vfs_mknod", create_begins, AMP_FILE_CREATE),
	OPERATION("vfs_symlink", create_begins, AMP_FILE_CREATE),
	OPERATION("vfs_link", link_begins, AMP_FILE_LINK),
	OPERATION("vfs_rename", rename_begins, AMP_FILE_RENAME),
	OPERATION("notify_change", attributes_begin, AMP_FILE_ATTRIBUTES),
	OPERATION("vfs_copy_file_range", copy_begins, AMP_FILE_COPY),
	OPERATION("do_splice_direct", copy_begins, AMP_FILE_COPY),
	OPERATION("vfs_clone_file_range", clone_begins, AMP_FILE_COPY),
};

#include "module.h"

static int __init ampfsm_init(void)
{
	return amp_path_prove() ?: amp_start();
}

module_init(ampfsm_init);
module_exit(amp_stop);

MODULE_DESCRIPTION("Events of processes and files for the AMP connector");
MODULE_LICENSE("Dual BSD/GPL");
