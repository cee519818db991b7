/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Beginning and end of a module: its ring, then what fills it, and last the device
 * by which a reader comes; taken away in the other order. The module has the arrays
 * tracepoints and probes.
 */
#ifndef AMP_MODULE_H
#define AMP_MODULE_H

#include "probe.h"
#include "tracepoint.h"

static void amp_gather_missed(void)
{
	amp_probes_missed(probes, ARRAY_SIZE(probes));
}

/* Nothing fills the ring any more, and nothing is on its way to wake a reader. */
static void amp_ring_quiet(void)
{
	amp_probes_detach(probes, ARRAY_SIZE(probes));
	amp_tracepoints_detach(tracepoints, ARRAY_SIZE(tracepoints));
	irq_work_sync(&amp_ring.wake);
}

static int amp_start(void)
{
	u64 size = amp_ring_size();
	int err;

	if (!size)
		return -EINVAL;
	err = amp_ring_make(size);
	if (err)
		return err;
	err = amp_tracepoints_attach(tracepoints, ARRAY_SIZE(tracepoints));
	if (!err)
		err = amp_probes_attach(probes, ARRAY_SIZE(probes));
	if (!err)
		err = amp_ring_show(KBUILD_MODNAME);
	if (err) {
		amp_ring_quiet();
		amp_ring_free();
	}
	return err;
}

static void amp_stop(void)
{
	misc_deregister(&amp_ring.device);
	amp_ring_quiet();
	amp_ring_free();
}

#endif
