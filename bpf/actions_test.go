package bpf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ampconnector/amp/internal/monitor"
)

// Tests of what processes do: a child does something, and says by itself which events should come of it.

// actionEnv is what a child is to do.
const actionEnv = "AMP_BPF_TEST_ACTION"

// report is what an action says of itself.
type report struct {
	Skip   string          // what was missing
	Error  string          // what went wrong
	Events []monitor.Event // as they should be seen; without process and time
	Other  string          // a pid and the like
}

func init() {
	name := os.Getenv(actionEnv)
	if name == "" {
		return
	}
	var r report
	err := enterContainer(os.Getenv(containerEnv))
	if err == nil {
		err = actionOf(name)(&r)
	}
	if err != nil {
		r.Error = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(r)
	os.Exit(0)
}

func actionOf(name string) func(*report) error {
	for _, all := range []map[string]func(*report) error{fileActions(), filterActions(), networkActions(), systemActions()} {
		if a := all[name]; a != nil {
			return a
		}
	}
	return func(*report) error { return fmt.Errorf("there is no action %q", name) }
}

// act has a child do something, in a way that may be set.
func act(t *testing.T, name string, set ...func(*exec.Cmd)) (pid int, r report) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), actionEnv+"="+name)
	for _, f := range set {
		f(cmd)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("action %s: %v: %s", name, err, out)
	}
	if r.Error != "" {
		t.Fatalf("action %s: %s", name, r.Error)
	}
	if r.Skip != "" {
		t.Skip(r.Skip)
	}
	return cmd.Process.Pid, r
}

// allKinds are what the sources of inEachSet make events of.
var allKinds = monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds

// inEachSet runs a test with each hook set that the kernel lets us attach, and all kinds of events.
func inEachSet(t *testing.T, test func(t *testing.T, w *watch)) {
	needsBPF(t)
	for _, set := range []hookSet{fentrySet, kprobeSet, tracepointSet} {
		t.Run(set.String(), func(t *testing.T) {
			needsHooks(t, set)
			w := watchOf(t, set)
			for program, err := range w.kernel.failed {
				t.Logf("%s is not attached: %v", program, err)
			}
			test(t, w)
		})
	}
}

func needsHooks(t *testing.T, set hookSet) {
	t.Helper()
	if best := bestHooks(); set < best {
		t.Skipf("needs a kernel that attaches programs by %s; the best here is %s", set, best)
	}
}

var bestHooks = sync.OnceValue(func() hookSet { return probeHooks(nil, btf.NewCache()) })

// watches are the sources that run for tests one after the other, by hook set: to load all programs takes an emulated guest ten seconds.
var watches = map[hookSet]*watch{}

// watchOf is the source with a hook set, without the settings and the events of the tests before.
func watchOf(t *testing.T, set hookSet) *watch {
	t.Helper()
	w := watches[set]
	if w == nil {
		var err error
		if w, err = newWatch(t.Context(), options{hooks: set}); err != nil {
			t.Fatal(err)
		}
		watches[set] = w
	}
	if err := w.Set(monitor.Settings{Kinds: allKinds}); err != nil {
		t.Fatal(err)
	}
	w.forget()
	return w
}

// endWatches ends those that run.
func endWatches() error {
	var err error
	for _, w := range watches {
		err = errors.Join(err, w.end())
	}
	return err
}

// finished waits for a process's exit, after which nothing more is to come of it, and returns its events of some kinds. What closes
// in the background is waited for by number.
func (w *watch) finished(t *testing.T, pid, n int, kinds monitor.Kinds) []monitor.Event {
	t.Helper()
	var some []monitor.Event
	w.ended(t, pid, func() bool {
		some = slices.DeleteFunc(w.of(pid), func(e monitor.Event) bool { return !kinds.Has(e.Kind) })
		return len(some) >= n
	})
	return some
}

// ended waits for a process's exit and for what all reports, but no longer than patience: the test then says what is missing.
func (w *watch) ended(t *testing.T, pid int, all func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	isExit := func(e monitor.Event) bool { return e.Kind == monitor.Exit }
	for !(all() && slices.ContainsFunc(w.of(pid), isExit)) && time.Now().Before(deadline) {
		select {
		case <-w.came:
		case <-time.After(time.Until(deadline)):
		}
	}
}

// lost is how many events were lost until now.
func (w *watch) lost(t *testing.T) uint64 {
	t.Helper()
	c, err := w.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return c.Total().Lost()
}

// checkEvents compares what was seen with what the child says.
func checkEvents(t *testing.T, got, want []monitor.Event) {
	t.Helper()
	for i := range got {
		e := &got[i]
		if e.Kind == monitor.FlowClose && (e.Flow.Duration <= 0 || e.Flow.Duration > patience) {
			t.Errorf("a flow lasted %v", e.Flow.Duration)
		}
		e.Process, e.Time, e.Flow.Duration = nil, time.Time{}, 0
	}
	key := func(e monitor.Event) string { return fmt.Sprint(e.Kind, e.Flow) }
	byKey := func(a, b monitor.Event) int { return strings.Compare(key(a), key(b)) }
	slices.SortStableFunc(got, byKey)
	slices.SortStableFunc(want, byKey)
	if diff := cmp.Diff(want, got, sameEvents, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (- as expected, + as seen):\n%s", diff)
	}
}
