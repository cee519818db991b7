package degraded

import (
	"context"
	"fmt"
	"os"
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
	o := openSource(t, s)
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

// openSource opens the source with all its parts.
func openSource(t testing.TB, s monitor.Settings) *source {
	t.Helper()
	o, err := open(context.Background(), s)
	if err == nil && o.missing == [3]error{} {
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
	deadline := time.After(10 * time.Second)
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
			w.dump()
			return nil
		}
	}
}

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
