/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tracepoints by their names. Few of them are exported to modules one by one; the
 * kernel shows all of them to a function that is.
 */
#ifndef AMP_TRACEPOINT_H
#define AMP_TRACEPOINT_H

#include <linux/tracepoint.h>

struct amp_tracepoint {
	const char *name;
	void *probe;
	struct tracepoint *found;
	bool attached;
};

static void amp_tracepoint_match(struct tracepoint *tp, void *sought)
{
	struct amp_tracepoint *t = sought;

	if (!strcmp(tp->name, t->name))
		t->found = tp;
}

/* Takes the probes away. Afterwards none runs any more. */
static void amp_tracepoints_detach(struct amp_tracepoint *all, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!all[i].attached)
			continue;
		all[i].attached = false;
		tracepoint_probe_unregister(all[i].found, all[i].probe, NULL);
	}
	tracepoint_synchronize_unregister();
}

static int amp_tracepoints_attach(struct amp_tracepoint *all, size_t n)
{
	size_t i;
	int err;

	for (i = 0; i < n; i++) {
		for_each_kernel_tracepoint(amp_tracepoint_match, &all[i]);
		err = all[i].found ? tracepoint_probe_register(all[i].found, all[i].probe, NULL) : -ENOENT;
		if (err) {
			pr_err("tracepoint %s: error %d\n", all[i].name, err);
			return err; /* amp_start() takes the others away */
		}
		all[i].attached = true;
	}
	return 0;
}

#endif
