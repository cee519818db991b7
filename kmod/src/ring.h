/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring between a module and its one reader, and the device that it is mapped
 * from. ring.go is the reader's side.
 *
 * A mapping is one page with struct amp_ring_page, then the ring's bytes. It can
 * only be read: how far the reader came it tells by a call, once for many records,
 * so that nothing that the kernel computes with lies in memory of a program.
 * Records begin at multiples of 8 and may go over the ring's end to its beginning.
 */
#ifndef AMP_RING_H
#define AMP_RING_H

#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "record.h"

#define AMP_RING_VERSION 1

/* What became of events that are not in the ring. */
enum amp_verdict {
	AMP_MERGED,
	AMP_SHED,
	AMP_FULL,
	AMP_MISSED,
	AMP_VERDICTS,
};

struct amp_ring_page {
	u32 version; /* AMP_RING_VERSION */
	u32 padding;
	u64 size;      /* bytes of the ring, a power of two */
	u64 produced;  /* bytes that were ever put into it */
	atomic64_t counts[32][AMP_VERDICTS]; /* by kind */
};

/* What the reader asks for. */
struct amp_settings {
	u32 kinds;    /* that are wanted: 1 << kind */
	u32 critical; /* kinds that go on while monitoring is reduced, or the ring nearly full */
	u32 reduced;
	u32 padding;
	u64 wakeup_bytes; /* in the ring, from which on the reader is woken */
};

#define AMP_IOC 0xA3
#define AMP_IOC_SET _IOW(AMP_IOC, 1, struct amp_settings)
#define AMP_IOC_CONSUMED _IOW(AMP_IOC, 2, u64) /* bytes that were ever read */
#define AMP_IOC_WAIT _IO(AMP_IOC, 3) /* the next record wakes the reader */

/* Fixed part and tail of a record, at most. */
#define AMP_RECORD_MAX 20480

/* An event that may come again before anything has changed. */
struct amp_recent {
	u64 inode;
	u64 state; /* that has to be the same */
	u64 time;
	u32 device;
	u32 pid;
	u32 kind;
	u32 merged;
};

#define AMP_RECENT 256

/* Where a record is put together. An interrupt may come in between and have
 * one of its own to put together: each CPU has a room for that too. */
struct amp_room {
	u32 size; /* of record so far */
	u32 at;	  /* where in path the path begins that amp_walk() made */
	bool cut; /* that path is not whole */
	char path[AMP_PATH_MAX];
	union {
		struct amp_record head;
		char record[AMP_RECORD_MAX];
	};
};

#define AMP_ROOMS 2

struct amp_cpu {
	u32 inside; /* how many rooms are taken */
	struct amp_recent recent[AMP_RECENT];
	struct amp_room rooms[AMP_ROOMS];
};

struct amp_ring {
	struct amp_ring_page *page; /* and the ring behind it */
	char *bytes;
	u64 size;
	u64 produced; /* under lock, as what follows */
	u64 consumed;
	u64 wakeup_bytes;
	raw_spinlock_t lock;
	bool waits; /* the reader */
	u32 kinds;
	u32 critical;
	u32 reduced;
	u32 nearly_full;
	unsigned long opened; /* bit 0 */
	wait_queue_head_t readers;
	struct irq_work wake; /* since a record may come where nobody may be woken */
	struct amp_cpu **cpus;
	struct miscdevice device;
};

/* The module's only one. */
static struct amp_ring amp_ring;

/* Each module's own: counts what its hooks missed since the last call, as AMP_MISSED. */
static void amp_gather_missed(void);

static void amp_count(u32 kind, enum amp_verdict verdict)
{
	atomic64_inc(&amp_ring.page->counts[kind & 31][verdict]);
}

static bool amp_wanted(u32 kind)
{
	return READ_ONCE(amp_ring.kinds) >> kind & 1;
}

/* Whether an event of the kind is left out since there is too much, which is
 * counted. What of files goes on then is the reader's choice, by their paths. */
static bool amp_shed(u32 kind)
{
	u32 others = ~READ_ONCE(amp_ring.critical);

	if (!(others >> kind & 1) || !(READ_ONCE(amp_ring.reduced) || READ_ONCE(amp_ring.nearly_full)))
		return false;
	amp_count(kind, AMP_SHED);
	return true;
}

/*
 * Takes a room of this CPU, which the caller keeps until amp_leave(); NULL where
 * there is none, and the event is counted as missed. The rooms are taken and
 * left in the order of a stack, since who interrupts ends before who is interrupted.
 */
static struct amp_room *amp_enter(u32 kind)
{
	struct amp_cpu *cpu;

