package degraded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// source is the parts that the host has, and their reader.
type source struct {
	files     *files         // nil where the host has no such part
	processes *procConnector //
	flows     *flows         //
	missing   [3]error       // why not: of files, processes, flows
	wake      int            // an eventfd that ends a wait
	labels    bool           // SELinux gives processes contexts

	filter     atomic.Pointer[monitor.Filter]
	closing    atomic.Bool
	tally      tally
	activities monitor.Activities
	neighbours neighbours

	mu       sync.Mutex // for what follows, and the marks and memberships of the parts
	running  bool
	released bool
	mountErr error // of the last look at what is mounted
}

// Indices of source.missing.
const (
	partFiles = iota
	partProcesses
	partFlows
)

// Open opens the parts that the host has. Events that happen before Run is called wait in the kernel. It is an error if there is no part;
// the reasons can be told with errors.Is and an errno.
func Open(ctx context.Context, s monitor.Settings) (monitor.Source, error) {
	o, err := open(ctx, s, options{groups: namedGroups, mounts: hostMounts("/proc")})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// options are what a kernel could have less of than this one.
type options struct {
	groups    []namedGroup // that are tried
	mounts    mountView    // that are watched
	mountMark bool         // only mounts are marked
	lacks     [3]error     // parts that are not opened, and why
}

func open(ctx context.Context, settings monitor.Settings, o options) (*source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	s := &source{wake: wake, labels: exists("/sys/fs/selinux/enforce")}
	s.missing = o.lacks
	if s.missing[partFiles] == nil {
		s.files, s.missing[partFiles] = openFiles(o)
	}
	if s.missing[partProcesses] == nil {
		s.processes, s.missing[partProcesses] = openProcConnector(ctx)
	}
	if s.missing[partFlows] == nil {
		s.flows, s.missing[partFlows] = openFlows()
	}
	if s.files == nil && s.processes == nil && s.flows == nil {
		unix.Close(wake)
		return nil, fmt.Errorf("open the degraded source: %w", errors.Join(s.missing[:]...))
	}
	if err := s.Set(settings); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Set implements monitor.Source.
func (s *source) Set(settings monitor.Settings) error {
	f, err := monitor.NewFilter(settings)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released || s.closing.Load() {
		return nil
	}
	before := s.filter.Load()
	if err := s.attach(f.Kinds); err != nil {
		if before != nil {
			err = errors.Join(err, s.attach(before.Kinds))
		}
		return err
	}
	s.filter.Store(f)
	s.wakeUp()
	return nil
}

// attach asks the kernel for the kinds, and for nothing else.
func (s *source) attach(kinds monitor.Kinds) (err error) {
	if s.files != nil {
		asked := kinds
		if s.processes != nil && !s.files.names() {
			asked &^= monitor.KindsOf(monitor.Exec) // what was opened to be executed tells too little beside the process connector
		}
		err = s.files.set(asked)
	}
	if s.processes != nil {
		err = errors.Join(err, s.processes.set(kinds))
	}
	if s.flows != nil {
		s.flows.set(kinds)
	}
	return err
}

// begin marks that a reader runs.
func (s *source) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || s.released || s.closing.Load() {
		return false
	}
	s.running = true
	return true
}

// end marks that no reader runs any more. It closes what Close left open for it.
func (s *source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	if s.closing.Load() {
		_ = s.release() // Close, which would tell, has returned
	}
}

// Close implements monitor.Source. While Run runs, the kernel's side is closed when it returns, which is at once.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	if s.running {
		s.wakeUp()
		return nil
	}
	return s.release()
}

func (s *source) release() (err error) {
	if s.released {
		return nil
	}
	s.takeLost()
	s.released = true
	if s.files != nil {
		err = s.files.close()
	}
	if s.processes != nil {
		err = errors.Join(err, s.processes.close())
	}
	if s.flows != nil {
		err = errors.Join(err, s.flows.close())
	}
	return errors.Join(err, unix.Close(s.wake))
}

// interrupt ends the reader's wait, if there is still a reader.
func (s *source) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.released {
		s.wakeUp()
	}
}

// wakeUp ends the reader's wait. Its caller has the lock.
func (s *source) wakeUp() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(s.wake, one[:]) // it fails only where the reader has much to wake up for
}

// Name implements monitor.Source.
func (s *source) Name() monitor.SourceName { return monitor.Degraded }

// Hooks implements monitor.Source.
func (s *source) Hooks() string {
	var parts []string
	if s.files != nil {
		parts = append(parts, "fanotify")
	}
	if s.processes != nil {
		parts = append(parts, "process connector")
	}
	if s.flows != nil {
		parts = append(parts, "sock_diag")
	}
	if n := len(parts); n > 1 {
		parts = []string{strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]}
	}
	return parts[0]
}

// Counts implements monitor.Source.
func (s *source) Counts() (monitor.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.released && !s.running {
		s.takeLost()
	}
	c := s.tally.counts()
	if !s.released {
		c.QueueBytes, c.QueueSize = s.queue()
	}
	return c, nil
}

// takeLost counts what the kernel could not keep. While the reader runs it does so itself, since it has to forget what it knew.
func (s *source) takeLost() {
	if s.processes != nil {
		s.tally[0].full.Add(s.processes.takeLost())
	}
	if s.flows != nil {
		s.tally[monitor.FlowClose].full.Add(s.flows.destroyed.takeLost())
	}
}

// queue is the fullest of the parts' queues.
func (s *source) queue() (waiting, size uint64) {
	worse := func(w, n uint64) {
		if size == 0 || n > 0 && float64(w)/float64(n) > float64(waiting)/float64(size) {
			waiting, size = w, n
		}
	}
	if s.files != nil {
		worse(s.files.queue())
	}
	if s.processes != nil {
		worse(s.processes.queue())
	}
	if s.flows != nil {
		worse(s.flows.destroyed.queue())
	}
	return waiting, size
}

// pressed reports whether a queue is nearly full.
func (s *source) pressed() bool {
	waiting, size := s.queue()
	return size > 0 && waiting >= size/8*7
}

// queueEvents is how many events a group of fanotify keeps, fanotify(7); a host may set it since Linux 5.13.
func queueEvents() uint64 {
	const usual = 16384
	b, err := os.ReadFile("/proc/sys/fs/fanotify/max_queued_events")
	if err != nil {
		return usual
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return usual
	}
	return n
}

// Activity implements monitor.Source.
func (s *source) Activity() ([]monitor.Activity, error) { return s.activities.List(), nil }
