package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

func TestCanaryIsARealProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	child, err := startChild(ctx, self, "token", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer child.End()
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child.PID())); err != nil || !bytes.Contains(args, []byte("\x00token\x00")) {
		t.Errorf("%q, %v; expected a process with the token in its arguments", args, err)
	}
	did, err := child.Act()
	if err != nil {
		t.Fatal(err)
	}
	if want := monitor.FileKinds | monitor.NetworkKinds; did&^monitor.KindsOf(monitor.FileCopy, monitor.FileMap) != want&^monitor.KindsOf(monitor.FileCopy, monitor.FileMap) {
		t.Errorf("did %v; expected %v", names(did), names(want))
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCanaryThatCannotAct(t *testing.T) {
	if _, err := startChild(t.Context(), "/nonexistent", "token", t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, expected that it does not exist", err)
	}
	child, err := startChild(t.Context(), "/bin/false", "token", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer child.End()
	if _, err := child.Act(); err == nil {
		t.Error("a canary that fails was not noticed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hanging, err := startChild(t.Context(), self, "token", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	hanging.End() // without having acted
	if err := ActAsCanary([]string{"token"}, nil, nil); err == nil {
		t.Error("no error without a directory")
	}
	var out bytes.Buffer
	if err := ActAsCanary([]string{"token", "/nonexistent"}, strings.NewReader("\n"), &out); err != nil || strings.Contains(out.String(), "create") {
		t.Errorf("%q, %v; expected no file kinds in a directory that is not there", out.String(), err)
	}
}

func TestParseReport(t *testing.T) {
	for line, want := range map[string]monitor.Kinds{"\n": 0, "create listen\n": monitor.KindsOf(monitor.FileCreate, monitor.Listen)} {
		if did, err := parseReport(line); did != want || err != nil {
			t.Errorf("%q: %v, %v; expected %v", line, names(did), err, names(want))
		}
	}
	for _, line := range []string{"x create", "4000 create", "create reads"} {
		if did, err := parseReport(line); err == nil {
			t.Errorf("%q: %v; expected an error", line, names(did))
		}
	}
}

func execEvent(pid, ppid uint32, args ...string) *monitor.Event {
	return &monitor.Event{Kind: monitor.Exec, Args: args, Process: &monitor.Process{PID: pid, PPID: ppid}}
}

func TestAwaitedKnowsItsOwn(t *testing.T) {
	a := newAwaited("token")
	for _, e := range []*monitor.Event{
		execEvent(9, 1), execEvent(9, 1, "token"), execEvent(9, 1, "x", "token"), execEvent(9, 1, "token", "x", "y"),
		{Kind: monitor.FileCreate, File: monitor.File{Path: "/x"}, Process: &monitor.Process{PID: 9}},
		{Kind: monitor.Exit, Process: &monitor.Process{PID: 9}},
	} {
		if a.look(e); a.seen != 0 {
			t.Errorf("%+v was taken for the canary", e)
		}
	}
	a.look(execEvent(7, 8, "ampdaemon", "canary", "token", "/dir"))
	a.look(&monitor.Event{Kind: monitor.FileRename, Target: monitor.File{Path: "/dir/.canary-token.moved"}, Process: &monitor.Process{PID: 7}})
	a.look(&monitor.Event{Kind: monitor.Exit, Process: &monitor.Process{PID: 7}})
	if want := monitor.KindsOf(monitor.Exec, monitor.FileRename, monitor.Exit); a.seen != want {
		t.Errorf("seen %v, expected %v", names(a.seen), names(want))
	}
	a.look(&monitor.Event{Kind: monitor.FileDelete, File: monitor.File{Path: "/dir/.canary-token.moved"}, Process: &monitor.Process{PID: 6}})
	if a.seen.Has(monitor.FileDelete) || !strings.Contains(a.wrong, "came from process 6, expected process 7") {
		t.Errorf("a file event with a wrong process was taken: %q", a.wrong)
	}
}

// A canary that was done before the source could read its arguments is known by its process; another program's exec, or one whose arguments are others, is not.
func TestExecWithoutArgumentsIsKnownByItsProcess(t *testing.T) {
	a := newAwaited("token")
	if a.look(execEvent(7, 8)); a.seen != 0 {
		t.Error("an exec was taken for the canary's before its process was known")
	}
	a.isProcess(7)
	for _, e := range []*monitor.Event{execEvent(6, 8), execEvent(7, 8, "ampdaemon", "canary", "other", "/dir")} {
		if a.look(e); a.seen != 0 {
			t.Errorf("process %d, arguments %q: taken for the canary's", e.Process.PID, e.Args)
		}
	}
	if a.look(execEvent(7, 8)); a.seen != monitor.KindsOf(monitor.Exec) || a.ppid != 8 {
		t.Errorf("saw %v, parent %d, expected the exec of process 7 with parent 8", names(a.seen), a.ppid)
	}
}

// A source that is asked for flows knows whose they are; one that does not is not asked.
func TestFlowOfAnotherProcessIsNotTheCanarys(t *testing.T) {
	a := newAwaited("token")
	a.isProcess(7)
	for pid, seen := range map[uint32]monitor.Kinds{0: 0, 9: 0, 7: monitor.KindsOf(monitor.FlowClose)} {
		a.seen = 0
		if a.look(&monitor.Event{Kind: monitor.FlowClose, Process: &monitor.Process{PID: pid}}); a.seen != seen {
			t.Errorf("process %d: saw %v, expected %v", pid, names(a.seen), names(seen))
		}
	}
}

func TestJudge(t *testing.T) {
	all, exec := monitor.KindsOf(monitor.Exec, monitor.FileRename), monitor.KindsOf(monitor.Exec)
	self := uint32(os.Getpid())
	for _, c := range []struct {
		name    string
		a       *awaited
		foreign bool
		leftOut monitor.Kinds
		ok      bool
		skipped bool
		missing []string
		detail  string
	}{
		{"all", &awaited{pid: 7, ppid: self, seen: all}, false, 0, true, false, nil, "exec, rename of process 7"},
		{"all, though some got lost", &awaited{pid: 7, ppid: self, seen: all}, false, all, true, false, nil, "exec, rename of process 7"},
		{"other process", &awaited{pid: 6, ppid: self, seen: all}, false, 0, false, false, nil, "came from process 6"},
		{"other parent", &awaited{pid: 7, ppid: 1, seen: all}, false, all, false, false, nil, "with parent 1, expected 7"},
		{"in a container", &awaited{pid: 26293, ppid: 26271, seen: all}, true, 0, true, false, nil, "which the kernel numbers 26293"},
		{"one missing", &awaited{pid: 7, ppid: self, seen: exec}, false, 0, false, false, []string{"rename"}, "no event came within 5s of: rename"},
		{"one missing while another kind got lost", &awaited{pid: 7, ppid: self, seen: exec}, false, exec, false, false, []string{"rename"}, "no event came within 5s of: rename"},
		{"one lost", &awaited{pid: 7, ppid: self, seen: exec}, false, monitor.FileKinds, false, true, []string{"rename"}, "no event came of: rename; events of these kinds were being lost"},
		{"one lost, one missing", &awaited{pid: 7}, false, exec, false, false, []string{"rename"}, "no event came within 5s of: exec, rename"},
		{"in a container, the exec lost", &awaited{}, true, exec, false, true, []string{"exec", "rename"}, "(fault 18)"},
		{"in a container, another kind lost", &awaited{}, true, monitor.FileKinds, false, false, []string{"exec"}, "no event came within 5s"},
		{"wrong file event", &awaited{pid: 7, ppid: self, seen: exec, wrong: "rename of x"}, false, all, false, false, []string{"rename"}, "rename of x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := canaryResult{leftOut: func() monitor.Kinds { return c.leftOut }}
			r.judge(c.a, 7, all, c.foreign)
			if r.canary.OK != c.ok || r.canary.Skipped != c.skipped || !slices.Equal(r.canary.Missing, c.missing) || !strings.Contains(r.canary.Detail, c.detail) {
				t.Errorf("%+v; expected ok %v, skipped %v, missing %v, %q", r.canary, c.ok, c.skipped, c.missing, c.detail)
			}
		})
	}
}

// Counts of the kinds are what tells an event that got lost from one that never was; one of an unknown kind may have been of any.
func TestLeftOutSince(t *testing.T) {
	count := func(k monitor.Kind, n monitor.Count) (c monitor.Counts) {
		c.Kinds[k] = n
		return c
	}
	broken := errors.New("closed")
	for _, c := range []struct {
		name        string
		now         monitor.Counts
		first, then error
		want        monitor.Kinds
	}{
		{"nothing", count(monitor.Exec, monitor.Count{Handled: 9, Excluded: 9, Merged: 9}), nil, nil, 0},
		{"lost", count(monitor.Exec, monitor.Count{Full: 1}), nil, nil, monitor.KindsOf(monitor.Exec)},
		{"shed", count(monitor.FileWrite, monitor.Count{Shed: 1}), nil, nil, monitor.KindsOf(monitor.FileWrite)},
		{"of an unknown kind", count(0, monitor.Count{Full: 1}), nil, nil, canaryKinds},
		{"missed by the kernel, which is no overload", count(monitor.Exec, monitor.Count{Missed: 1, Damaged: 1}), nil, nil, 0},
		{"not known before", count(monitor.Exec, monitor.Count{Full: 1}), broken, nil, 0},
		{"not known now", count(monitor.Exec, monitor.Count{Full: 1}), nil, broken, 0},
	} {
		s := &countingSource{err: c.first}
		leftOut := leftOutSince(s)
		s.counts, s.err = c.now, c.then
		if got := leftOut(); got != c.want {
			t.Errorf("%s: %v, expected %v", c.name, names(got), names(c.want))
		}
	}
}

// countingSource does nothing but tell counts.
type countingSource struct {
	monitor.Source
	counts monitor.Counts
	err    error
}

func (s *countingSource) Counts() (monitor.Counts, error) { return s.counts, s.err }

func TestExpected(t *testing.T) {
	source := &recordedSource{}
	everything := monitor.Settings{Kinds: monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds}
	with := func(change func(*monitor.Settings)) monitor.Settings {
		s := everything
		change(&s)
		return s
	}
	for _, c := range []struct {
		name string
		s    monitor.Settings
		want monitor.Kinds
	}{
		{"everything", everything, canaryKinds},
		{"files off", with(func(s *monitor.Settings) { s.Kinds &^= monitor.FileKinds }), canaryKinds &^ monitor.FileKinds},
		{"reduced", with(func(s *monitor.Settings) { s.Reduced = true }), monitor.KindsOf(monitor.Exec, monitor.Listen)},
		{"user excluded", with(func(s *monitor.Settings) { s.Exclusions.Users = []uint32{uint32(os.Getuid())} }), 0},
		{"program excluded", with(func(s *monitor.Settings) { s.Exclusions.Processes = []policy.ProcessExclusion{{Path: "/ampdaemon"}} }), 0},
		{"state directory excluded", with(func(s *monitor.Settings) { s.Exclusions.Paths = []string{"/var/lib/cisco/"} }), canaryKinds &^ monitor.FileKinds},
		{"a file excluded whose path the directory's begins with", with(func(s *monitor.Settings) { s.Exclusions.Paths = []string{"/var/lib/c", "/var"} }), canaryKinds},
		{"another directory excluded", with(func(s *monitor.Settings) { s.Exclusions.Paths = []string{"/srv/"} }), canaryKinds},
	} {
		if got := expected(source, c.s, "/ampdaemon"); got != c.want {
			t.Errorf("%s: %v, expected %v", c.name, names(got), names(c.want))
		}
	}
}

// stoppedChild is a canary's process that does nothing until it is killed.
type stoppedChild struct {
	recordedChild
}

func (c stoppedChild) Act() (monitor.Kinds, error) {
	<-c.ctx.Done()
	return 0, errors.New("signal: killed")
}

// A canary that does not come back is no sight of one: that nothing is known is told, and the next one is sent.
func TestCanaryThatDoesNotComeBack(t *testing.T) {
	w := &world{monitored: true}
	var stopped atomic.Bool
	config := func() Config {
		c := w.config(t)
		c.StartChild = func(ctx context.Context, token string) (Child, error) {
			child, err := w.child(ctx, token)
			if stopped.Load() {
				return stoppedChild{child.(recordedChild)}, err
			}
			return child, err
		}
		return c
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		stopped.Store(true)
		pass(canaryPeriod + actPatience)
		if s := c.status(); !s.Canary.Skipped || !strings.Contains(s.Canary.Detail, "did not act within 1m0s") {
			t.Errorf("%+v; expected that nothing follows from it", s.Canary)
		}
		stopped.Store(false)
		pass(canaryAgain)
		if s := c.status(); !s.Canary.OK {
			t.Errorf("%+v; expected that another one followed", s.Canary)
		}
	})
}

// A program that is detached behind the daemon's back is seen by the canary, and told by its kind; the rest counts on.
func TestOneKindThatIsBlindIsSeen(t *testing.T) {
	w := &world{monitored: true, detached: monitor.KindsOf(monitor.FileRename)}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(2 * canaryPatience)
		s := c.status()
		if s.Canary.OK || !slices.Equal(s.Canary.Missing, []string{"rename"}) || s.Mode != control.Degraded || w.openings() != 2 {
			t.Errorf("%+v, mode %s, %d opened; expected that only rename is missing", s.Canary, s.Mode, w.openings())
		}
		w.set(func(w *world) { w.detached = 0 })
		pass(canaryPeriod + canaryPatience)
		if s := c.status(); !s.Canary.OK || s.Mode != control.Normal {
			t.Errorf("%+v, mode %s; expected that all is seen again", s.Canary, s.Mode)
		}
	})
}

