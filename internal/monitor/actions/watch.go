package actions

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// Patience is how long a test waits for what must come; an emulated guest is slow.
const Patience = 30 * time.Second

// Watch is a source that runs, and the events that it gave, by process.
type Watch struct {
	// ByCalls is for a source that knows of operations on names what the system call was given, and nothing of the file.
	ByCalls bool
	// Blind tells what of an action on sockets the source cannot see; nil is nothing.
	Blind func(action string, e monitor.Event) bool

	source monitor.Source
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events map[uint32][]monitor.Event
	came   chan struct{} // has something after each event
}

// NewWatch is one of a source that is open; Keep takes its events.
func NewWatch(s monitor.Source) *Watch {
	return &Watch{source: s, events: map[uint32][]monitor.Event{}, came: make(chan struct{}, 1)}
}

// Start runs the source until End.
func (w *Watch) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan error, 1)
	go func() { w.done <- w.source.Run(ctx, w.Keep) }()
}

// End ends what Start began, and waits for it. The source stays open.
func (w *Watch) End() error {
	w.cancel()
	return <-w.done
}

// Keep takes an event.
func (w *Watch) Keep(e *monitor.Event) {
	w.mu.Lock()
	w.events[e.Process.PID] = append(w.events[e.Process.PID], e.Clone())
	w.mu.Unlock()
	select {
	case w.came <- struct{}{}:
	default:
	}
}

// Forget drops the events that came until now.
func (w *Watch) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.events)
}

// Of are the events of a process.
func (w *Watch) Of(pid int) []monitor.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events[uint32(pid)])
}

// All are the events of all processes.
func (w *Watch) All() map[uint32][]monitor.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.events)
	for pid, events := range all {
		all[pid] = slices.Clone(events)
	}
	return all
}

// Wait waits for n events of a process.
func (w *Watch) Wait(t *testing.T, pid, n int) []monitor.Event {
	t.Helper()
	deadline := time.After(Patience)
	for {
		if got := w.Of(pid); len(got) >= n {
			return got
		}
		select {
		case <-w.came:
		case <-deadline:
			t.Fatalf("process %d: %d events, expected %d: %+v", pid, len(w.Of(pid)), n, w.Of(pid))
		}
	}
}

// Finished waits for a process's exit, after which nothing more is to come of it, and returns its events of some kinds. What closes
// in the background is waited for by number.
func (w *Watch) Finished(t *testing.T, pid, n int, kinds monitor.Kinds) []monitor.Event {
	t.Helper()
	var some []monitor.Event
	w.ended(pid, func() bool {
		some = slices.DeleteFunc(w.Of(pid), func(e monitor.Event) bool { return !kinds.Has(e.Kind) })
		return len(some) >= n
	})
	return some
}

// ended waits for a process's exit and for what all reports, but no longer than Patience: the test then says what is missing.
func (w *Watch) ended(pid int, all func() bool) {
	deadline := time.Now().Add(Patience)
	isExit := func(e monitor.Event) bool { return e.Kind == monitor.Exit }
	for !(all() && slices.ContainsFunc(w.Of(pid), isExit)) && time.Now().Before(deadline) {
		select {
		case <-w.came:
		case <-time.After(time.Until(deadline)):
		}
	}
}

// Lost is how many events were lost until now.
func (w *Watch) Lost(t *testing.T) uint64 {
	t.Helper()
	return w.total(t).Lost()
}

// Unshed does something until nothing was shed meanwhile: a source sheds what is not critical while its queue is nearly full, and a busy machine fills
// that with events of its own. After the fifth time what there is counts.
func (w *Watch) Unshed(t *testing.T, do func()) {
	t.Helper()
	for range 5 {
		before := w.total(t).Shed
		do()
		shed := w.total(t).Shed - before
		if shed == 0 {
			return
		}
		t.Logf("%d events of this machine were shed meanwhile", shed)
	}
}

func (w *Watch) total(t *testing.T) monitor.Count {
	t.Helper()
	c, err := w.source.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return c.Total()
}
