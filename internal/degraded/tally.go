package degraded

import (
	"sync/atomic"

	"github.com/ampconnector/amp/internal/monitor"
)

// allKinds is one more than the last kind.
const allKinds = len(monitor.Counts{}.Kinds)

// count is monitor.Count of one kind, for one goroutine that writes and others that read.
type count struct{ handled, excluded, shed, full, damaged atomic.Uint64 }

// tally counts events by kind; [0] has what cannot be told by kind.
type tally [allKinds]count

func (t *tally) judged(k monitor.Kind, v monitor.Verdict) {
	switch v {
	case monitor.Handle:
		t[k].handled.Add(1)
	case monitor.Exclude:
		t[k].excluded.Add(1)
	case monitor.Shed:
		t[k].shed.Add(1)
	}
}

func (t *tally) counts() (c monitor.Counts) {
	for k := range t {
		c.Kinds[k] = monitor.Count{
			Handled: t[k].handled.Load(), Excluded: t[k].excluded.Load(), Shed: t[k].shed.Load(),
			Full: t[k].full.Load(), Damaged: t[k].damaged.Load(),
		}
	}
	return c
}