func TestCanaryThatExclusionsHideSaysNothing(t *testing.T) {
	w := &world{monitored: true, blind: 100}
	w.exclusions.Value.Users = []uint32{uint32(os.Getuid())}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(canaryPatience)
		if s := c.status(); !s.Canary.Skipped || s.Mode != control.Normal || w.openings() != 1 {
			t.Errorf("%+v, mode %s, %d opened; expected that no canary was sent", s.Canary, s.Mode, w.openings())
		}
	})
}

// What gets lost on a host where too much happens says nothing of the source: that would be closed and opened anew just then. One that is blind is
// found all the same, at once if its losses are of other kinds, and when they end if nobody knows of which they are.
func TestCanaryThatIsLostToOverloadSaysNothing(t *testing.T) {
	exec := monitor.KindsOf(monitor.Exec)
	for _, tt := range []struct {
		name     string
		untold   bool
		detached monitor.Kinds
		openings int // as long as it lasts
	}{
		{"the exec", false, 0, 1},
		{"nobody knows what", true, 0, 1},
		{"the exec, and renames do not come", false, monitor.KindsOf(monitor.FileRename), 2},
		{"nobody knows what, and renames do not come", true, monitor.KindsOf(monitor.FileRename), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{monitored: true}
			inWorld(t, w, func(t *testing.T, c *core) {
				w.set(func(w *world) { w.crowded, w.untold, w.detached = exec, tt.untold, tt.detached })
				pass(canaryPeriod + 2*canaryPatience)
				s := c.status()
				if blind := tt.openings > 1; w.openings() != tt.openings || s.Canary.Skipped == blind || s.Canary.OK || blind && !slices.Equal(s.Canary.Missing, []string{"rename"}) {
					t.Errorf("%+v, %d opened, expected %d", s.Canary, w.openings(), tt.openings)
				}
				sent := s.Canary.Time
				pass(2 * (canaryAgain + canaryPatience))
				if s := c.status(); s.Canary.Skipped && !s.Canary.Time.After(sent) || w.openings() != tt.openings {
					t.Errorf("%+v, %d opened; expected that it is soon tried again, and no more", s.Canary, w.openings())
				}
				if m := read(w, func(w *world) health.Monitoring { return w.judged }); m.Proved == s.Canary.Skipped || m.Detail != s.Canary.Detail {
					t.Errorf("%+v; expected that nothing is proved by a canary that says nothing, and why", m)
				}
				w.set(func(w *world) { w.crowded = 0 })
				pass(canaryPeriod)
				if s := c.status(); s.Canary.OK != (tt.detached == 0) || s.Canary.Skipped || (s.Mode == control.Normal) != s.Canary.OK || tt.detached == 0 && w.openings() != 1 || tt.detached != 0 && w.openings() < 2 {
					t.Errorf("afterwards %+v, mode %s, %d opened; expected the truth", s.Canary, s.Mode, w.openings())
				}
			})
		})
	}
}

