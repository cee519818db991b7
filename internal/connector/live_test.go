package connector

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// livePatience is for what takes milliseconds on a machine that has nothing else to do.
const livePatience = 30 * time.Second

// live is a daemon in this process on the running kernel: its programs, its event log, its canary and its socket are real. Recorded are
// only the facts of the host, which say that eBPF works.
type live struct {
	t      testing.TB
	dir    string
	config Config
	ready  chan struct{}
	end    func() error // stops the daemon; may be called more than once

	canary   chan time.Time // brings the next canary forward
	patience atomic.Int64   // with a canary that does not come; 0: the product's own
	jump     atomic.Int64   // of the daemon's clock against time.Now
	uid      uint32         // of what the test executes

	mu         sync.Mutex
	change     func(string) // as the watcher of files calls it
	policy     policy.Policy
	exclusions policy.Exclusions
	denied     bool                   // fault 19 is there
	judged     []health.Monitoring    // what the rules were given, one evaluation after another
	opened     func(monitor.Source)   // sees each source before the daemon does
	sources    int                    // that were opened
	log        EventLog               // that was opened last
	listeners  []func(*monitor.Event) // see each event on its way to the log
}

// newLive makes a daemon below dir that does not run yet.
func newLive(t testing.TB, dir string) *live {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if f := bpf.Gather(t.Context(), host.At("/")); !f.Load.Known() || !f.Load.Value || !f.KernelBTF.Value {
		t.Skipf("needs a kernel that lets eBPF programs load (%v) and has BTF (%v)", f.Load.Err, f.KernelBTF.Err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, dir: dir, policy: policy.Default(), ready: make(chan struct{}), canary: make(chan time.Time, 1)}
	var once sync.Once
	l.config = Config{
		Version: "test", Log: slog.New(slog.NewTextHandler(testOutput{t}, nil)), Executable: self,
		PIDFile: filepath.Join(dir, "pid"), Socket: filepath.Join(dir, "sock"), Ledger: filepath.Join(dir, "faults.json"), EventLog: filepath.Join(dir, "events.jsonl"), DetectionLog: filepath.Join(dir, "detections.jsonl"),
		Gather: l.gather, Check: l.check, Choose: chooseBPF, Open: l.open, OpenLog: l.openLog, OpenScanner: func(with ScanSurroundings) Scanner { return &recordedScanner{with: with} },
		StartChild: func(ctx context.Context, token string) (Child, error) { return startChild(ctx, self, token, dir) },
		Watch: func(_ context.Context, changed func(string)) (func([]string), error) {
			l.set(func(l *live) { l.change = changed })
			return func([]string) {}, nil
		},
		WatchPolicy: func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil },
		Recover:     func(context.Context) error { return nil },
		Notify: func(state string) {
			if strings.HasPrefix(state, notifyStatus) { // the first evaluation is over, and the source open
				once.Do(func() { close(l.ready) })
			}
		},
		Now:   func() time.Time { return time.Now().Add(time.Duration(l.jump.Load())) },
		After: l.after,
	}
	return l
}

// testOutput is the daemon's own log, shown with the test that made it.
type testOutput struct{ t testing.TB }

func (o testOutput) Write(b []byte) (int, error) {
	fmt.Fprintf(o.t.Output(), "daemon: %s", b)
	return len(b), nil
}

// startLive runs a daemon until the test ends, and waits for its first canary.
func startLive(t testing.TB) *live {
	t.Helper()
	l := newLive(t, t.TempDir())
	l.start()
	l.until("the first canary", func(s *control.Status) bool { return s.Canary != nil && s.Canary.OK })
	return l
}

// start runs the daemon.
func (l *live) start() {
	l.t.Helper()
	// Run bounds the memory of its process, which is that of the tests here.
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, l.config) }()
	l.end = sync.OnceValue(func() error {
		stop()
		err := <-done
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
		return err
	})
	l.t.Cleanup(func() {
		if err := l.end(); err != nil {
			l.t.Errorf("the daemon ended with %v", err)
		}
	})
	select {
	case <-l.ready:
	case err := <-done:
		done <- err
		l.t.Fatalf("the daemon did not start: %v", err)
	case <-time.After(2 * livePatience):
		l.t.Fatal("the daemon did not get ready")
	}
}

func (l *live) set(change func(*live)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *live) gather(context.Context) *health.Facts {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &health.Facts{Connector: host.Connectors[0], Found: true, Daemon: true}
	f.Host.Live = true
	f.Host.Kernel = host.Read(host.Kernel{Release: "recorded"}, "recorded")
	f.Policy = host.Read(l.policy, policy.Path)
	f.Exclusions = host.Read(l.exclusions, policy.ExclusionPath)
	return f
}

// check judges the monitors by the real rules, from what the daemon says of itself, and fault 19 as the test wants it.
func (l *live) check(f *health.Facts) []fault.Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judged = append(l.judged, f.Monitoring.Value)
	findings := slices.DeleteFunc(health.Check(f), func(f fault.Finding) bool { return f.ID != 8 && f.ID != 9 })
	state := fault.Clear
	if l.denied {
		state = fault.Raised
	}
	return append(findings, fault.Finding{ID: 19, State: state, Severity: fault.Critical, Reason: fault.Text{EN: "recorded"}})
}

func chooseBPF(f *health.Facts) monitor.Choice {
	works := monitor.Support{Known: true, Yes: true, Reason: fault.Verbatim("recorded")}
	p := f.Policy.Value
	return monitor.Choose(monitor.Inputs{Wanted: p.MonitorFiles || p.MonitorNetwork, BPF: works, BTF: works})
}

