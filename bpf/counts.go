package bpf

import (
	"fmt"
	"sync/atomic"

	"github.com/ampconnector/amp/internal/monitor"
)

// enum amp_verdict, headers/events.h.
const (
	verdictExcluded = iota
	verdictMerged
	verdictShed
	verdictFull
	verdictMissed
	verdictTaken
	verdicts = 8
)

// maxKinds is how many kinds the kernel's side has room for.
const maxKinds = 32

// kernelCounts is struct amp_counts.
type kernelCounts [maxKinds][verdicts]uint64

// tally is what the reader counts, by kind; [0] is what could not be told.
type tally struct {
	handled [maxKinds]atomic.Uint64
	damaged [maxKinds]atomic.Uint64
}

// addTo puts the reader's counts into c.
func (t *tally) addTo(c *monitor.Counts) {
	for k := range c.Kinds {
		c.Kinds[k].Handled += t.handled[k].Load()
		c.Kinds[k].Damaged += t.damaged[k].Load()
	}
}

// kernelCounts adds up what the CPUs counted.
func (l *loaded) kernelCounts() (sum kernelCounts, err error) {
	var byCPU []kernelCounts
	if err := l.maps["counts"].Lookup(uint32(0), &byCPU); err != nil {
		return sum, fmt.Errorf("read the counts of events: %w", err)
	}
	for _, c := range byCPU {
		for k := range c {
			for v, n := range c[k] {
				sum[k][v] += n
			}
		}
	}
	return sum, nil
}

// counts are those of the kernel's side. Missed are also events for which the kernel ran neither of two programs, or not the only one.
func (l *loaded) counts() (monitor.Counts, error) {
	var c monitor.Counts
	kernel, err := l.kernelCounts()
	if err != nil {
		return c, err
	}
	misses := l.misses()
	for k := range c.Kinds {
		n := &kernel[k]
		c.Kinds[k] = monitor.Count{
			Excluded: n[verdictExcluded], Merged: n[verdictMerged], Shed: n[verdictShed], Full: n[verdictFull], Missed: n[verdictMissed],
		}
		if m := misses[monitor.Kind(k)]; m > n[verdictTaken] { // they are not read at the same moment
			c.Kinds[k].Missed += m - n[verdictTaken]
		}
	}
	return c, nil
}