// What was expected when the canary was sent need not come under other settings.
func TestCanaryUnderOtherSettingsSaysNothing(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.detached = monitor.KindsOf(monitor.FileRename) })
		pass(canaryPeriod)
		w.set(func(w *world) { w.exclusions.Value.Paths = []string{"/srv/"} })
		c.note("exclusions")
		pass(canaryPatience)
		if s := c.status(); !s.Canary.Skipped || !strings.Contains(s.Canary.Detail, "changed while it was under way") || w.openings() != 1 || s.Mode != control.Normal {
			t.Errorf("%+v, mode %s, %d opened; expected that it says nothing", s.Canary, s.Mode, w.openings())
		}
		pass(canaryAgain + 2*canaryPatience)
		if s := c.status(); s.Canary.OK || s.Canary.Skipped || w.openings() != 2 || s.Mode != control.Degraded {
			t.Errorf("%+v, mode %s, %d opened; expected that rename is found missing by the next one", s.Canary, s.Mode, w.openings())
		}
	})
}

// A canary that says nothing takes nothing back of what the one before said.
func TestCanaryThatSaysNothingLeavesWhatIsKnown(t *testing.T) {
	w := &world{monitored: true, blind: 2}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(2 * canaryPatience)
		w.set(func(w *world) { w.crowded = canaryKinds })
		pass(canaryPeriod + canaryPatience)
		if s := c.status(); !s.Canary.Skipped || s.Mode != control.NoMode || w.openings() != 2 {
			t.Errorf("%+v, mode %s, %d opened; expected that the source is still taken to be blind", s.Canary, s.Mode, w.openings())
		}
	})
}

// What a canary leaves that is killed goes with a later one. Files of one that acts at the same time stay, and so do others.
func TestWhatKilledCanariesLeave(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{canaryPrefix + "old.moved": 3 * actPatience, canaryPrefix + "new": 0, "other": 3 * actPatience} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if err := ActAsCanary([]string{"token", dir}, strings.NewReader("\n"), io.Discard); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != canaryPrefix+"new" || entries[1].Name() != "other" {
		t.Errorf("%v, %v; expected that the old one alone is gone", entries, err)
	}
}
