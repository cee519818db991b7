package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// TestLockFolder: it is the control socket's too, which anybody may connect to, and the first program to make it may have been started by a root with
// another umask than services have.
func TestLockFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0o077))
	lock, err := Acquire(t.Context(), NewHost(host.At(dir), nil), "amp-remediate", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if fi, err := os.Stat(filepath.Join(dir, filepath.Dir(LockPath))); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

func TestLock(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	first, err := Acquire(ctx, NewHost(host.At(dir), nil), "amp-install", 0)
	if err != nil {
		t.Fatal(err)
	}
	second := NewHost(host.At(dir), nil)
	_, err = Acquire(ctx, second, "amp-remediate", 20*time.Millisecond)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("held by amp-install, process %d, since ", os.Getpid())) {
		t.Errorf("error: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Acquire(canceled, second, "amp-remediate", time.Hour); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrLocked) {
		t.Errorf("canceled: %v", err)
	}
	free := time.AfterFunc(50*time.Millisecond, func() { first.Release() })
	defer free.Stop()
	lock, err := Acquire(ctx, second, "amp-remediate", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

// Who waits for a lock file that its holder removes gets the new one.
func TestLockFileRemoved(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	first, err := Acquire(ctx, NewHost(host.At(dir), nil), "amp-install", 0)
	if err != nil {
		t.Fatal(err)
	}
	free := time.AfterFunc(50*time.Millisecond, func() {
		os.Remove(filepath.Join(dir, LockPath))
		first.Release()
	})
	defer free.Stop()
	second, err := Acquire(ctx, NewHost(host.At(dir), nil), "amp-remediate", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(ctx, NewHost(host.At(dir), nil), "amp-install", 0); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "amp-remediate") {
		t.Errorf("error: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

// Two programs apply the same plan at once: one waits, and both end well.
func TestTwoInstallersAtOnce(t *testing.T) {
	s := newScratch(t)
	s.wrap(t, "useradd", dropGroup)
	before := s.loginDefs(t)
	var programs [3]*exec.Cmd
	for i := range programs {
		programs[i] = exec.Command(os.Args[0])
		programs[i].Env = append(os.Environ(), sweepPlanEnv+"=account", sweepRootEnv+"="+s.dir)
		if err := programs[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range programs {
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(accountWhole(s.dir), leftovers(s.dir)); err != nil {
		t.Error(err)
	}
	if now := s.loginDefs(t); now != before {
		t.Errorf("login.defs %+v, %+v expected", now, before)
	}
}
