package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/ampconnector/amp/internal/monitor"
)

// Run implements monitor.Source. When ctx ends it still handles what had come until then.
func (s *source) Run(ctx context.Context, handle func(*monitor.Event)) error {
	s.sleeps.Begin()
	defer context.AfterFunc(ctx, s.sleeps.End)()
	clock := newWallClock(readClocks)
	r := run{source: s, handle: handle, decoder: decoder{clock: clock}, subjects: newSubjects(clock)}
	for {
		err := r.next()
		all := errors.Is(err, os.ErrDeadlineExceeded) // was read
		if ctx.Err() != nil && (all || err == nil) {
			if r.ended(all) {
				return nil
			}
			continue
		}
		if all {
			err = r.rest()
		}
		if errors.Is(err, ringbuf.ErrClosed) { // which is os.ErrClosed
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the ring of events: %w", err)
		}
	}
}

// Look implements monitor.Prompt.
func (s *source) Look() { s.sleeps.Wake() }

// run is one call of Run.
type run struct {
	*source
	handle   func(*monitor.Event)
	decoder  decoder
	subjects *subjects
	exits    exits
	record   ringbuf.Record
	since    int // events since the last rest

	ending bool // the context has ended, and left bytes of the ring are still to be read
	left   int
}

// next handles the next record. The error is os.ErrDeadlineExceeded where there is none.
func (r *run) next() error {
	err := r.reader.ReadInto(&r.record)
	if err == nil {
		r.since++
		r.take(r.record.RawSample)
	}
	return err
}

// rest sleeps until it is worth while to read again.
func (r *run) rest() error {
	idle := r.since == 0
	r.since = 0
	if !idle {
		enough := r.reader.BufferSize() / wakeupPart
		return r.sleeps.Sleep(pollInterval, func() bool { return r.backlog() >= enough })
	}
	if err := r.askToBeWoken(); err != nil {
		return err
	}
	return r.sleeps.Sleep(idleInterval, func() bool { return r.backlog() > 0 })
}

// askToBeWoken makes the next record wake the reader.
func (s *source) askToBeWoken() error {
	s.ring.Lock()
	defer s.ring.Unlock()
	if s.gone {
		return ringbuf.ErrClosed
	}
	return s.waits.Put(uint32(0), uint32(1))
}

// backlog is how many bytes are in the ring.
func (s *source) backlog() int {
	s.ring.Lock()
	defer s.ring.Unlock()
	if s.gone {
		return 0
	}
	return s.reader.AvailableBytes()
}

// ended reports whether all has been read that was in the ring when the context ended. all: nothing is there now.
func (r *run) ended(all bool) bool {
	if !r.ending {
		r.ending = true
		r.left = r.backlog()
		return r.left <= 0
	}
	r.left -= len(r.record.RawSample) + recordOverhead
	return all || r.left <= 0
}

// recordOverhead is what the ring holds beside each record: struct bpf_ringbuf_hdr.
const recordOverhead = 8

func (r *run) take(b []byte) {
	e, err := r.decoder.decode(b)
	if errors.Is(err, errUnknownKind) {
		return
	}
	if err != nil {
		r.tally.damaged[kindOf(b)].Add(1)
		return
	}
	if e.Kind == monitor.Exit && r.exits.seen(e.Process.PID, uint64(e.Process.StartBoot), r.decoder.flags&flagThreads != 0) {
		return
	}
	r.tally.handled[e.Kind].Add(1)
	r.subjects.of(e, &r.decoder)
	r.handle(e)
	r.subjects.handled(e)
}

// kindOf is what a record that is damaged says of its kind.
func kindOf(b []byte) monitor.Kind {
	if len(b) <= offKind || b[offKind] >= maxKinds {
		return 0
	}
	return monitor.Kind(b[offKind])
}