func (l *live) open(ctx context.Context, name monitor.SourceName, s monitor.Settings, types bpf.Types) (monitor.Source, error) {
	if name != monitor.EBPFKernelBTF {
		return nil, errNoFallback // it would hide what became of the programs
	}
	source, err := openSource(ctx, name, s, types)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources++
	if l.opened != nil {
		l.opened(source)
	}
	return source, nil
}

func (l *live) opens() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sources
}

// overheard is an event log that shows the test what goes into it.
type overheard struct {
	EventLog
	l *live
}

func (l *live) openLog(path string, cap int64) (EventLog, error) {
	log, err := monitor.OpenLog(path, cap)
	if err != nil {
		return nil, err
	}
	if path != l.config.EventLog {
		return log, nil
	}
	l.set(func(l *live) { l.log = log })
	return overheard{log, l}, nil
}

func (o overheard) Append(e *monitor.Event) error {
	o.l.mu.Lock()
	for _, listen := range o.l.listeners {
		listen(e)
	}
	o.l.mu.Unlock()
	return o.EventLog.Append(e)
}

// listen calls f, under the lock, with each event from now on.
func (l *live) listen(f func(*monitor.Event)) {
	l.set(func(l *live) { l.listeners = append(l.listeners, f) })
}

// after is time.After, but that the next canary comes when the test wants it.
func (l *live) after(d time.Duration) <-chan time.Time {
	switch p := time.Duration(l.patience.Load()); {
	case d == canaryPeriod:
		return l.canary
	case d == canaryPatience && p != 0:
		d = p
	}
	return time.After(d)
}

// sendCanary lets the clock strike for the next canary.
func (l *live) sendCanary() { l.canary <- time.Now() }

// ask asks the daemon over its socket.
func (l *live) ask(verb control.Verb) *control.Status {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), livePatience)
	defer cancel()
	a, err := control.Ask(ctx, l.config.Socket, control.Request{Verb: verb})
	if err != nil {
		l.t.Fatalf("ask for %s: %v", verb, err)
	}
	return a.Status
}

// until asks for the status until it is as told.
func (l *live) until(what string, is func(*control.Status) bool) *control.Status {
	l.t.Helper()
	for deadline := time.Now().Add(livePatience); ; time.Sleep(20 * time.Millisecond) {
		s := l.ask(control.ReadStatus)
		if is(s) {
			return s
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("waited %v for %s; mode %s, source %+v, canary %+v, log %+v", livePatience, what, s.Mode, s.Source, s.Canary, s.Log)
		}
	}
}

// within waits for something that no status tells.
func within(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(livePatience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", livePatience, what)
		}
	}
}

var markers atomic.Uint64

// mark executes something and waits until that is seen: all events before it have then come too. One that is lost is made again. It
// returns the word that is among the arguments of that exec.
func (l *live) mark() (word string) {
	l.t.Helper()
	word = fmt.Sprintf("mark-%d-%d", os.Getpid(), markers.Add(1))
	var came atomic.Bool
	l.listen(func(e *monitor.Event) {
		if e.Kind == monitor.Exec && slices.Contains(e.Args, word) {
			came.Store(true)
		}
	})
	for deadline := time.Now().Add(livePatience); time.Now().Before(deadline); {
		l.execute("/bin/true", word)
		for range 100 {
			if came.Load() {
				return word
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	l.t.Fatalf("no event of an exec came within %v", livePatience)
	return ""
}

// execute runs a program to its end.
func (l *live) execute(name string, args ...string) {
	l.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: l.uid, Gid: l.uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// alone makes the daemon leave out what root does, and the test act as somebody else: what else goes on on a busy machine stays out of the
// counts. There is no canary then.
func (l *live) alone() {
	const nobody = 65534
	l.exclusions.Users, l.uid = []uint32{0}, nobody
}

// produced is what became of the events of a kind: how many there were of it, and how many of these nobody was told of.
func produced(s *control.Status, kind monitor.Kind) (all, untold uint64) {
	for _, k := range s.Source.Kinds {
		if k.Kind == kind.String() {
			untold = k.Excluded + k.Merged + k.Shed + k.Lost
			return k.Handled + untold, untold
		}
	}
	return 0, 0
}

// numbersOf are the ids that the descriptors of a process name by a key: "map_id", "prog_id", "link_id" (proc_pid_fdinfo(5)).
func numbersOf(pid int, key string) map[uint32]bool {
	ids := map[uint32]bool{}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range bytes.Lines(b) {
			name, value, _ := strings.Cut(string(line), ":")
			if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil && name == key {
				ids[uint32(n)] = true
			}
		}
	}
	return ids
}

// resident is the memory of this process that is in RAM, in bytes.
func resident(t testing.TB) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * uint64(os.Getpagesize())
}

// raced reports whether this is a binary with the race detector, whose memory says nothing of the program's.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

// liveRole names what a child of this test binary is to play.
const liveRole = "AMP_CONNECTOR_TEST_ROLE"

// liveRoles are the programs that the tests need beside the daemon.
var liveRoles = map[string]func(*testing.T) error{}

// TestPlaysItsRole is no test: it is where a child of this binary begins.
func TestPlaysItsRole(t *testing.T) {
	name := os.Getenv(liveRole)
	if name == "" {
		return
	}
	role, ok := liveRoles[name]
	if !ok {
		t.Fatalf("no role %q", name)
	}
	if err := role(t); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err) // standard output is for whoever started it
		os.Exit(1)
	}
}

// role is a child of this binary that plays something. Whatever becomes of the test, it ends.
func role(t testing.TB, name string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestPlaysItsRole$", "-test.timeout=120s")
	cmd.Env = append(append(os.Environ(), liveRole+"="+name), env...)
	cmd.Stderr = t.Output()
	t.Cleanup(func() {
		cancel()
		if cmd.Process != nil {
			cmd.Wait()
		}
	})
	return cmd
}
