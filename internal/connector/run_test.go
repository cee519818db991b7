package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

// TestMain lets the test binary be the canary's program.
func TestMain(m *testing.M) {
	actions.Asked()
	if len(os.Args) > 1 && os.Args[1] == "canary" {
		if ActAsCanary(os.Args[2:], os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestRunAnswersOnItsSocketAndLeavesNothing runs all of it, on a recorded host.
func TestRunAnswersOnItsSocketAndLeavesNothing(t *testing.T) {
	w := &world{monitored: true, denied: true}
	config := w.config(t)
	ready := make(chan bool, 1)
	config.Notify = func(state string) {
		if state == notifyReady {
			ready <- true
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Run(ctx, config) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(config.PIDFile); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("pid file has %q", b)
	}
	a, err := control.Ask(ctx, config.Socket, control.Request{Verb: control.Evaluate}) // which waits for the first one
	if err != nil || len(a.Status.Raised()) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if err := Run(ctx, config); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second daemon: %v, expected ErrRunning with the pid", err)
	}
	w.set(func(w *world) { w.denied = false })
	a, err = control.Ask(ctx, config.Socket, control.Request{Verb: control.Evaluate})
	if err != nil || len(a.Status.Raised()) != 0 || a.Status.Source.Name != "ebpf" {
		t.Errorf("%+v, %v", a, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, left := range []string{config.PIDFile, config.Socket} {
		if _, err := os.Lstat(left); err == nil {
			t.Errorf("%s was left", left)
		}
	}
}

func TestFailureToRecoverDoesNotStopTheDaemon(t *testing.T) {
	w := &world{}
	config := w.config(t)
	config.Recover = func(context.Context) error { return errRefused }
	ctx, stop := context.WithCancel(t.Context())
	config.Notify = func(state string) {
		if state == notifyReady {
			stop()
		}
	}
	if err := Run(ctx, config); err != nil {
		t.Error(err)
	}
}

func TestStalePIDFileIsTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "pid")
	os.Mkdir(filepath.Dir(path), 0o755)
	os.WriteFile(path, []byte("999999999\n"), 0o644)
	p, err := lockPIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("pid file has %q", b)
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v; expected mode 0600: whoever can open the file can lock it", fi, err)
	}
	p.release()
}

func TestLogIsOpenedAnewAndNotWrittenTwice(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d.log")
	other, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	log, reopen := NewLog(path, other, slog.LevelInfo)
	log.Info("first")
	os.Rename(path, path+".1")
	if err := reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("second")
	for name, want := range map[string][]string{path + ".1": {"first"}, path: {"second"}, other.Name(): {"first", "second"}} {
		b, _ := os.ReadFile(name)
		if strings.Count(string(b), "\n") != len(want) || !strings.Contains(string(b), want[0]) {
			t.Errorf("%s has %q, expected %q", name, b, want)
		}
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, expected 0640", st.Mode())
	}
	same, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	log, _ = NewLog(path, same, slog.LevelInfo)
	log.Info("third")
	if b, _ := os.ReadFile(path); strings.Count(string(b), "third") != 1 {
		t.Errorf("%q, expected the third line once", b)
	}
	log, _ = NewLog(filepath.Join(dir, "none", "d.log"), other, slog.LevelInfo)
	log.Info("fourth")
	if b, _ := os.ReadFile(other.Name()); !strings.Contains(string(b), "cannot be opened") || !strings.Contains(string(b), "fourth") {
		t.Errorf("stderr has %q", b)
	}
}

func TestPIDFileThatWasRemovedIsNotTheOneThatIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !stillNamed(f, path) {
		t.Error("the file that is named was not known")
	}
	os.Remove(path)
	if stillNamed(f, path) {
		t.Error("a removed file was taken for the one that is named")
	}
	os.WriteFile(path, nil, 0o644)
	if stillNamed(f, path) {
		t.Error("a file that took the name was taken for the one that was opened")
	}
}