	preempt_disable();
	cpu = amp_ring.cpus[smp_processor_id()];
	if (READ_ONCE(cpu->inside) >= AMP_ROOMS) {
		preempt_enable();
		amp_count(kind, AMP_MISSED);
		return NULL;
	}
	return &cpu->rooms[cpu->inside++];
}

static void amp_leave(struct amp_room *room)
{
	amp_ring.cpus[smp_processor_id()]->inside--;
	preempt_enable();
}

static void amp_copy_in(u64 at, const void *from, u32 size)
{
	u64 begin = at & (amp_ring.size - 1);
	u64 first = min_t(u64, size, amp_ring.size - begin);

	memcpy(amp_ring.bytes + begin, from, first);
	memcpy(amp_ring.bytes, from + first, size - first);
}

/* Puts the record of a room into the ring. */
static void amp_send(struct amp_room *room)
{
	struct amp_ring *ring = &amp_ring;
	u32 size = ALIGN(room->size, 8);
	unsigned long flags;
	bool full, wake;
	u64 used;

	room->head.size = room->size;
	raw_spin_lock_irqsave(&ring->lock, flags);
	used = ring->produced - ring->consumed;
	full = used + size > ring->size;
	if (!full) {
		amp_copy_in(ring->produced, room->record, room->size);
		ring->produced += size;
		/* Who sees the number sees the bytes. */
		smp_store_release(&ring->page->produced, ring->produced);
	}
	WRITE_ONCE(ring->nearly_full, used + size > ring->size / 8 * 7);
	wake = ring->waits || used + size >= ring->wakeup_bytes;
	ring->waits = false;
	raw_spin_unlock_irqrestore(&ring->lock, flags);
	if (full)
		amp_count(room->head.kind, AMP_FULL);
	if (wake)
		irq_work_queue(&ring->wake);
}

static struct amp_recent *amp_recent_of(const struct amp_recent *e)
{
	u64 h = (e->inode ^ (u64)e->pid << 32 ^ e->device ^ (u64)e->kind << 56) * 0x9E3779B97F4A7C15ULL;

	return &amp_ring.cpus[smp_processor_id()]->recent[h >> 56];
}

static bool amp_same(const struct amp_recent *a, const struct amp_recent *b)
{
	return a->inode == b->inode && a->device == b->device && a->pid == b->pid && a->kind == b->kind;
}

/* Whether e was told on this CPU within so many ns, and nothing has changed. It is
 * counted then. */
static bool __maybe_unused amp_duplicate(const struct amp_recent *e, u64 window)
{
	struct amp_recent *old = amp_recent_of(e);

	if (!amp_same(old, e) || old->state != e->state || e->time - old->time > window)
		return false;
	old->merged++;
	amp_count(e->kind, AMP_MERGED);
	return true;
}

/* Remembers an event that is told; returns how many before it were left out. */
static u32 __maybe_unused amp_remember(const struct amp_recent *e)
{
	struct amp_recent *old = amp_recent_of(e);
	u32 merged = amp_same(old, e) ? old->merged : 0;

	*old = *e;
	old->merged = 0;
	return merged;
}

static void amp_wake(struct irq_work *work)
{
	wake_up_interruptible(&amp_ring.readers);
}

static int amp_open(struct inode *inode, struct file *file)
{
	/* Who may read what all processes do: as with eBPF programs. */
#ifdef CAP_BPF
	if (!capable(CAP_SYS_ADMIN) && !(capable(CAP_BPF) && capable(CAP_PERFMON)))
		return -EPERM;
#else
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
#endif
	if (file->f_mode & FMODE_WRITE)
		return -EACCES;
	if (test_and_set_bit(0, &amp_ring.opened))
		return -EBUSY;
	return nonseekable_open(inode, file);
}

static int amp_release(struct inode *inode, struct file *file)
{
	WRITE_ONCE(amp_ring.kinds, 0);
	clear_bit_unlock(0, &amp_ring.opened);
	return 0;
}

static int amp_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* The file is not open for writing, so that the mapping cannot be made writable. */
	return remap_vmalloc_range(vma, amp_ring.page, vma->vm_pgoff);
}

static __poll_t amp_poll(struct file *file, poll_table *wait)
{
	struct amp_ring *ring = &amp_ring;

	poll_wait(file, &ring->readers, wait);
	return READ_ONCE(ring->produced) != READ_ONCE(ring->consumed) ? EPOLLIN | EPOLLRDNORM : 0;
}

