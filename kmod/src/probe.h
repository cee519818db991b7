/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Probes on functions of the kernel: where they begin (kprobe), or where they begin
 * and where they end (kretprobe).
 */
#ifndef AMP_PROBE_H
#define AMP_PROBE_H

#include <linux/kprobes.h>

#include "ring.h"

struct amp_probe {
	struct kprobe begin;   /* one of both has the function's name */
	struct kretprobe both;
	u32 kind;	       /* that what it misses is counted of */
	bool optional;	       /* it may not be there, as in a module of the kernel's that is not loaded */
	bool attached;
	unsigned long missed;
};

/* An argument of the function that a probe is at the beginning of. */
static unsigned long amp_argument(struct pt_regs *regs, unsigned int n)
{
#if defined(AMP_HAS_ARGUMENT)
	return regs_get_kernel_argument(regs, n);
#elif defined(CONFIG_X86_64) /* before 4.20, not tested */
	switch (n) {
	case 0:
		return regs->di;
	case 1:
		return regs->si;
	case 2:
		return regs->dx;
	case 3:
		return regs->cx;
	case 4:
		return regs->r8;
	case 5:
		return regs->r9;
	}
	return 0;
#elif defined(CONFIG_ARM64) /* before 5.2, not tested */
	return n < 8 ? regs->regs[n] : 0;
#else
#error "this kernel does not tell the arguments of its functions (regs_get_kernel_argument), and they are known for x86_64 and arm64 only"
#endif
}

/* So many threads may be within one function at a time; more are counted as missed. */
#define AMP_ACTIVE 128

#define AMP_AT(function, begins, of)                                                             \
	{ .begin = { .symbol_name = function, .pre_handler = begins }, .kind = of }

#define AMP_AT_OPTIONAL(function, begins, of)                                                    \
	{ .begin = { .symbol_name = function, .pre_handler = begins }, .kind = of, .optional = true }

#define AMP_AROUND(function, begins, ends, data, of)                                             \
	{ .both = { .kp.symbol_name = function, .entry_handler = begins, .handler = ends,         \
		    .data_size = sizeof(data), .maxactive = AMP_ACTIVE }, .kind = of }

/* Takes the probes away. Afterwards none runs any more. */
static void amp_probes_detach(struct amp_probe *all, size_t n)
{
	while (n--) {
		if (!all[n].attached)
			continue;
		all[n].attached = false;
		if (all[n].begin.symbol_name)
			unregister_kprobe(&all[n].begin);
		else
			unregister_kretprobe(&all[n].both);
	}
}

static int amp_probes_attach(struct amp_probe *all, size_t n)
{
	const char *name;
	size_t i;
	int err;

	for (i = 0; i < n; i++) {
		name = all[i].begin.symbol_name ?: all[i].both.kp.symbol_name;
		err = all[i].begin.symbol_name ? register_kprobe(&all[i].begin) : register_kretprobe(&all[i].both);
		if (err == -ENOENT && all[i].optional)
			continue;
		if (err) {
			pr_err("probe of %s: error %d\n", name, err);
			return err; /* amp_start() takes the others away */
		}
		all[i].attached = true;
	}
	return 0;
}

/* Counts what the probes missed since the last call. */
static void amp_probes_missed(struct amp_probe *all, size_t n)
{
	unsigned long now;
	size_t i;

	for (i = 0; i < n; i++) {
		now = READ_ONCE(all[i].begin.nmissed) + READ_ONCE(all[i].both.nmissed) + READ_ONCE(all[i].both.kp.nmissed);
		atomic64_add(now - all[i].missed, &amp_ring.page->counts[all[i].kind][AMP_MISSED]);
		all[i].missed = now;
	}
}

#endif
