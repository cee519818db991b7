package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

func TestTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(t.Context(), path, "first", 0, now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(t.Context(), path, "second", 20*time.Millisecond, now)
	var held *HeldError
	if !errors.As(err, &held) || held.Holder != (Holder{"first", os.Getpid(), now}) || held.Gone || held.Path != path {
		t.Errorf("%v, %+v", err, held)
	}
	time.AfterFunc(20*time.Millisecond, func() { first.Release() })
	second, err := Acquire(t.Context(), path, "second", time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); !strings.Contains(string(b), `"second"`) {
		t.Errorf("the file: %s", b)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); len(b) != 0 {
		t.Errorf("the file of a lock that nobody holds: %s", b)
	}
}

// Others cannot open the file: whoever can, to read it alone too, can lock it and never let it go.
func TestOthersCannotOpenTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, before := range []string{"it is made", "it was made with another mode"} {
		lock, err := Acquire(t.Context(), path, "first", 0, now)
		if err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Lstat(path); err != nil || fi.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; expected mode 0600", before, fi, err)
		}
		lock.Release()
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Who does not wait leaves nobody behind who does: he would have the lock for a moment, when nobody expects it.
func TestNobodyWaitsForWhoDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(t.Context(), path, "first", 0, now)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	before := runtime.NumGoroutine()
	var held *HeldError
	if _, err := Acquire(t.Context(), path, "second", 0, now); !errors.As(err, &held) || held.Holder.Program != "first" {
		t.Errorf("%v", err)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// What stands in the file is not trusted.
func TestFileThatTellsNothing(t *testing.T) {
	for _, content := range []string{"", "{", `{"pid":"x"}`, `{"pid":-1}`, strings.Repeat(" ", maxHolder) + `{"pid":1}`} {
		path := filepath.Join(t.TempDir(), "lock")
		lock, err := Acquire(t.Context(), path, "first", 0, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		var held *HeldError
		if _, err := Acquire(t.Context(), path, "second", 0, now); !errors.As(err, &held) || held.Holder != (Holder{}) || held.Gone {
			t.Errorf("%q: %v, %+v", content, err, held)
		}
		lock.Release()
	}
}

func TestLinkIsNotFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.Symlink(path+".elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(t.Context(), path, "first", 0, now); err == nil {
		t.Error("a link was followed")
	}
}
