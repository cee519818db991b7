package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
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
	name    monitor.SourceName
	objects processObjects
	links   []link.Link
	reader  *ringbuf.Reader

	handled atomic.Uint64
	damaged atomic.Uint64 // records that could not be decoded

	mu     sync.Mutex
	closed bool
	final  monitor.Loss // once closed
}

// Open loads the programs, attaches them and returns the source of their events. Those that happen before Run is called wait in the
// ring. An error of the kernel can be told with errors.Is and an errno; a verifier's refusal comes with the end of its log.
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
}

func open(ctx context.Context, o options) (*source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.ring == 0 {
		o.ring = ringSize()
	}
	s := &source{name: o.name}
	err := s.load(o)
	// Relocation reads the kernel's types, 5 MB mapped and as much again in memory; they are not needed until the next Open.
	debug.FreeOSMemory()
	if err != nil {
		return nil, err
	}
	if err := s.attach(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) load(o options) error {
	spec, err := loadProcess()
	if err != nil {
		return err
	}
	spec.Maps[processMapEvents].MaxEntries = o.ring
	if err := spec.Variables[processVarWakeupBytes].Set(uint64(o.ring / wakeupPart)); err != nil {
		return err
	}
	err = withMemlock(func() error {
		return spec.LoadAndAssign(&s.objects, &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: o.types}})
	})
	if err != nil {
		return fmt.Errorf("load eBPF programs: %w", brief(err))
	}
	s.reader, err = ringbuf.NewReader(s.objects.Events)
	if err != nil {
		s.objects.Close()
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

func (s *source) attach() error {
	// The kernel calls the programs of a tracepoint in the order in which they were attached, and the second must come second.
	for _, p := range []struct {
		tracepoint string
		program    *ebpf.Program
	}{
		{"sched_process_exec", s.objects.AmpExec},
		{"sched_process_exec", s.objects.AmpExecSecond},
		{"sched_process_exit", s.objects.AmpExit},
		{"sched_process_exit", s.objects.AmpExitSecond},
	} {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: p.tracepoint, Program: p.program})
		if err != nil {
			return fmt.Errorf("attach to raw tracepoint %s: %w", p.tracepoint, err)
		}
		s.links = append(s.links, l)
	}
	return nil
}

// Name implements monitor.Source.
func (s *source) Name() monitor.SourceName { return s.name }

// Run implements monitor.Source. When ctx ends it still handles what had come until then.
func (s *source) Run(ctx context.Context, handle func(*monitor.Event)) error {
	defer context.AfterFunc(ctx, func() { s.reader.Flush() })()
	r := run{source: s, handle: handle, decoder: decoder{clock: newWallClock(readClocks)}}
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
	handle  func(*monitor.Event)
	decoder decoder
	exits   exits
	record  ringbuf.Record
	since   int  // events since the last look at the clock
	idle    bool // the kernel was asked to wake the reader

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
	s.mu.Lock() // against Close, which takes the ring away
	defer s.mu.Unlock()
	if s.closed {
		return 0, ringbuf.ErrClosed
	}
	if err := s.objects.ReaderWaits.Set(uint32(1)); err != nil {
		return 0, err
	}
	return s.reader.AvailableBytes(), nil
}

// backlog is how many bytes are in the ring.
func (s *source) backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
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
	if err == errUnknownKind {
		return
	}
	if err != nil {
		r.damaged.Add(1)
		return
	}
	d := &r.decoder
	p := &e.Process
	switch e.Kind {
	case monitor.Exit:
		if r.exits.seen(p.PID, d.start, d.flags&flagThreads != 0) {
			return
		}
	case monitor.Exec:
		if incomplete(e.Path) {
			e.Path = complete("/proc", e.Path, p.PID, d.start, d.inode, d.flags&flagScript != 0)
		}
	}
	r.handled.Add(1)
	r.handle(e)
}

// Loss implements monitor.Source. Lost are records that found the ring full, records that could not be decoded, and events for which
// the kernel ran neither of the two programs.
func (s *source) Loss() (monitor.Loss, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		loss := s.final
		loss.Handled = s.handled.Load()
		return loss, nil
	}
	return s.loss()
}

func (s *source) loss() (monitor.Loss, error) {
	loss := monitor.Loss{Handled: s.handled.Load(), Lost: s.damaged.Load()}
	full, err := s.count(countLost)
	if err != nil {
		return loss, err
	}
	taken, err := s.count(countTaken)
	if err != nil {
		return loss, err
	}
	missed := uint64(0)
	for _, p := range []*ebpf.Program{s.objects.AmpExec, s.objects.AmpExit} {
		if st, err := p.Stats(); err == nil { // kernels before 5.12 do not count
			missed += st.RecursionMisses
		}
	}
	loss.Lost += full
	if missed > taken { // the counts are not read at the same moment
		loss.Lost += missed - taken
	}
	return loss, nil
}

// Keys of the map counts, programs/process.c.
const (
	countLost uint32 = iota
	countTaken
)

// count adds up what the CPUs counted.
func (s *source) count(key uint32) (sum uint64, err error) {
	var byCPU []uint64
	if err := s.objects.Counts.Lookup(key, &byCPU); err != nil {
		return 0, fmt.Errorf("read the counts of events: %w", err)
	}
	for _, n := range byCPU {
		sum += n
	}
	return sum, nil
}

// Close implements monitor.Source.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	s.final, _ = s.loss()
	errs = append(errs, s.reader.Close(), s.objects.Close())
	return errors.Join(errs...)
}
