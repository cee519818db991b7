package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan/supervise"
)

// running runs the queue of a world until the test ends.
func running(t *testing.T, w *world) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { w.q.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return w
}

func (w *world) scannedBelow() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, p := range w.scanned {
		name, _ := filepath.Rel(w.dir, p)
		names = append(names, name)
	}
	slices.Sort(names)
	w.scanned = nil
	return names
}

func TestScanPath(t *testing.T) {
	w := running(t, newWorld(t, func(c *Config) { c.Workers = 2 }))
	for name, content := range map[string]string{
		"a": "x", "d/b": bad, "d/e/c": "large", "d/e/f": "broken", "out/secret": "x", "d/skip/g": "x", "d/one": "x", "d/empty": "",
	} {
		w.file("tree/"+name, content)
	}
	w.file("outside", "x")
	os.Symlink(w.dir+"/outside", w.dir+"/tree/link")
	os.Symlink(w.dir, w.dir+"/tree/d/up")
	os.Symlink(w.dir+"/tree", w.dir+"/named")
	unix.Mkfifo(w.dir+"/tree/fifo", 0o600)
	w.done = Done{Quarantined: "!"}
	w.q.Ignore(Ignored{Paths: []string{w.dir + "/tree/d/skip/", w.dir + "/tree/d/one"}})
	var steps []Progress
	told := map[string]string{}
	s, err := w.q.ScanPath(context.Background(), ScanOptions{
		Paths: []string{w.dir + "/tree/d", w.dir + "/tree/a", w.dir + "/missing"},
		Told: func(path, name string, done Done, err error) {
			told[strings.TrimPrefix(path, w.dir)] = fmt.Sprint(name, done.Quarantined, " ", err)
		},
	}, func(p Progress) { steps = append(steps, p) })
	if err != nil {
		t.Fatal(err)
	}
	if got := w.scannedBelow(); !slices.Equal(got, []string{"tree/a", "tree/d/b", "tree/d/e/c", "tree/d/e/f"}) {
		t.Errorf("scanned %v", got)
	}
	s.Took = 0
	if want := (Summary{Files: 5, Bytes: 1 + uint64(len(bad)) + 5 + 6, Clean: 2, Infected: 1, Quarantined: 1, Folders: 2, Limited: 1, Failed: 1, Known: 1, Skipped: 2, Unreadable: 1}); fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("%+v\nexpected %+v", s, want)
	}
	bad := told["/tree/d/b"]
	if len(told) != 3 || bad == "! <nil>" || !strings.HasSuffix(bad, "! <nil>") || !strings.Contains(told["/tree/d/e/f"], "cannot be unpacked") ||
		!strings.Contains(told["/missing"], "no such file") {
		t.Errorf("told %q", told)
	}
	last := steps[len(steps)-1]
	if len(steps) != 5 || last.Files != 5 || last.Found != 1 || last.Path == "" {
		t.Errorf("%+v", steps)
	}
	for _, j := range w.jobs {
		if !j.Impatient {
			t.Error("a person waits for a service that cannot be started")
		}
	}
	if len(w.findings) != 1 || w.findings[0].Event.Kind != 0 || !strings.HasSuffix(w.findings[0].Path, "/b") {
		t.Errorf("%+v", w.findings)
	}
	// A link that is named is followed, and what is known is not scanned.
	w.q.Ignore(Ignored{})
	s, err = w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/named"}}, nil)
	if got := w.scannedBelow(); err != nil || s.Files != 8 || s.Infected != 1 || !slices.Equal(got, []string{"named/d/one", "named/d/skip/g", "named/out/secret"}) {
		t.Errorf("%+v %v %v", s, err, got)
	}
}

