package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/ampconnector/amp/internal/monitor"
)

// Ring sizes in bytes. A record of an exec has about 200; the ring holds what comes while the reader gets no CPU.
const (
	ringPerCPU   = 1 << 20
	ringSmallest = 2 << 20
	ringLargest  = 16 << 20
	wakeupPart   = 8 // the reader is woken when the ring is filled by one part in so many
)

// How long the reader sleeps. While events come it looks every pollInterval, which spares the kernel a wake-up for each event, and
// bounds an event's way to the handler. When none came in that time it asks to be woken by the next; idleInterval bounds the
// wait where that request crossed an event on its way.
const (
	pollInterval = 50 * time.Millisecond
	idleInterval = 500 * time.Millisecond
)

// source is the eBPF programs, attached, and the reader of their ring.
type source struct {
	name   monitor.SourceName
	reader *ringbuf.Reader
	tally  tally

	mu      sync.Mutex // for all but the ring: attaching takes long, and the reader does not wait for it
	kernel  *loaded
	applied *applied
	closed  bool
	final   monitor.Counts // once closed, without the tally

	ring sync.Mutex // against Close, which takes the ring away
	gone bool       // the ring is
}

// Open loads the programs, attaches those for the processes' kinds and returns the source of their events; Set attaches the others. Events that
// happen before Run is called wait in the ring. An error of the kernel can be told with errors.Is and an errno; a verifier's
// refusal comes with the end of its log.
func Open(ctx context.Context) (monitor.Source, error) {
	s, err := open(ctx, options{name: monitor.EBPFKernelBTF})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// options are what differs between the ways to open a source. The zero value of a field means what stands behind it.
type options struct {
	name  monitor.SourceName
	types *btf.Spec // layouts to relocate with; the kernel's own BTF
	ring  uint32    // bytes of the ring, a power of two and of pages; by the number of CPUs
	hooks hookSet   // the best that the kernel lets us attach
}

func open(ctx context.Context, o options) (*source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.ring == 0 {
		o.ring = ringSize()
	}
	if o.hooks == 0 {
		o.hooks = probeHooks(o.types)
	}
	s := &source{name: o.name, kernel: newLoaded(o.hooks, o.types, o.ring)}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("load eBPF programs: %w", err), s.kernel.close())
	}
	return s, nil
}

func (s *source) start() error {
	if err := s.set(monitor.Settings{Kinds: monitor.ProcessKinds}); err != nil {
		return err
	}
	var err error
	if s.reader, err = ringbuf.NewReader(s.kernel.maps["events"]); err != nil {
		return fmt.Errorf("open the ring of events: %w", err)
	}
	return nil
}

func ringSize() uint32 {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		cpus = 1
	}
	size := uint32(ringSmallest)
	for size < ringLargest && uint64(size) < uint64(cpus)*ringPerCPU {
		size *= 2
	}
	return size
}

// Set implements monitor.Source. Executables that are excluded are looked up by their paths anew each time: an upgrade of a package puts
// another file there. Programs are attached before they are told to write anything.
func (s *source) Set(settings monitor.Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	before := s.applied
	err := s.set(settings)
	if err != nil && before != nil {
		s.applied = before
		err = errors.Join(err, s.kernel.write(before), s.kernel.reconcile(before))
	}
	return err
}

func (s *source) set(settings monitor.Settings) error {
	// Relocation reads the kernel's types, 5 MB mapped and as much again in memory; they are not needed until the next time.
	defer debug.FreeOSMemory()
	a, err := apply(settings)
	if err != nil {
		return err
	}
	if err := s.kernel.reconcile(a); err != nil {
		return err
	}
	s.applied = a
	return s.kernel.write(a)
}

// Name implements monitor.Source.
func (s *source) Name() monitor.SourceName { return s.name }

// Run implements monitor.Source. When ctx ends it still handles what had come until then.
func (s *source) Run(ctx context.Context, handle func(*monitor.Event)) error {
	defer context.AfterFunc(ctx, func() { s.reader.Flush() })()
	clock := newWallClock(readClocks)
	r := run{source: s, handle: handle, decoder: decoder{clock: clock}, subjects: newSubjects(clock)}
	err := r.rest()
	for ; ; err = r.next() {
		switch {
		case errors.Is(err, ringbuf.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("read the ring of events: %w", err)
		case ctx.Err() != nil && r.ended():
			return nil
		}
	}
}

// run is one call of Run.
type run struct {
	*source
	handle   func(*monitor.Event)
	decoder  decoder
	subjects *subjects
	exits    exits
	record   ringbuf.Record
	since    int  // events since the last look at the clock
	idle     bool // the kernel was asked to wake the reader

	flushed bool // all was read that was in the ring when the context ended
	ending  bool // the context has ended, and left bytes of the ring are still to be read
	left    int
}

// next waits for the next record and handles it.
func (r *run) next() error {
	err := r.reader.ReadInto(&r.record)
	switch {
	case err == nil:
		if r.idle {
			r.idle = false
			r.reader.SetDeadline(time.Now().Add(pollInterval))
		}
		r.since++
		r.take(r.record.RawSample)
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return r.rest()
	case errors.Is(err, ringbuf.ErrFlushed):
		r.flushed = true
		return nil
	}
	return err
}

// rest chooses how long to sleep next.
func (r *run) rest() error {
	r.idle = r.since == 0
	r.since = 0
	interval := pollInterval
	if r.idle {
		waiting, err := r.askToBeWoken()
		if err != nil {
			return err
		}
		if waiting == 0 {
			interval = idleInterval
		}
	}
	r.reader.SetDeadline(time.Now().Add(interval))
	return nil
}

// askToBeWoken makes the next record wake the reader, and returns the bytes that are in the ring already.
func (s *source) askToBeWoken() (int, error) {
	s.ring.Lock()
	defer s.ring.Unlock()
	if s.gone {
		return 0, ringbuf.ErrClosed
	}
	if err := s.kernel.maps["reader_waits"].Put(uint32(0), uint32(1)); err != nil {
		return 0, err
	}
	return s.reader.AvailableBytes(), nil
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

// ended reports whether all has been read that was in the ring when the context ended.
func (r *run) ended() bool {
	if !r.ending {
		r.ending = true
		r.left = r.backlog()
	} else {
		r.left -= len(r.record.RawSample) + recordOverhead
	}
	return r.flushed || r.left <= 0
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

// Counts implements monitor.Source.
func (s *source) Counts() (monitor.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.final
	if !s.closed {
		var err error
		if counts, err = s.kernel.counts(); err != nil {
			return counts, err
		}
		counts.QueueBytes, counts.QueueSize = uint64(s.reader.AvailableBytes()), uint64(s.reader.BufferSize())
	}
	s.tally.addTo(&counts)
	return counts, nil
}

// Hooks implements monitor.Source.
func (s *source) Hooks() string { return s.kernel.set.String() }

// Sees implements monitor.Source.
func (s *source) Sees() monitor.Kinds {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kernel.sees()
}

// Activity implements monitor.Source.
func (s *source) Activity() ([]monitor.Activity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	return s.kernel.activity()
}

// BlindSpots implements monitor.Source.
func (s *source) BlindSpots() []monitor.BlindSpot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kernel.blindSpots()
}

// Close implements monitor.Source.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.final, _ = s.kernel.counts()
	s.ring.Lock()
	defer s.ring.Unlock()
	s.gone = true
	return errors.Join(s.reader.Close(), s.kernel.close())
}
