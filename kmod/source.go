package kmod

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/wakeup"
)

// How the reader is woken, as that of the eBPF source: while events come it looks every pollInterval, and is woken before if a good part of a
// ring is full; else the next event wakes it.
const (
	pollInterval = 100 * time.Millisecond
	idleInterval = 500 * time.Millisecond
	wakeupPart   = 8
	consumedPart = 16 // the kernel is told at the latest when one part in so many was read
	nearlyFull   = 7  // of 8 parts: as if monitoring were reduced
)

// Decoder turns records into events. The layout is the eBPF programs' (bpf/record), and so is the decoder: the
// rooms stand side by side, so that whoever opens the source brings it.
type Decoder interface {
	// Take reads one record, which stays as it is until Take returns.
	Take(record []byte)
	// AddTo adds what was handed out and what could not be read.
	AddTo(*monitor.Counts)
}

// source is the modules' rings and their reader.
type source struct {
	rings      []*ring
	sleeper    *wakeup.Sleeper
	decoder    Decoder
	filter     atomic.Pointer[monitor.Filter]
	activities monitor.Activities
	tally      [len(monitor.Counts{}.Kinds)]struct{ excluded, shed atomic.Uint64 }
	full       atomic.Bool // a ring is nearly

	mu      sync.Mutex // against Close, for what looks into the rings
	closed  bool
	final   monitor.Counts
	handle  func(*monitor.Event) // of Run
	running sync.Mutex           // held by Run
}

// Open opens the rings of the modules, which are loaded, and returns the source of their events. decoder makes the decoder that calls a handler.
func Open(ctx context.Context, settings monitor.Settings, decoder func(handle func(*monitor.Event)) Decoder) (monitor.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &source{}
	s.decoder = decoder(s.judge)
	if err := s.open(settings); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *source) open(settings monitor.Settings) (err error) {
	for _, m := range modules {
		r, err := openRing(m.name)
		if err != nil {
			return err
		}
		s.rings = append(s.rings, r)
	}
	if s.sleeper, err = newSleeper(s.rings); err != nil {
		return err
	}
	return s.Set(settings)
}

// Name implements monitor.Source.
func (s *source) Name() monitor.SourceName { return monitor.Modules }

// Hooks implements monitor.Source.
func (s *source) Hooks() string { return hooks }

// Sees implements monitor.Source.
func (s *source) Sees() (kinds monitor.Kinds) {
	for _, m := range modules {
		kinds |= m.kinds
	}
	return kinds
}

// Set implements monitor.Source. What is of no kind that is wanted is left out in the kernel; exclusions are judged here.
func (s *source) Set(settings monitor.Settings) error {
	f, err := monitor.NewFilter(settings)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	before := s.filter.Load()
	if err := s.tell(f); err != nil {
		if before != nil {
			err = errors.Join(err, s.tell(before))
		}
		return err
	}
	s.filter.Store(f)
	return nil
}

func (s *source) tell(f *monitor.Filter) (err error) {
	for i, r := range s.rings {
		err = errors.Join(err, r.set(f.Kinds&modules[i].kinds, f.Settings.Reduced))
	}
	return err
}

// judge is the decoder's handler.
func (s *source) judge(e *monitor.Event) {
	f := s.filter.Load()
	if !f.Kinds.Has(e.Kind) { // it was wanted when it happened
		s.tally[e.Kind].excluded.Add(1)
		return
	}
	if e.Process.PID != 0 {
		s.activities.Add(e.Process, e.Kind)
	}
	switch f.Judge(e, f.Settings.Reduced || s.full.Load()) {
	case monitor.Exclude:
		s.tally[e.Kind].excluded.Add(1)
	case monitor.Shed:
		s.tally[e.Kind].shed.Add(1)
	default:
		s.handle(e)
	}
}

