package definitions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
)

func TestTwoImportsAtOnce(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	var running, most int
	var m sync.Mutex
	config.Prove = func(ctx context.Context, d string) (scan.Report, error) {
		m.Lock()
		running++
		most = max(most, running)
		m.Unlock()
		defer func() { m.Lock(); running--; m.Unlock() }()
		time.Sleep(10 * time.Millisecond)
		return fakeProve(ctx, d)
	}
	sets := []files{{"a.ndb": entry}, {"a.ndb": entry + entry}, {"b.ndb": entry}}
	var wg sync.WaitGroup
	for i, set := range sets {
		in := set.write(t, filepath.Join(dir, string(rune('a'+i))))
		wg.Go(func() {
			if out, err := Open(config).Import(context.Background(), in, false); err != nil || out.Result != Live {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d at once", most)
	}
	s := Open(config)
	live, err := s.Current()
	if err != nil || len(held(t, live)) != 1 {
		t.Errorf("%+v, %v", live, err)
	}
}

func TestTheHolderOfTheLockIsNamed(t *testing.T) {
	config := testConfig(t, t.TempDir())
	config.Program = "ampdaemon"
	unlock, err := Open(config).lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config.Wait = 20 * time.Millisecond
	s := Open(config)
	in := files{"a.ndb": entry}.write(t, t.TempDir())
	_, err = s.Import(t.Context(), in, false)
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || locked.Holder.PID != os.Getpid() || !strings.Contains(err.Error(), "held by ampdaemon, process") {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Import(ctx, in, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, expected the context's end", err)
	}
	if started, err := s.Start(t.Context()); !errors.Is(err, ErrLocked) || !started.Set.BuiltIn {
		t.Errorf("a start while it is locked: %+v, %v; expected a set all the same", started, err)
	}
	unlock()
	if _, err := s.Import(t.Context(), in, false); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}

// tmpfs mounts a small file system.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=755"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDisk(t *testing.T) {
	small := tmpfs(t, "256k")
	config := testConfig(t, t.TempDir())
	config.Dir = filepath.Join(small, "definitions")
	s := Open(config)
	one, two := files{"a.ndb": entry}, files{"a.ndb": entry + entry}
	in := t.TempDir()
	mustImport(t, s, one.replace(t, in), Live, one)
	mustImport(t, s, two.replace(t, in), Live, two)
	big := files{"a.ndb": strings.Repeat(entry, 20000)}
	if _, err := s.Import(t.Context(), big.replace(t, in), false); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("%v, expected ENOSPC", err)
	}
	expectLive(t, s, two)
	if _, err := os.Stat(s.path(stagingName)); err == nil {
		t.Error("the copies are left, and the disk stays full")
	}
	fill := func() {
		f, _ := os.Create(filepath.Join(small, "full"))
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}
	fill()
	live, _ := s.Current()
	os.Truncate(filepath.Join(live.Dir, "a.ndb"), 0)
	started, err := s.Start(t.Context())
	if err == nil || !held(t, started.Set).equal(one) {
		t.Errorf("start on a full disk: %q, %v; expected the previous set, and what could not be written", held(t, started.Set), err)
	}
	expectLive(t, s, one)
}

func TestNews(t *testing.T) {
	config := testConfig(t, t.TempDir())
	now := time.Now()
	config.Now = func() time.Time { return now }
	s := Open(config)
	see := func(want bool, why string) {
		t.Helper()
		if fresh, sight, err := s.News(); err != nil || fresh != want {
			t.Errorf("%s: %v, %+v, %v", why, fresh, sight, err)
		}
	}
	see(false, "no directory")
	in := files{"README": "", "freshclam.dat": ""}.write(t, s.IncomingDir())
	see(false, "no definitions")
	one := files{"a.ndb": entry}
	one.write(t, in)
	now = time.Now()
	see(false, "just written")
	now = now.Add(2 * Quiet)
	see(true, "finished")
	files{"tmp.0a1b2c": ""}.write(t, in)
	see(false, "a download is under way")
	now = now.Add(2 * time.Hour)
	see(true, "one that was left hours ago")
	mustImport(t, s, in, Live, one)
	see(false, "taken in")
	os.Remove(filepath.Join(in, "tmp.0a1b2c"))
	see(false, "the temporary file is gone")
	files{"a.ndb": entry + entry}.write(t, in)
	now = time.Now().Add(2 * Quiet)
	see(true, "new content")
	now = time.Now().Add(-24 * time.Hour)
	see(true, "the clock was set back")
	now = time.Now()
	mustImport(t, s, in, Live, files{"a.ndb": entry + entry})
	see(false, "taken in")
	config.Unsigned = false
	s = Open(config)
	now = time.Now().Add(2 * Quiet)
	see(true, "another policy")
}

func TestFilesThatAreStillWritten(t *testing.T) {
	in := files{"a.ndb": entry}.write(t, t.TempDir())
	src, err := openSource(in)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f, st, _ := src.open("a.ndb")
	defer f.Close()
	// What is appended between the look and the copy.
	a, _ := os.OpenFile(filepath.Join(in, "a.ndb"), os.O_APPEND|os.O_WRONLY, 0)
	a.WriteString(entry)
	a.Close()
	if err := settled(f, st, int64(2*len(entry))); !errors.Is(err, ErrUnsettled) {
		t.Errorf("a file that grew: %v", err)
	}
}