// Of a tree that did not change nothing is opened but what was found in it, which is told again, and what was changed since.
func TestWhatIsKnownIsNotOpened(t *testing.T) {
	w := running(t, newWorld(t, nil))
	for name, content := range map[string]string{"clean": "x", "large": "large", "bad": bad, "broken": "broken", "empty": "", "changed": "x"} {
		w.file("t/"+name, content)
	}
	scan := func() Summary {
		t.Helper()
		s, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/t"}}, func(Progress) {})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	scan()
	w.file("t/changed", "longer")
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, w.dir+"/t", unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	s := scan()
	s.Took = 0
	if want := (Summary{Files: 6, Bytes: 1 + 5 + uint64(len(bad)) + 6 + 6, Folders: 1, Clean: 3, Infected: 1, Limited: 1, Failed: 1, Known: 5}); s != want {
		t.Errorf("%+v\nexpected %+v", s, want)
	}
	opened := map[string]bool{}
	b := make([]byte, 4096)
	for n, err := unix.Read(watch, b); err == nil; n, err = unix.Read(watch, b) {
		for rest := b[:n]; len(rest) > 0; {
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			if name := string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:size], "\x00")); name != "" {
				opened[name] = true
			}
			rest = rest[size:]
		}
	}
	if want := map[string]bool{"bad": true, "broken": true, "changed": true}; !maps.Equal(opened, want) {
		t.Errorf("opened: %v, expected %v", opened, want)
	}
}

func TestTotalsAreCounted(t *testing.T) {
	w := running(t, newWorld(t, nil))
	for i := range 30 {
		w.file(fmt.Sprint("t/", i), "1234")
	}
	counted := make(chan struct{})
	var once sync.Once
	w.during = func(supervise.Job) error {
		<-counted
		return nil
	}
	var last Progress
	d := ScanOptions{Paths: []string{w.dir + "/t"}}
	go func() { // the count goes ahead of the scans
		once.Do(func() { close(counted) })
	}()
	if _, err := w.q.ScanPath(context.Background(), d, func(p Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if last.TotalFiles != 30 && last.Counted || last.Files != 30 || last.TotalBytes > 120 || last.Bytes != 120 {
		t.Errorf("%+v", last)
	}
}

func TestOtherFileSystemsAreCrossedWhenAsked(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	w := running(t, newWorld(t, nil))
	w.file("t/f", "x")
	for dir, kind := range map[string]string{"t/other": "tmpfs", "t/kernel": "proc"} {
		dir = filepath.Join(w.dir, dir)
		os.Mkdir(dir, 0o755)
		if err := unix.Mount(kind, dir, kind, 0, ""); err != nil {
			t.Skipf("mount %s: %v", kind, err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	}
	w.file("t/other/g", "y")
	for _, cross := range []bool{false, true} {
		clear(w.memory)
		s, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/t"}, CrossFileSystems: cross}, nil)
		want := []string{"t/f"}
		if cross {
			want = append(want, "t/other/g")
		}
		if got := w.scannedBelow(); err != nil || !slices.Equal(got, want) || s.Skipped != uint64(3-len(want)) {
			t.Errorf("cross %v: %v %+v %v", cross, got, s, err)
		}
	}
	if s, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/t/kernel"}}, nil); err != nil || s.Files != 0 || s.Skipped != 1 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestADeepTreeIsBounded(t *testing.T) {
	w := running(t, newWorld(t, nil))
	dir := w.dir
	for i := range maxDepth + 10 {
		dir += "/d"
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if i == maxDepth-2 || i == maxDepth+1 {
			os.WriteFile(dir+"/f", []byte("x"), 0o600)
		}
	}
	var told []string
	s, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir}, Told: func(_, _ string, _ Done, err error) { told = append(told, fmt.Sprint(err)) }}, nil)
	if err != nil || s.Files != 1 || s.Unreadable != 1 || len(told) != 1 || !strings.Contains(told[0], "more than 256") {
		t.Errorf("%+v %q %v", s, told, err)
	}
}

// Whoever moves directories about while they are walked leads nobody out of them.
func TestAWalkStaysInItsTree(t *testing.T) {
	w := running(t, newWorld(t, nil))
	w.file("tree/d/f", "x")
	w.file("outside/f", "secret")
	ctx, cancel := context.WithCancel(context.Background())
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for ctx.Err() == nil {
			os.Rename(w.dir+"/tree/d", w.dir+"/tree/e")
			os.Symlink(w.dir+"/outside", w.dir+"/tree/d")
			os.Remove(w.dir + "/tree/d")
			os.Rename(w.dir+"/tree/e", w.dir+"/tree/d")
		}
	})
	var secret unix.Stat_t
	unix.Stat(w.dir+"/outside/f", &secret)
	for range 300 {
		clear(w.memory)
		if _, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/tree"}}, nil); err != nil {
			t.Error(err)
		}
	}
	cancel()
	swapping.Wait()
	for _, j := range w.jobs {
		if j.Identity.Inode == secret.Ino {
			t.Fatal("the walk left the tree")
		}
	}
}

