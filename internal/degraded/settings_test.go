package degraded

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// mark makes a file that nobody excludes, in another process, and waits for its event: all that came before was handled then.
func (w *watcher) mark(dir string) {
	w.t.Helper()
	name := filepath.Join(dir, "mark")
	act(w.t, "forks", name)
	w.find("the mark", func(e *monitor.Event) bool { return e.Kind == monitor.FileWrite && e.File.Path == name })
}

// openDir is a directory in which anybody may do anything.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "degraded")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExclusions(t *testing.T) {
	excluded, seen := openDir(t), t.TempDir()
	copyOf := filepath.Join(openDir(t), "actor")
	b, err := os.ReadFile(executablePath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copyOf, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		x    policy.Exclusions
		acts func()
	}{
		"directory": {policy.Exclusions{Paths: []string{excluded + "/"}}, func() { act(t, "storm", excluded, "3") }},
		"file":      {policy.Exclusions{Paths: []string{excluded + "/f0"}}, func() { act(t, "storm", excluded, "1") }},
		"process": {policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: copyOf}}}, func() {
			c := actor(t, "storm", excluded, "3")
			c.Path = copyOf
			c.Run()
		}},
		"children": {policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: copyOf, Children: true}}}, func() {
			c := actor(t, "forks", filepath.Join(excluded, "by-a-child"))
			c.Path = copyOf
			c.Run()
		}},
		"user": {policy.Exclusions{Users: []uint32{4321}}, func() {
			c := actor(t, "storm", excluded, "3")
			c.Path = copyOf
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4321, Gid: 4321}}
			if err := c.Run(); c.ProcessState.ExitCode() != 7 {
				t.Error(err)
			}
		}},
		"kind": {policy.Exclusions{Kinds: []string{"create", "write", "delete"}}, func() { act(t, "storm", excluded, "3") }},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, monitor.Settings{Kinds: allOfThem, Exclusions: tt.x}, everything)
			w.t = t
			tt.acts()
			if name == "kind" {
				pid := act(t, "storm", seen, "0")
				w.find("exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == pid })
			} else {
				w.mark(seen)
			}
			if got := w.all(func(e *monitor.Event) bool {
				return monitor.FileKinds.Has(e.Kind) && strings.HasPrefix(e.File.Path, excluded)
			}); len(got) > 0 {
				t.Errorf("%d events, the first: %s %+v of %+v", len(got), got[0].Kind, got[0].File, got[0].Process)
			}
			if c, _ := w.Counts(); name != "kind" && c.Total().Excluded == 0 {
				t.Error("nothing is counted as excluded")
			}
		})
	}
}

func TestReduced(t *testing.T) {
	dir := t.TempDir()
	system, err := os.MkdirTemp("/root", "degraded")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(system)
	w := watch(t, monitor.Settings{Kinds: allOfThem, Reduced: true}, everything)
	act(t, "storm", dir, "3")
	pid := act(t, "storm", system, "1")
	w.find("system", func(e *monitor.Event) bool {
		return e.Kind == monitor.FileDelete && strings.HasPrefix(e.File.Path, system)
	})
	w.find("exec", func(e *monitor.Event) bool { return e.Kind == monitor.Exec && int(e.Process.PID) == pid })
	if got := w.all(below(dir)); len(got) > 0 {
		t.Errorf("got %d events", len(got))
	}
	if got := w.all(func(e *monitor.Event) bool { return e.Kind == monitor.Exit }); len(got) > 0 {
		t.Errorf("got %d exits", len(got))
	}
	c, _ := w.Counts()
	if c.Kinds[monitor.FileDelete].Shed < 3 {
		t.Errorf("%d shed, expected 3 at least", c.Kinds[monitor.FileDelete].Shed)
	}
	if err := w.Set(monitor.Settings{Kinds: allOfThem}); err != nil {
		t.Fatal(err)
	}
	w.mark(dir)
}

// What nobody wants is not asked for, and is asked for when somebody does.
func TestSet(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, monitor.Settings{Kinds: monitor.ProcessKinds}, everything)
	act(t, "storm", dir, "1")
	if err := w.Set(monitor.Settings{Kinds: allOfThem}); err != nil {
		t.Fatal(err)
	}
	w.mark(dir)
	if got := w.all(func(e *monitor.Event) bool { return e.File.Path == filepath.Join(dir, "f0") }); len(got) > 0 {
		t.Errorf("got %+v", got[0])
	}
	if err := w.Set(monitor.Settings{Kinds: allOfThem, Exclusions: policy.Exclusions{Kinds: []string{"nonsense"}}}); err == nil {
		t.Error("no error")
	}
	w.mark(t.TempDir())
}

func TestCountsAddUp(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, monitor.Settings{Kinds: monitor.KindsOf(monitor.FileCreate, monitor.FileDelete, monitor.FileWrite)}, below(dir))
	const files = 3000
	pid := act(t, "storm", dir, "3000")
	w.find("the last", func(e *monitor.Event) bool {
		return e.Kind == monitor.FileDelete && strings.HasSuffix(e.File.Path, "f2999")
	})
	c, err := w.Counts()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []monitor.Kind{monitor.FileCreate, monitor.FileWrite, monitor.FileDelete} {
		told := len(w.all(func(e *monitor.Event) bool { return e.Kind == k }))
		if told != files || c.Kinds[k].Handled < files {
			t.Errorf("%s: %d told, %d counted, expected %d", k, told, c.Kinds[k].Handled, files)
		}
	}
	if c.Total().Lost() != 0 || c.QueueSize == 0 {
		t.Errorf("lost %d of %+v", c.Total().Lost(), c.Total())
	}
	list, err := w.Activity()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if int(a.PID) == pid {
			if a.Kinds[monitor.FileCreate] != files || a.Inode == 0 || a.Comm == "" {
				t.Errorf("activity %+v", a)
			}
			return
		}
	}
	t.Errorf("no activity of %d", pid)
}
