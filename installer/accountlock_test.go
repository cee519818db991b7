package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const longAgo = -100 * 365 * 24 * time.Hour

// TestStaleAccountLocks: what is proven stale is removed, what is not is named.
func TestStaleAccountLocks(t *testing.T) {
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { zombie.Wait() })
	untilEnded(t, zombie.Process.Pid)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	table := []struct {
		name, content string
		age           time.Duration
		err           string // "" : the account is made
	}{
		{"dead process, which shadow removes", fmt.Sprintf("%d\x00", dead.Process.Pid), 0, ""},
		{"ended process that is still listed", fmt.Sprintf("%d\x00", zombie.Process.Pid), 0, ""},
		{"number given to a later process", fmt.Sprintf("%d\x00", os.Getpid()), longAgo, ""},
		{"empty, of before this boot", "", longAgo, ""},
		{"garbage, of before this boot", "not a number", longAgo, ""},
		{"empty, of now", "", 0, "holds no process id"},
		{"garbage, of now", "12\n", 0, "holds no process id"},
		{"a living process", fmt.Sprintf("%d\x00", os.Getpid()), 0, fmt.Sprintf("is held by process %d (installer.test)", os.Getpid())},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			s := newScratch(t)
			path := filepath.Join(s.dir, "etc/passwd.lock")
			s.write(t, "/etc/passwd.lock", row.content, 0o600)
			made := time.Now().Add(row.age)
			if row.age != 0 {
				made = time.Unix(1000, 0)
			}
			if err := os.Chtimes(path, made, made); err != nil {
				t.Fatal(err)
			}
			h := s.host()
			h.accountWait = 50 * time.Millisecond
			_, err := Run(context.Background(), h, Plan{Name: "account", Items: AccountItems(s.facts())}, Options{})
			if row.err == "" {
				if err := errors.Join(err, accountWhole(s.dir), leftovers(s.dir)); err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrAccountLocked) || !strings.Contains(err.Error(), row.err) {
				t.Errorf("error: %v", err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the lock was removed: %v", err)
			}
		})
	}
}

// TestRecoverPastStaleLock: after a power loss the process number in a lock may be that of another process.
func TestRecoverPastStaleLock(t *testing.T) {
	s := newScratch(t)
	h := s.host()
	h.accountWait = 50 * time.Millisecond
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	step := &Group{Name: "cisco-amp-other"}
	if err := errors.Join(writeJournal(h, "fault-5", 0, step, applying), step.Apply(t.Context(), h)); err != nil {
		t.Fatal(err)
	}
	s.write(t, "/etc/group.lock", fmt.Sprintf("%d\x00", os.Getpid()), 0o600)
	made := time.Unix(1000, 0)
	if err := os.Chtimes(filepath.Join(s.dir, "etc/group.lock"), made, made); err != nil {
		t.Fatal(err)
	}
	undone, err := Recover(t.Context(), h)
	if err := errors.Join(err, accountWhole(s.dir), leftovers(s.dir)); err != nil || len(undone) != 1 {
		t.Errorf("undone: %v; %v", undone, err)
	}
	if g, err := fileGroup(h, step.Name); g != nil || err != nil {
		t.Errorf("the group is still there: %+v, %v", g, err)
	}
}

// untilEnded waits until the process is a zombie: its end of a pipe closes when it ends, and it is not waited for.
func untilEnded(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if p, err := processOf(pid); err == nil && p.ended {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("process did not end")
}

func TestAccountWaitsForALock(t *testing.T) {
	s := newScratch(t)
	path := filepath.Join(s.dir, "etc/group.lock")
	s.write(t, "/etc/group.lock", fmt.Sprintf("%d\x00", os.Getpid()), 0o600)
	free := time.AfterFunc(200*time.Millisecond, func() { os.Remove(path) })
	defer free.Stop()
	if _, err := s.apply(t); err != nil {
		t.Fatal(err)
	}
	if err := accountWhole(s.dir); err != nil {
		t.Error(err)
	}
}