func TestAScanThatIsCutOff(t *testing.T) {
	for _, tt := range []struct {
		name string
		cut  func(cancel func()) error
		want error
	}{
		{"by the person", func(cancel func()) error { cancel(); return nil }, context.Canceled},
		{"no service", func(func()) error { return supervise.ErrUnavailable }, supervise.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := running(t, newWorld(t, nil))
			for i := range 100 {
				w.file(fmt.Sprint("t/", i), "x")
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			n := 0
			w.during = func(supervise.Job) error {
				if n++; n >= 10 {
					return tt.cut(cancel)
				}
				return nil
			}
			s, err := w.q.ScanPath(ctx, ScanOptions{Paths: []string{w.dir + "/t"}}, func(Progress) {})
			if !errors.Is(err, tt.want) || s.Files < 9 || s.Files > 20 {
				t.Errorf("%+v %v", s, err)
			}
		})
	}
}

func TestTheQueueEndsDuringAScan(t *testing.T) {
	w := newWorld(t, nil)
	w.file("t/f", "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.q.Run(ctx)
	if _, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/t"}}, nil); !errors.Is(err, supervise.ErrStopped) {
		t.Error(err)
	}
}

// However many archives a person has scanned, the next event finds a worker.
func TestEventsFindAWorkerBesideAScan(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Workers = 3 })
	for i := range 9 {
		w.file(fmt.Sprint("t/demand-", i), "x")
	}
	begun, over := make(chan struct{}, 9), make(chan struct{})
	event := make(chan struct{})
	w.during = func(j supervise.Job) error {
		if !j.Impatient {
			close(event)
			return nil
		}
		begun <- struct{}{}
		<-over
		return nil
	}
	running(t, w)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/t"}}, nil); err != nil {
			t.Error(err)
		}
	}()
	<-begun
	<-begun
	w.q.Offer(wrote(w.file("event", "x")))
	<-event
	close(over)
	<-ended
}

// What a person asked for comes last, but it comes, also while events never end.
func TestEventsGoFirst(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Capacity = 10_000 })
	for i := range 200 {
		w.q.Offer(wrote(w.file(fmt.Sprint("events/", i), "x")))
	}
	for i := range 5 {
		w.file(fmt.Sprint("t/demand-", i), "x")
	}
	w.during = func(supervise.Job) error {
		time.Sleep(time.Millisecond) // so that the walk has something to offer
		return nil
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if _, err := w.q.ScanPath(context.Background(), ScanOptions{Paths: []string{w.dir + "/t"}}, nil); err != nil {
			t.Error(err)
		}
	}()
	running(t, w)
	<-over
	w.mu.Lock()
	defer w.mu.Unlock()
	var at []int
	for i, p := range w.scanned {
		if strings.Contains(p, "demand") {
			at = append(at, i)
		}
	}
	if len(at) != 5 || at[0] < 10 || at[0] > 150 {
		t.Errorf("scanned as number %v", at)
	}
}

// Files of events wait for a service that cannot be started, and keep the workers, or the very file. Whoever waits for a scan is told.
func TestScanPathDoesNotWaitForAServiceThatCannotBeStarted(t *testing.T) {
	for name, c := range map[string]struct {
		workers int
		asked   string
	}{"no worker is left": {1, "other"}, "the file is another's": {3, "f"}} {
		w := newWorld(t, nil)
		f := wrote(w.file("f", "x"))
		w.file("other", "y")
		synctest.Test(t, func(t *testing.T) {
			config := w.q.Config
			config.Workers = c.workers
			q := New(config)
			mended := make(chan struct{})
			w.during = func(j supervise.Job) error {
				if j.Impatient {
					return supervise.ErrUnavailable
				}
				<-mended
				return nil
			}
			go q.Run(t.Context())
			q.Offer(f)
			synctest.Wait()
			w.mu.Lock()
			w.failed = true
			w.mu.Unlock()
			began := time.Now()
			if _, err := q.ScanPath(t.Context(), ScanOptions{Paths: []string{w.dir + "/" + c.asked}}, nil); !errors.Is(err, supervise.ErrUnavailable) {
				t.Errorf("%s: %v, expected that the service is unavailable", name, err)
			}
			if took := time.Since(began); took > 2*lookAtScanner {
				t.Errorf("%s: told after %v", name, took)
			}
			close(mended)
		})
	}
}
