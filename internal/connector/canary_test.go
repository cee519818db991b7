package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
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
	did, port, err := child.Act()
	if err != nil {
		t.Fatal(err)
	}
	if want := monitor.FileKinds | monitor.NetworkKinds; did&^monitor.KindsOf(monitor.FileCopy, monitor.FileMap) != want&^monitor.KindsOf(monitor.FileCopy, monitor.FileMap) || port == 0 {
		t.Errorf("did %v, port %d; expected %v", names(did), port, names(want))
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
	if _, _, err := child.Act(); err == nil {
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
	for _, line := range []string{"", "\n", "x create", "70000", "-1 create", "80 reads"} {
		if did, port, err := parseReport(line); err == nil {
			t.Errorf("%q: %v, %d; expected an error", line, names(did), port)
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

func TestFlowWithoutAProcessIsKnownByItsPort(t *testing.T) {
	a := newAwaited("token")
	closed := &monitor.Event{Kind: monitor.FlowClose, Process: &monitor.Process{}}
	closed.Flow.Remote = addrPort("127.0.0.1:4000")
	a.look(closed)
	if a.isPort(0); a.seen != 0 {
		t.Error("a flow was taken for that of a canary which had none")
	}
	a.look(closed)
	if a.isPort(4000); !a.seen.Has(monitor.FlowClose) {
		t.Error("the flow was not known by its port")
	}
}

func TestJudge(t *testing.T) {
	all := monitor.KindsOf(monitor.Exec, monitor.FileRename)
	for _, c := range []struct {
		name    string
		a       *awaited
		foreign bool
		ok      bool
		detail  string
	}{
		{"all", &awaited{pid: 7, ppid: uint32(os.Getpid()), seen: all}, false, true, "exec, rename of process 7"},
		{"other process", &awaited{pid: 6, ppid: uint32(os.Getpid()), seen: all}, false, false, "came from process 6"},
		{"other parent", &awaited{pid: 7, ppid: 1, seen: all}, false, false, "with parent 1, expected 7"},
		{"in a container", &awaited{pid: 26293, ppid: 26271, seen: all}, true, true, "which the kernel numbers 26293"},
		{"one missing", &awaited{pid: 7, ppid: uint32(os.Getpid()), seen: monitor.KindsOf(monitor.Exec)}, false, false, "no event came within 5s of: rename"},
		{"wrong file event", &awaited{pid: 7, ppid: uint32(os.Getpid()), seen: all, wrong: "delete of x"}, false, false, "delete of x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r canaryResult
			r.judge(c.a, 7, all, c.foreign)
			if r.canary.OK != c.ok || !strings.Contains(r.canary.Detail, c.detail) {
				t.Errorf("%+v; expected %v, %q", r.canary, c.ok, c.detail)
			}
		})
	}
}

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
		{"another directory excluded", with(func(s *monitor.Settings) { s.Exclusions.Paths = []string{"/srv/"} }), canaryKinds},
	} {
		if got := expected(source, c.s, "/ampdaemon"); got != c.want {
			t.Errorf("%s: %v, expected %v", c.name, names(got), names(c.want))
		}
	}
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

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
