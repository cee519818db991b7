package bpf

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/wakeup"
)

// Ring sizes in bytes. A record of an exec has about 200; the ring holds what comes while the reader gets no CPU.
const (
	ringPerCPU   = 1 << 20
	ringSmallest = 2 << 20
	ringLargest  = 16 << 20
	wakeupPart   = 8 // the reader is woken when the ring is filled by one part in so many
)

// How long the reader sleeps at most. While events come it looks every pollInterval, which spares the kernel a wake-up for each event, and
// bounds an event's way to the handler. When none came in that time it asks to be woken by the next; idleInterval bounds the
// wait where that request crossed an event on its way.
const (
	pollInterval = 100 * time.Millisecond
	idleInterval = 500 * time.Millisecond
)

// source is the eBPF programs, attached, and the reader of their ring.
type source struct {
	name   monitor.SourceName
	lacks  error // of Types
	reader *ringbuf.Reader
	sleeps *wakeup.Sleeper
	tally  tally

	mu      sync.Mutex // for all but the ring: attaching takes long, and the reader does not wait for it
	kernel  *loaded
	applied *applied
	active  activityReader
	begun   operations
	closed  bool
	free    *time.Timer    // gives memory back; nil before the first settings
	final   monitor.Counts // once closed, without the tally

	ring  sync.Mutex // against Close, which takes the ring away
	gone  bool       // the ring is
	waits *ebpf.Map  // by which the next record wakes the reader
}

// Open loads and attaches the programs that the settings ask for, and returns the source of their events. Events that happen before Run
// is called wait in the ring. An error of the kernel can be told with errors.Is and an errno; a verifier's refusal comes with the end of its log.
func Open(ctx context.Context, settings monitor.Settings) (monitor.Source, error) {
	s, err := open(ctx, settings, options{name: monitor.EBPFKernelBTF})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Types are layouts of the kernel's structures from elsewhere than its own BTF.
type Types struct {
	Name monitor.SourceName // of the source that works by them
	Spec *btf.Spec
	// Lacks is why paths have to do without the structure of mounts, nil if they do not.
	Lacks error
}

// OpenWith is Open on a kernel that does not offer its own BTF. Programs that need that, fentry and fexit, are out of the question then.
func OpenWith(ctx context.Context, settings monitor.Settings, t Types) (monitor.Source, error) {
	s, err := open(ctx, settings, options{name: t.Name, types: t.Spec, lacks: t.Lacks})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// options are what differs between the ways to open a source. The zero value of a field means what stands behind it.
type options struct {
	name  monitor.SourceName
	types *btf.Spec // layouts to relocate with; the kernel's own BTF
	lacks error     // of Types
	ring  uint32    // bytes of the ring, a power of two and of pages; by the number of CPUs
	hooks hookSet   // the best that the kernel lets us attach
	// second: hooks have their second programs even where the kernel is known not to preempt the first
	second bool
}

func open(ctx context.Context, settings monitor.Settings, o options) (*source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.ring == 0 {
		o.ring = ringSize()
	}
	cache := btf.NewCache() // the kernel's types are read once for all that follows
	if o.hooks == 0 {
		o.hooks = probeHooks(o.types, cache)
	}
	s := &source{name: o.name, lacks: o.lacks, kernel: newLoaded(o.hooks, o.types, o.ring)}
	s.kernel.cache = cache
	s.kernel.second = o.second || mayPreempt(host.At("/"))
	if err := s.start(settings); err != nil {
		return nil, errors.Join(fmt.Errorf("load eBPF programs: %w", err), s.kernel.close())
	}
	return s, nil
}

// mayPreempt reports whether a program may be preempted by another on its CPU, as far as is known.
func mayPreempt(r host.Root) bool {
	preempts := host.Preemptible(r)
	return !preempts.Known() || preempts.Value
}

func (s *source) start(settings monitor.Settings) error {
	if err := s.set(settings); err != nil {
		return err
	}
	var err error
	if s.reader, err = ringbuf.NewReader(s.kernel.maps["events"]); err != nil {
		return fmt.Errorf("open the ring of events: %w", err)
	}
	s.reader.SetDeadline(time.Unix(1, 0)) // it never sleeps
	s.waits = s.kernel.maps["reader_waits"]
	if s.sleeps, err = newRingSleep(s.kernel.maps["events"]); err != nil {
		return fmt.Errorf("poll the ring of events: %w", errors.Join(err, s.reader.Close()))
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
	defer s.freeLater()
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

// freeAfter outlasts the proof of a source that was just opened. The collector takes a tenth as long as the programs, and whoever waits for the source
// does not wait for that too.
const freeAfter = 3 * time.Second

// freeLater gives memory back: relocation reads the kernel's types, 5 MB mapped and as much again in memory, which are not needed until the next time.
func (s *source) freeLater() {
	if s.free == nil {
		s.free = time.AfterFunc(freeAfter, debug.FreeOSMemory)
	} else {
		s.free.Reset(freeAfter)
	}
}

// Name implements monitor.Source.
func (s *source) Name() monitor.SourceName { return s.name }

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
		_, boot := readClocks()
		if err := s.begun.sweep(s.kernel.maps["operations"], time.Now(), boot); err != nil {
			return counts, err
		}
		s.begun.addTo(&counts)
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
	return s.active.read(s.kernel.maps["activity"])
}

// BlindSpots implements monitor.Source.
func (s *source) BlindSpots() []monitor.BlindSpot {
	s.mu.Lock()
	defer s.mu.Unlock()
	spots := s.kernel.blindSpots()
	if s.lacks != nil {
		spots = append(spots, monitor.BlindSpot{Kinds: monitor.ProcessKinds | monitor.FileKinds, What: noMounts.With(s.lacks)})
	}
	return spots
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
	s.begun.addTo(&s.final)
	err := s.sleeps.Close() // a sleeper looks into the ring
	s.ring.Lock()
	defer s.ring.Unlock()
	s.gone = true
	return errors.Join(err, s.reader.Close(), s.kernel.close())
}
