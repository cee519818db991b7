package connector

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// world is a recorded host: what the connector finds, and what it does to it.
type world struct {
	mu sync.Mutex

	denied     bool // fault 19 is there
	unknown    bool // nobody can tell whether it is
	monitored  bool // the policy has a monitoring switch on
	exclusions host.Reading[policy.Exclusions]
	detached   monitor.Kinds // no events of these come
	crowded    monitor.Kinds // what comes of these is lost, since the queue is full
	untold     bool          // the source does not know of which kinds those were
	blind      int           // so many sources, from now on, deliver no events
	openErr    error         // of the full source
	opening    func()        // nil or called before each
	tree       string        // state of the headers of a kernel without BTF; "" for a kernel that has its own
	treeErr    error         // of reading layouts from them
	fallback   bool          // there is a degraded source
	logErr     error
	writeErr   error

	evaluations int
	judged      health.Monitoring // last
	opened      []*recordedSource
	read        int // how often layouts were read
	logged      int
	scanner     *recordedScanner
	told        []string // by sd_notify
	followed    []string
}

func (w *world) set(change func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// read gives one value of the world.
func read[T any](w *world, value func(*world) T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return value(w)
}

// What tests read while the connector goes on.
func (w *world) openings() int { return read(w, func(w *world) int { return len(w.opened) }) }
func (w *world) source(n int) *recordedSource {
	return read(w, func(w *world) *recordedSource { return w.opened[n] })
}
func (w *world) events() int    { return read(w, func(w *world) int { return w.logged }) }
func (w *world) evaluated() int { return read(w, func(w *world) int { return w.evaluations }) }
func (w *world) said() []string {
	return read(w, func(w *world) []string { return slices.Clone(w.told) })
}

func (w *world) gather(context.Context) *health.Facts {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.evaluations++
	f := &health.Facts{Connector: host.Connectors[0], Found: true}
	f.Host.Kernel = host.Read(host.Kernel{Release: "6.1.0-test"}, "recorded")
	f.Policy = host.Read(policy.Policy{MonitorFiles: w.monitored}, policy.Path)
	f.Exclusions = w.exclusions
	if w.tree != "" {
		f.BPF.Layouts = host.Read(bpf.Layouts{Found: layout.Found{Origin: layout.Derived, From: "/tree"}, Stamp: w.tree}, "/tree")
	}
	return f
}

func (w *world) check(facts *health.Facts) []fault.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judged = facts.Monitoring.Value
	f := fault.Finding{ID: 19, State: fault.Clear, Severity: fault.Critical, Reason: fault.Text{EN: "the rule holds"}}
	if w.denied {
		f.State, f.Reason = fault.Raised, fault.Text{EN: "the rule does not hold"}
		f.Evidence = []fault.Evidence{{What: "rule", Read: "denied", From: "recorded", Expected: "allowed"}}
	}
	if w.unknown {
		f.State, f.Reason = fault.Unknown, fault.Text{EN: "access cannot be read"}
	}
	return []fault.Finding{{ID: 5, State: fault.Clear, Severity: fault.Minor}, f}
}

func (w *world) choose(f *health.Facts) monitor.Choice {
	w.mu.Lock()
	defer w.mu.Unlock()
	return monitor.Choose(monitor.Inputs{
		Wanted:  f.Policy.Value.MonitorFiles,
		BPF:     monitor.Support{Known: true, Yes: !w.denied, Reason: fault.Verbatim("fault 19")},
		BTF:     monitor.Support{Known: w.tree != ""},
		Headers: monitor.Support{Known: true, Yes: w.tree != "" && w.tree != noTree, Reason: fault.Verbatim("derived from /tree")},
		// Where it is known to be impossible it is not chosen.
		Degraded: monitor.Support{Known: true, Yes: w.fallback, Reason: fault.Verbatim("no fanotify")},
	})
}

const noTree = "removed"

// derivation is how long one takes.
const derivation = 4 * time.Second

