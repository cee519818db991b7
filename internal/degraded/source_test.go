package degraded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

const allOfThem = ^monitor.Kinds(0) >> 14 // TestAllKinds

// watcher keeps the events of a source.
type watcher struct {
	*source
	t      testing.TB
	mu     sync.Mutex
	events []monitor.Event
	news   chan struct{}
	keep   func(*monitor.Event) bool
}

// watch opens the source and runs it until the test ends.
func watch(t testing.TB, s monitor.Settings, keep func(*monitor.Event) bool) *watcher {
	t.Helper()
	return watchSource(t, openSource(t, s, options{groups: namedGroups}), keep)
}

func watchSource(t testing.TB, o *source, keep func(*monitor.Event) bool) *watcher {
	t.Helper()
	w := &watcher{source: o, t: t, news: make(chan struct{}, 1), keep: keep}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx, w.take) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := o.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// openSource opens the source with all parts that it is not to lack.
func openSource(t testing.TB, s monitor.Settings, with options) *source {
	t.Helper()
	with.mounts = hostMounts("/proc")
	o, err := open(context.Background(), s, with)
	if err == nil && o.missing == with.lacks {
		return o
	}
	if err == nil {
		err = fmt.Errorf("missing: %v", o.missing)
		o.Close()
	}
	if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	t.Skipf("needs the initial namespaces, CAP_SYS_ADMIN and CAP_NET_ADMIN: %v", err)
	return nil
}

func (w *watcher) take(e *monitor.Event) {
	if !w.keep(e) {
		return
	}
	w.mu.Lock()
	w.events = append(w.events, e.Clone())
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// find waits for an event.
func (w *watcher) find(what string, is func(*monitor.Event) bool) *monitor.Event {
	w.t.Helper()
	deadline := time.After(2 * dumpRest) // a dump of sockets that took long is followed by a long rest
	for {
		w.mu.Lock()
		for i := range w.events {
			if is(&w.events[i]) {
				defer w.mu.Unlock()
				return &w.events[i]
			}
		}
		w.mu.Unlock()
		select {
		case <-w.news:
		case <-deadline:
			w.t.Errorf("no event: %s", what)
			return nil
		}
	}
}

// dump logs what was kept.
func (w *watcher) dump() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.events {
		e := &w.events[i]
		w.t.Logf("%-11s pid %d %s file %+v target %+v args %.60q", e.Kind, e.Process.PID, e.Process.Exe.Path, e.File, e.Target, e.Args)
	}
}

func (w *watcher) all(is func(*monitor.Event) bool) (found []monitor.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if is(&e) {
			found = append(found, e)
		}
	}
	return found
}

// below keeps what happens in a directory.
func below(dir string) func(*monitor.Event) bool {
	return func(e *monitor.Event) bool {
		return strings.HasPrefix(e.File.Path, dir) || strings.HasPrefix(e.Target.Path, dir)
	}
}

func everything(*monitor.Event) bool { return true }

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, monitor.Settings{Kinds: allOfThem}, below(dir))
	pid := act(t, "files", dir)
	checkFiles(t, w, dir, pid)
	if t.Failed() {
		w.dump()
	}
}

// checkFiles expects what the actor does.
func checkFiles(t *testing.T, w *watcher, dir string, pid int) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		kind         monitor.Kind
		file, target string
	}{
		{monitor.FileCreate, in("made"), ""},
		{monitor.FileWrite, in("made"), ""},
		{monitor.FileRename, in("made"), in("renamed")},
		{monitor.FileLink, "*", in("linked")},
		{monitor.FileAttributes, in("renamed"), ""},
		{monitor.FileDelete, in("linked"), ""},
		{monitor.FileCreate, in("dir"), ""},
		{monitor.FileCreate, in("dir/inner"), ""},
		{monitor.FileRename, in("dir"), in("moved")},
		{monitor.FileCreate, in("moved/second"), ""},
		{monitor.FileCreate, in("symlink"), ""},
		{monitor.FileDelete, in("moved/inner"), ""},
		{monitor.FileDelete, in("moved/second"), ""},
		{monitor.FileDelete, in("moved"), ""},
	} {
		e := w.find(fmt.Sprint(tt), func(e *monitor.Event) bool {
			return e.Kind == tt.kind && (e.File.Path == tt.file || tt.file == "*") && e.Target.Path == tt.target &&
				(tt.kind != monitor.FileAttributes || e.Mode&0o777 == 0o640 && e.Owner == 12 && e.Group == 34)
		})
		if e == nil {
			continue
		}
		p := e.Process
		if int(p.PID) != pid || int(p.PPID) != os.Getpid() || p.Exe.Path != executablePath(t) || p.UID != uint32(os.Getuid()) || p.Start.IsZero() {
			t.Errorf("%s %s: process %+v, expected %d", e.Kind, e.File.Path, p, pid)
		}
	}
}

func TestFilesOfThisProcessAreNotSeen(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, monitor.Settings{Kinds: allOfThem}, below(dir))
	os.WriteFile(filepath.Join(dir, "own"), nil, 0o600)
	act(t, "storm", dir, "1")
	w.find("the actor's", func(e *monitor.Event) bool { return e.Kind == monitor.FileDelete })
	if own := w.all(func(e *monitor.Event) bool { return strings.HasSuffix(e.File.Path, "own") }); len(own) > 0 {
		t.Errorf("got %+v", own)
	}
}