// Run implements monitor.Source. When ctx ends it still handles what had come until then.
func (s *source) Run(ctx context.Context, handle func(*monitor.Event)) error {
	s.running.Lock()
	defer s.running.Unlock()
	s.handle = handle
	s.sleeper.Begin()
	defer context.AfterFunc(ctx, s.sleeper.End)()
	for {
		over := ctx.Err() != nil || s.isClosed()
		n, err := s.drain()
		if err != nil {
			return err
		}
		if over {
			return nil
		}
		if err := s.rest(n == 0); err != nil {
			return err
		}
	}
}

func (s *source) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// drain handles what was in the rings when it began, and what came meanwhile as far as it comes before that; in the order of time, so that a
// process is known before what it did.
func (s *source) drain() (handled int, err error) {
	var left int
	for _, r := range s.rings {
		left += r.waiting()
	}
	s.full.Store(s.nearlyFull())
	for left > 0 {
		r, record, err := s.earliest()
		if err != nil || record == nil {
			return handled, err
		}
		s.decoder.Take(record)
		left -= len(record)
		handled++
		if err := r.pass(len(record)); err != nil {
			return handled, err
		}
	}
	for _, r := range s.rings {
		err = errors.Join(err, r.consumed())
	}
	return handled, err
}

// earliest is the ring whose next record happened first.
func (s *source) earliest() (from *ring, record []byte, err error) {
	var earliest uint64
	for _, r := range s.rings {
		b, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		if b == nil {
			continue
		}
		if t := binary.NativeEndian.Uint64(b[offRecordTime:]); record == nil || t < earliest {
			from, record, earliest = r, b, t
		}
	}
	return from, record, nil
}

func (s *source) nearlyFull() bool {
	for _, r := range s.rings {
		if r.waiting() > len(r.data)/8*nearlyFull {
			return true
		}
	}
	return false
}

// Look implements monitor.Prompt.
func (s *source) Look() { s.sleeper.Wake() }

// rest sleeps until it is worth while to read again.
func (s *source) rest(idle bool) error {
	enough := func(part int) func() bool {
		return func() bool {
			for _, r := range s.rings {
				if r.waiting() > len(r.data)/part {
					return true
				}
			}
			return false
		}
	}
	if !idle {
		return s.sleeper.Sleep(pollInterval, enough(wakeupPart))
	}
	for _, r := range s.rings {
		if some, err := r.wait(); err != nil || some {
			return err
		}
	}
	return s.sleeper.Sleep(idleInterval, func() bool { return false })
}

// Counts implements monitor.Source. What the filter left out was handed to it by the decoder, which counts that as handled.
func (s *source) Counts() (monitor.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.final, nil
	}
	return s.counts(), nil
}

func (s *source) counts() (c monitor.Counts) {
	for _, r := range s.rings {
		r.addTo(&c)
	}
	var excluded, shed [len(c.Kinds)]uint64
	for k := range s.tally { // before the decoder's, which has them in it
		excluded[k], shed[k] = s.tally[k].excluded.Load(), s.tally[k].shed.Load()
	}
	s.decoder.AddTo(&c)
	for k := range c.Kinds {
		n := &c.Kinds[k]
		n.Excluded += excluded[k]
		n.Shed += shed[k]
		n.Handled -= excluded[k] + shed[k]
	}
	return c
}

// Activity implements monitor.Source.
func (s *source) Activity() ([]monitor.Activity, error) { return s.activities.List(), nil }

// BlindSpots implements monitor.Source.
func (s *source) BlindSpots() []monitor.BlindSpot { return blindSpots }

// Close implements monitor.Source. The modules stay loaded, and do nothing without a reader.
func (s *source) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.final = s.counts()
	s.closed = true
	s.mu.Unlock()
	var err error
	if s.sleeper != nil {
		s.sleeper.End()
	}
	s.running.Lock() // Run looks into the rings
	defer s.running.Unlock()
	if s.sleeper != nil {
		err = s.sleeper.Close()
	}
	for _, r := range s.rings {
		err = errors.Join(err, r.close())
	}
	s.rings = nil
	return err
}