static long amp_set(const struct amp_settings __user *from)
{
	struct amp_ring *ring = &amp_ring;
	struct amp_settings s;
	unsigned long flags;

	if (copy_from_user(&s, from, sizeof(s)))
		return -EFAULT;
	if (s.kinds >> AMP_KINDS || s.padding)
		return -EINVAL;
	raw_spin_lock_irqsave(&ring->lock, flags);
	ring->wakeup_bytes = s.wakeup_bytes;
	WRITE_ONCE(ring->critical, s.critical);
	WRITE_ONCE(ring->reduced, s.reduced);
	WRITE_ONCE(ring->kinds, s.kinds);
	raw_spin_unlock_irqrestore(&ring->lock, flags);
	return 0;
}

/* A position that cannot be is refused: all that the ring holds stays between the two. */
static long amp_consumed(const u64 __user *from)
{
	struct amp_ring *ring = &amp_ring;
	unsigned long flags;
	long err = 0;
	u64 at;

	if (copy_from_user(&at, from, sizeof(at)))
		return -EFAULT;
	raw_spin_lock_irqsave(&ring->lock, flags);
	if (at & 7 || at - ring->consumed > ring->produced - ring->consumed)
		err = -EINVAL;
	else
		ring->consumed = at;
	WRITE_ONCE(ring->nearly_full, ring->produced - ring->consumed > ring->size / 8 * 7);
	raw_spin_unlock_irqrestore(&ring->lock, flags);
	return err;
}

/* Returns 1 where something is in the ring already. */
static long amp_wait(void)
{
	struct amp_ring *ring = &amp_ring;
	unsigned long flags;
	bool some;

	raw_spin_lock_irqsave(&ring->lock, flags);
	some = ring->produced != ring->consumed;
	ring->waits = !some;
	raw_spin_unlock_irqrestore(&ring->lock, flags);
	return some;
}

static long amp_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *at = (void __user *)argument;
	unsigned long flags;

	/* The reader calls often enough for its counts to be new. */
	raw_spin_lock_irqsave(&amp_ring.lock, flags);
	amp_gather_missed();
	raw_spin_unlock_irqrestore(&amp_ring.lock, flags);
	switch (command) {
	case AMP_IOC_SET:
		return amp_set(at);
	case AMP_IOC_CONSUMED:
		return amp_consumed(at);
	case AMP_IOC_WAIT:
		return amp_wait();
	}
	return -ENOTTY;
}

static const struct file_operations amp_operations = {
	.owner = THIS_MODULE,
	.open = amp_open,
	.release = amp_release,
	.mmap = amp_mmap,
	.poll = amp_poll,
	.unlocked_ioctl = amp_ioctl,
};

static void amp_ring_free(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		if (amp_ring.cpus)
			kvfree(amp_ring.cpus[cpu]);
	kfree(amp_ring.cpus);
	vfree(amp_ring.page);
}

/* Makes the ring of so many bytes, a power of two and of pages. The device comes
 * last of all (amp_ring_show()), and goes first. */
static int amp_ring_make(u64 size)
{
	struct amp_ring *ring = &amp_ring;
	int cpu;

	raw_spin_lock_init(&ring->lock);
	init_waitqueue_head(&ring->readers);
	init_irq_work(&ring->wake, amp_wake);
	ring->size = size;
	ring->page = vmalloc_user(PAGE_SIZE + size);
	ring->cpus = kcalloc(nr_cpu_ids, sizeof(*ring->cpus), GFP_KERNEL);
	if (!ring->page || !ring->cpus)
		goto full;
	for_each_possible_cpu(cpu) {
		ring->cpus[cpu] = kvzalloc_node(sizeof(struct amp_cpu), GFP_KERNEL, cpu_to_node(cpu));
		if (!ring->cpus[cpu])
			goto full;
	}
	ring->bytes = (char *)ring->page + PAGE_SIZE;
	ring->page->version = AMP_RING_VERSION;
	ring->page->size = size;
	return 0;
full:
	amp_ring_free();
	return -ENOMEM;
}

static int amp_ring_show(const char *name)
{
	BUILD_BUG_ON(sizeof(struct amp_ring_page) > PAGE_SIZE);
	amp_ring.device.minor = MISC_DYNAMIC_MINOR;
	amp_ring.device.name = name;
	amp_ring.device.mode = 0400;
	amp_ring.device.fops = &amp_operations;
	return misc_register(&amp_ring.device);
}

/* The ring's size is a module's parameter, in MiB. */
static uint ring_mib = 4;
module_param(ring_mib, uint, 0444);
MODULE_PARM_DESC(ring_mib, "size of the ring of events in MiB, a power of two up to 64");
MODULE_INFO(amp_sources, __stringify(AMP_SOURCES));

static u64 amp_ring_size(void)
{
	if (!ring_mib || ring_mib > 64 || ring_mib & (ring_mib - 1))
		return 0;
	return (u64)ring_mib << 20;
}

#endif