func TestExecAndExit(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	pid := act(t, "storm", t.TempDir(), "0")
	e := w.find("exec", func(e *monitor.Event) bool { return e.Kind == monitor.Exec && int(e.Process.PID) == pid })
	if e == nil {
		return
	}
	if e.File.Path != executablePath(t) || e.File.Inode == 0 || len(e.Args) != 3 || e.Args[2] != "0" {
		t.Errorf("exec %+v %q", e.File, e.Args)
	}
	if p := e.Process; int(p.PPID) != os.Getpid() || p.Directory == "" || len(p.Ancestors) == 0 || time.Since(e.Time) > time.Minute {
		t.Errorf("process %+v at %v", p, e.Time)
	}
	e = w.find("exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == pid })
	if e != nil && (e.ExitCode != 7 || e.Signal != 0 || e.Process.Exe.Path != executablePath(t)) {
		t.Errorf("exit %d signal %d %+v", e.ExitCode, e.Signal, e.Process)
	}
}

func TestScript(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	script := filepath.Join(t.TempDir(), "script.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nread wait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(script, "argument")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	e := w.find("exec of a script", func(e *monitor.Event) bool { return e.Kind == monitor.Exec && int(e.Process.PID) == c.Process.Pid })
	in.Close()
	c.Wait()
	if e == nil {
		return
	}
	interpreter, _ := filepath.EvalSymlinks("/bin/sh")
	if e.File.Path != script || e.File.Inode == 0 || e.Process.Exe.Path != interpreter || len(e.Args) != 3 || e.Args[1] != script {
		t.Errorf("file %+v, executes %s, arguments %q", e.File, e.Process.Exe.Path, e.Args)
	}
}

// A process that is gone before it can be read is told with what was seen of it. Which file it executed is known by its having opened it: a reader that
// gets no processor for long may lose one of hundreds, but not in each of three rounds.
func TestShortProcesses(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, func(e *monitor.Event) bool { return e.Kind == monitor.Exec || e.Kind == monitor.Exit })
	truth, err := exec.LookPath("true")
	if err != nil {
		t.Skip("needs true(1)")
	}
	for range 3 {
		if shortProcesses(t, w, truth) {
			return
		}
	}
	t.Error("expected the file with each exec, in one of three rounds")
}

// shortProcesses runs a program many times and reports whether each exec was told with its file. All else that is told of it must be there.
func shortProcesses(t *testing.T, w *watcher, truth string) bool {
	t.Helper()
	const runs = 200
	pids := map[uint32]bool{}
	for range runs {
		c := exec.Command(truth)
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		pids[uint32(c.Process.Pid)] = true
	}
	last := exec.Command(truth)
	last.Run()
	w.find("the last exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == last.Process.Pid })
	execs := w.all(func(e *monitor.Event) bool { return e.Kind == monitor.Exec && pids[e.Process.PID] })
	named, read, child := 0, 0, 0
	exits := len(w.all(func(e *monitor.Event) bool { return e.Kind == monitor.Exit && pids[e.Process.PID] }))
	for _, e := range execs {
		if filepath.Base(e.File.Path) == "true" || filepath.Base(e.Process.Exe.Path) == "true" {
			named++
		}
		if len(e.Args) > 0 {
			read++
		}
		if int(e.Process.PPID) == os.Getpid() {
			child++
		}
	}
	t.Logf("%d processes: %d execs, %d exits, %d with the file, %d with arguments, %d with the parent", runs, len(execs), exits, named, read, child)
	if len(execs) != runs || exits != runs || child != runs {
		t.Errorf("expected %d execs, exits and parents", runs)
	}
	return named == runs
}

// A child that executes nothing is a copy of its parent, and known by it when it is gone.
func TestForkWithoutExec(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	w := watch(t, monitor.Settings{Kinds: allOfThem}, below(file))
	act(t, "forks", file)
	e := w.find("write", func(e *monitor.Event) bool { return e.Kind == monitor.FileWrite })
	if e == nil {
		return
	}
	shell, _ := filepath.EvalSymlinks("/bin/sh")
	// Of a parent that is gone before it is looked at the name is that of the file that it ran.
	if e.Process.Exe.Path != shell || e.Process.Parent != "sh" && e.Process.Parent != filepath.Base(shell) || e.Process.UID != uint32(os.Getuid()) {
		t.Errorf("process %+v", e.Process)
	}
}

func TestSignal(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.Process.Kill()
	c.Wait()
	e := w.find("exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == c.Process.Pid })
	if e != nil && (e.ExitCode != -1 || e.Signal != 9) {
		t.Errorf("exit %d signal %d, expected signal 9", e.ExitCode, e.Signal)
	}
}

func TestCredentials(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	pid := act(t, "user")
	e := w.find("change of user", func(e *monitor.Event) bool { return e.Kind == monitor.Credentials && int(e.Process.PID) == pid })
	if e != nil && (e.OldUID != 0 || e.OldEUID != 0 || e.Process.UID != 12345 || e.Process.EUID != 12345) {
		t.Errorf("was %d %d, is %d %d", e.OldUID, e.OldEUID, e.Process.UID, e.Process.EUID)
	}
}

func TestTrace(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, everything)
	c := actor(t, "trace")
	out, err := c.Output()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != 7 {
		t.Fatal(err)
	}
	e := w.find("trace", func(e *monitor.Event) bool { return e.Kind == monitor.Trace && int(e.Process.PID) == c.Process.Pid })
	if e != nil && (fmt.Sprintln(e.OtherPID) != string(out) || e.Process.Exe.Path != executablePath(t)) {
		t.Errorf("traces %d, expected %s; process %+v", e.OtherPID, out, e.Process)
	}
	if more := w.all(func(e *monitor.Event) bool { return e.Kind == monitor.Trace }); len(more) != 1 {
		t.Errorf("%d events, expected one: that it let go is none", len(more))
	}
}
