package cgroup

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

// tree is a directory with the attributes that a kernel would have made in it.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T, controllers string) tree {
	f := tree{t, t.TempDir()}
	f.attributes("unit", map[string]string{"cgroup.controllers": controllers, "cgroup.subtree_control": ""})
	f.attributes("unit/daemon", map[string]string{"cgroup.procs": ""})
	return f
}

func (f tree) attributes(dir string, all map[string]string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Join(f.dir, dir), 0o755); err != nil {
		f.t.Fatal(err)
	}
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(f.dir, dir, name), []byte(content), 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f tree) expect(name, want string) {
	f.t.Helper()
	if b, err := os.ReadFile(filepath.Join(f.dir, name)); err != nil || string(b) != want {
		f.t.Errorf("%s: %q, %v; expected %q", name, b, err, want)
	}
}

func TestOpen(t *testing.T) {
	f := newTree(t, "cpuset memory pids\n")
	os.Mkdir(filepath.Join(f.dir, "unit", "scan-41"), 0o755) // of a daemon that was killed
	os.Mkdir(filepath.Join(f.dir, "unit", "scanner"), 0o755) // not ours
	tr, err := open(f.dir, "/unit")
	if err != nil {
		t.Fatal(err)
	}
	f.expect("unit/daemon/cgroup.procs", "0")
	f.expect("unit/cgroup.subtree_control", "+pidsry") // "+memory", and on it "+pids": this is no kernel
	if tr.Path() != "/unit" || strings.Join(tr.controllers, " ") != "memory pids" || tr.last != 41 {
		t.Errorf("%+v", tr)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "unit", "scan-41")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group of a killed daemon is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "unit", "scanner")); err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhyNot(t *testing.T) {
	unified := func(path string) host.Reading[host.ControlGroup] {
		return host.Read(host.ControlGroup{Unified: true, Path: path}, "f")
	}
	for name, c := range map[string]struct {
		own  host.Reading[host.ControlGroup]
		want error
	}{
		"unreadable":    {host.NotKnown[host.ControlGroup]("f", io.ErrUnexpectedEOF), io.ErrUnexpectedEOF},
		"version 1":     {host.Read(host.ControlGroup{Path: "/"}, "f"), errVersion1},
		"not delegated": {unified("/nowhere.slice/x.service"), errNotDelegated},
	} {
		if tr, err := Open(c.own); tr != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; expected %v", name, tr, err, c.want)
		}
	}
	if _, err := open(newTree(t, "cpu pids").dir, "/unit"); !errors.Is(err, errNoMemory) {
		t.Error(err)
	}
	f := newTree(t, "memory")
	os.Remove(filepath.Join(f.dir, "unit/daemon/cgroup.procs"))
	if _, err := open(f.dir, "/unit"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	f := newTree(t, "memory pids cpu")
	tr, err := open(f.dir, "/unit")
	if err != nil {
		t.Fatal(err)
	}
	f.attributes("unit/scan-1", map[string]string{"memory.max": "max", "pids.max": "max", "cpu.weight": "1", "cgroup.procs": "", "memory.oom.group": "0"}) // no swap is counted
	g, err := tr.New(700 << 20)
	if err != nil {
		t.Fatal(err)
	}
	f.expect("unit/scan-1/memory.max", "734003200")
	f.expect("unit/scan-1/pids.max", "640")
	f.expect("unit/scan-1/cpu.weight", "20")
	f.expect("unit/scan-1/memory.oom.group", "1")
	file, err := g.Entrance()
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString("0")
	file.Close()
	f.expect("unit/scan-1/cgroup.procs", "0")
	for events, want := range map[string]uint64{"max 9\noom 1\noom_kill 1\n": 700 << 20, "max 9\noom 0\noom_kill 0\n": 0, "max 0\noom 0\noom_kill 1\n": 0} {
		f.attributes("unit/scan-1", map[string]string{"memory.events": "low 0\nhigh 0\n" + events})
		if at, err := g.KilledAt(); err != nil || at != want {
			t.Errorf("%q: %d, %v; expected %d", events, at, err, want)
		}
	}
	f.attributes("unit/scan-1", map[string]string{"memory.events": "oom 1\noom_kill 1\n", "memory.max": "max\n"})
	if at, err := g.KilledAt(); err == nil || at != 0 {
		t.Errorf("%d, %v; expected an error, since nothing bounds it", at, err)
	}

	// The second one has no memory.max: then it is no bound, and not left behind.
	if g, err := tr.New(1); err == nil || g != nil {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "unit", "scan-2")); !errors.Is(err, os.ErrNotExist) {
		t.Error("scan-2 was left behind")
	}
}

func TestNoTree(t *testing.T) {
	var tr *Tree
	g, err := tr.New(1)
	if g != nil || err != nil {
		t.Fatal(g, err)
	}
	file, err := g.Entrance()
	at, kerr := g.KilledAt()
	if file != nil || at != 0 || errors.Join(err, kerr, g.Remove()) != nil {
		t.Error(file, err, at, kerr)
	}
}

func TestParseOOM(t *testing.T) {
	for text, want := range map[string]uint64{
		"low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 1\n": 2, "max 1\noom 0\noom_kill 1\n": 0, "oom_kill 0\n": 0,
	} {
		if n, err := parseOOM("f", []byte(text)); n != want || err != nil {
			t.Errorf("%q: %d, %v; expected %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "max 1\n", "oom_kill x\n", "oom_kill -1\n"} {
		if n, err := parseOOM("f", []byte(text)); err == nil || n != 0 {
			t.Errorf("%q: %d, expected an error", text, n)
		}
	}
}

func FuzzParseOOM(f *testing.F) {
	f.Add([]byte("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parseOOM("f", b); err != nil && n != 0 {
			t.Errorf("%d, %v", n, err)
		}
	})
}