func (w *world) readLayouts(ctx context.Context, f *health.Facts) (bpf.Types, layout.Found, error) {
	select {
	case <-time.After(derivation):
	case <-ctx.Done():
		return bpf.Types{}, layout.Found{}, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read++
	if w.treeErr != nil {
		return bpf.Types{}, layout.Found{Origin: layout.None}, w.treeErr
	}
	return bpf.Types{Name: monitor.EBPFHeaders, Spec: &btf.Spec{}}, layout.Found{Origin: layout.Cached, From: "/tree"}, nil
}

func (w *world) open(_ context.Context, name monitor.SourceName, s monitor.Settings, types bpf.Types) (monitor.Source, error) {
	if w.opening != nil {
		w.opening()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case needsLayouts(name) != (types.Spec != nil):
		return nil, errors.New("opened without the layouts that it needs, or with some that it does not")
	case name == monitor.Degraded && !w.fallback:
		return nil, errNoFallback
	case name != monitor.Degraded && w.openErr != nil:
		return nil, w.openErr
	}
	source := &recordedSource{name: name, blind: w.blind > 0, events: make(chan *monitor.Event), closed: make(chan struct{}), fail: make(chan error, 1)}
	if source.blind {
		w.blind--
	}
	source.settings = []monitor.Settings{s}
	w.opened = append(w.opened, source)
	return source, nil
}

// recordedChild is the canary's process: what it does is seen by the source that is open.
type recordedChild struct {
	w     *world
	ctx   context.Context
	token string
}

const (
	childPID     = 4711
	canaryEvents = 13 // of one canary
)

func (w *world) child(ctx context.Context, token string) (Child, error) {
	c := recordedChild{w, ctx, token}
	c.does(monitor.Event{Kind: monitor.Exec, Args: []string{"ampdaemon", "canary", token, canaryDirectory}})
	return c, nil
}

func (c recordedChild) does(e monitor.Event) {
	s := read(c.w, func(w *world) *recordedSource { return w.opened[len(w.opened)-1] })
	if read(c.w, func(w *world) bool { return w.crowded.Has(e.Kind) }) {
		s.lose(e.Kind, read(c.w, func(w *world) bool { return w.untold }))
		return
	}
	e.Process = &monitor.Process{PID: childPID, PPID: uint32(os.Getpid())}
	s.deliver(c.ctx, &e)
}

func (c recordedChild) PID() int { return childPID }
func (c recordedChild) End()     {}

func (c recordedChild) Act() (monitor.Kinds, error) {
	for k := range (canaryKinds &^ monitor.KindsOf(monitor.Exec)).All {
		if !read(c.w, func(w *world) bool { return w.detached.Has(k) }) {
			c.does(monitor.Event{Kind: k, File: monitor.File{Path: "/x/" + canaryPrefix + c.token}})
		}
	}
	return canaryKinds, nil
}

// recordedSource delivers what the test tells it to.
type recordedSource struct {
	name     monitor.SourceName
	blind    bool
	events   chan *monitor.Event
	closed   chan struct{}
	once     sync.Once
	fail     chan error
	looks    atomic.Int32 // how often it was asked to read what has come
	mu       sync.Mutex
	handled  uint64
	full     [len(monitor.Counts{}.Kinds)]uint64
	settings []monitor.Settings // that it was told, one after another
	activity []monitor.Activity
}

func (s *recordedSource) deliver(ctx context.Context, e *monitor.Event) {
	if s.blind {
		return
	}
	select {
	case s.events <- e:
	case <-s.closed:
	case <-ctx.Done():
	}
}

// lose counts an event that is lost for a full queue.
func (s *recordedSource) lose(k monitor.Kind, untold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if untold {
		k = 0
	}
	s.full[k]++
}

func (s *recordedSource) Name() monitor.SourceName { return s.name }

func (s *recordedSource) Run(ctx context.Context, handle func(*monitor.Event)) error {
	for {
		select {
		case e := <-s.events:
			handle(e)
			s.mu.Lock()
			s.handled++
			s.mu.Unlock()
		case err := <-s.fail:
			return err
		case <-s.closed:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *recordedSource) Counts() (monitor.Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c monitor.Counts
	for k, n := range s.full {
		c.Kinds[k].Full = n
	}
	c.Kinds[monitor.Exec].Handled = s.handled
	c.Kinds[monitor.Exec].Full++
	return c, nil
}

func (s *recordedSource) Look() { s.looks.Add(1) }

func (s *recordedSource) Sees() monitor.Kinds { return canaryKinds }
func (s *recordedSource) Hooks() string       { return "recorded" }

// Set keeps what it was told, first by Open.
func (s *recordedSource) Set(settings monitor.Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = append(s.settings, settings)
	return nil
}

func (s *recordedSource) told() []monitor.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.settings)
}

func (s *recordedSource) BlindSpots() []monitor.BlindSpot { return nil }

func (s *recordedSource) Activity() ([]monitor.Activity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.activity), nil
}

// did adds to what a process has done.
func (s *recordedSource) did(a monitor.Activity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.activity {
		if s.activity[i].PID == a.PID {
			for k, n := range a.Kinds {
				s.activity[i].Kinds[k] += n
			}
			return
		}
	}
	s.activity = append(s.activity, a)
}

func (s *recordedSource) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *recordedSource) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// recordedLog counts.
type recordedLog struct{ w *world }

func (l recordedLog) Append(*monitor.Event) error {
	l.w.set(func(w *world) { w.logged++ })
	return nil
}
func (recordedLog) Flush() error       { return nil }
func (recordedLog) Dropped() uint64    { return 0 }
func (l recordedLog) Failing() error   { return read(l.w, func(w *world) error { return w.writeErr }) }
func (recordedLog) SetCap(int64) error { return nil }
func (recordedLog) Close() error       { return nil }

// config is a connector on a recorded host, with its files in a folder of the test.
func (w *world) config(t *testing.T) Config {
	dir := t.TempDir()
	return Config{
		Version: "test", Log: slog.New(slog.DiscardHandler),
		PIDFile: filepath.Join(dir, "pid"), Socket: filepath.Join(dir, "sock"), Ledger: filepath.Join(dir, "faults.json"), EventLog: filepath.Join(dir, "events.jsonl"), DetectionLog: filepath.Join(dir, "detections.jsonl"),
		Gather: w.gather, Check: w.check, Choose: w.choose, Open: w.open, ReadLayouts: w.readLayouts, StartChild: w.child,
		OpenScanner: func(with ScanSurroundings) Scanner {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.scanner = &recordedScanner{with: with}
			return w.scanner
		},
		OpenLog: func(string, int64) (EventLog, error) {
			return recordedLog{w}, read(w, func(w *world) error { return w.logErr })
		},
		Watch: func(context.Context, func(string)) (func([]string), error) {
			return func(paths []string) { w.set(func(w *world) { w.followed = paths }) }, nil
		},
		WatchPolicy: func(ctx context.Context, changed func()) error { <-ctx.Done(); return nil },
		Recover:     func(context.Context) error { return nil },
		Notify:      func(state string) { w.set(func(w *world) { w.told = append(w.told, state) }) },
	}.withDefaults()
}

var errNoFallback = errors.New("no fanotify")

var errRefused = errors.New("operation not permitted")
