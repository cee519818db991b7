package bpf

import "github.com/ampconnector/amp/internal/monitor"

// Records turns records of the layout of record/record.h into events, whoever wrote them: the kernel modules write the same. Processes are
// known to it from one record to the next, so that all of a source go through one. It is for one goroutine but for AddTo.
type Records struct{ run run }

// NewRecords gives one that calls handle for each event.
func NewRecords(handle func(*monitor.Event)) *Records {
	clock := newWallClock(readClocks)
	return &Records{run{source: &source{}, handle: handle, decoder: decoder{clock: clock}, subjects: newSubjects(clock)}}
}

// Take reads one record. The event's strings lie in it: it must stay as it is until Take returns.
func (r *Records) Take(record []byte) { r.run.take(record) }

// AddTo adds what was handled, and what could not be read, to the counts. It may be called at any time.
func (r *Records) AddTo(c *monitor.Counts) { r.run.tally.addTo(c) }
