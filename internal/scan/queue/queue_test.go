package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

const bad = "this is EICAR for a test"

// world is a queue with a scanner and a memory that are fakes, and a directory of real files.
type world struct {
	t   *testing.T
	dir string
	q   *Queue

	mu       sync.Mutex
	scanned  []string // paths, in order
	jobs     []supervise.Job
	findings []Finding
	aside    []Finding
	during   func(supervise.Job) error // called by each scan
	done     Done                      // about each finding
	failed   bool                      // the service cannot be started
	memory   map[verdicts.Identity]verdicts.Verdict
	contents map[verdicts.Content]bool // nil: none is remembered
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), memory: make(map[verdicts.Identity]verdicts.Verdict)}
	c := Config{
		Scanner: w, Memory: w, Log: slog.New(slog.DiscardHandler), Workers: 1,
		OnVerdict: func(f Finding) Done {
			w.mu.Lock()
			defer w.mu.Unlock()
			if _, err := f.File.Stat(); err != nil {
				t.Error(err)
			}
			w.findings = append(w.findings, f)
			return w.done
		},
		OnSetAside: func(f Finding) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.aside = append(w.aside, f)
		},
	}
	if change != nil {
		change(&c)
	}
	w.q = New(c)
	w.q.ignored.Store(&ignored{files: map[string]struct{}{}}) // this process's own events are those of the test
	return w
}

func (w *world) Failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

func (w *world) Scan(_ context.Context, j supervise.Job) (supervise.Answer, error) {
	w.mu.Lock()
	w.scanned = append(w.scanned, j.Path)
	w.jobs = append(w.jobs, j)
	during := w.during
	w.mu.Unlock()
	content, err := io.ReadAll(io.NewSectionReader(j.File, 0, 1<<20))
	if err != nil {
		w.t.Error(err)
	}
	if during != nil {
		if err := during(j); err != nil {
			return supervise.Answer{}, err
		}
	}
	a := supervise.Answer{Epoch: verdicts.Epoch{Definitions: "1"}}
	a.Result = scan.Clean
	switch {
	case bytes.Contains(content, []byte("EICAR")):
		a.Result, a.Name = scan.Infected, "Eicar-Test"
	case bytes.Contains(content, []byte("broken")):
		a.Result, a.Error = scan.Failed, "cannot be unpacked"
	case bytes.Contains(content, []byte("large")):
		a.Result = scan.Limited
	}
	return a, nil
}

// kept is the epoch of all that a world remembers.
var kept = verdicts.Epoch{Definitions: "kept"}

func (w *world) Lookup(id verdicts.Identity) (verdicts.Verdict, verdicts.Epoch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.memory[id]
	return v, kept, ok
}

func (w *world) Keep(_ verdicts.Epoch, id verdicts.Identity, v verdicts.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.memory[id] = v
}

func (w *world) KnownClean(c verdicts.Content) (verdicts.Epoch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return verdicts.Epoch{Definitions: "1"}, w.contents[c]
}

func (w *world) KeepClean(_ verdicts.Epoch, c verdicts.Content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.contents != nil {
		w.contents[c] = true
	}
}

// file writes a file and returns what an event would say of it.
func (w *world) file(name, content string) monitor.File {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return w.look(path)
}

func (w *world) look(path string) monitor.File {
	w.t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		w.t.Fatal(err)
	}
	return monitor.File{Path: path, Device: uint64(st.Dev), Inode: st.Ino, Size: uint64(st.Size), Changed: st.Ctim.Nano()}
}

var nobody = &monitor.Process{PID: 1 << 30, Comm: "nobody"}

func wrote(f monitor.File) *monitor.Event {
	return &monitor.Event{Kind: monitor.FileWrite, Process: nobody, File: f}
}

// drain does what waits, in this goroutine.
func (w *world) drain() {
	for it, _ := w.q.next(); it != nil; it, _ = w.q.next() {
		w.q.examine(context.Background(), it)
	}
}

func (w *world) names() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, p := range w.scanned {
		names = append(names, filepath.Base(p))
	}
	w.scanned = nil
	return strings.Join(names, " ")
}

func TestWhatIsScanned(t *testing.T) {
	w := newWorld(t, nil)
	f, other := w.file("f", "x"), w.file("other", "y")
	empty := w.file("empty", "")
	unknownSize := empty
	unknownSize.Changed = 0
	w.q.Ignore(Ignored{Paths: []string{w.dir + "/own/", w.dir + "/log"}, PIDs: []uint32{77}})
	own := w.file("own/deep/f", "x")
	log, logs := w.file("log", "x"), w.file("logs", "x")
	for _, tt := range []struct {
		name  string
		event monitor.Event
		want  string
	}{
		{"exec", monitor.Event{Kind: monitor.Exec, File: f}, "f"},
		{"map", monitor.Event{Kind: monitor.FileMap, File: f}, "f"},
		{"write", monitor.Event{Kind: monitor.FileWrite, File: f}, "f"},
		{"rename", monitor.Event{Kind: monitor.FileRename, File: other, Target: f}, "f"},
		{"link", monitor.Event{Kind: monitor.FileLink, File: other, Target: f}, "f"},
		{"copy", monitor.Event{Kind: monitor.FileCopy, File: other, Target: f}, "f"},
		{"create", monitor.Event{Kind: monitor.FileCreate, File: f}, ""},
		{"delete", monitor.Event{Kind: monitor.FileDelete, File: f}, ""},
		{"attributes", monitor.Event{Kind: monitor.FileAttributes, File: f}, ""},
		{"flow", monitor.Event{Kind: monitor.FlowOpen}, ""},
		{"a kind that is none", monitor.Event{Kind: 200, File: f}, ""},
		{"empty", monitor.Event{Kind: monitor.FileWrite, File: empty}, ""},
		{"nothing is known of it", monitor.Event{Kind: monitor.FileWrite}, ""},
		{"below an ignored directory", monitor.Event{Kind: monitor.FileWrite, File: own}, ""},
		{"renamed to there", monitor.Event{Kind: monitor.FileRename, File: f, Target: own}, ""},
		{"ignored file", monitor.Event{Kind: monitor.FileWrite, File: log}, ""},
		{"begins like an ignored file", monitor.Event{Kind: monitor.FileWrite, File: logs}, "logs"},
		{"by the scan service", monitor.Event{Kind: monitor.FileWrite, File: f, Process: &monitor.Process{PID: 77}}, ""},
		{"by the daemon", monitor.Event{Kind: monitor.FileWrite, File: f, Process: &monitor.Process{PID: uint32(os.Getpid())}}, ""},
		{"kernel's file", monitor.Event{Kind: monitor.Exec, File: monitor.File{Path: "/proc/self/exe"}}, ""},
	} {
		clear(w.memory)
		w.q.Offer(&tt.event)
		w.drain()
		if got := w.names(); got != tt.want {
			t.Errorf("%s: scanned %q, expected %q", tt.name, got, tt.want)
		}
	}
	w.q.Offer(&monitor.Event{Kind: monitor.FileWrite, File: unknownSize})
	if w.q.Counts().Waiting != 1 {
		t.Error("a file whose size the source did not know is taken to be empty")
	}
}

func TestOrder(t *testing.T) {
	w := newWorld(t, nil)
	for _, e := range []monitor.Event{
		{Kind: monitor.FileWrite, File: w.file("w1", "1")}, {Kind: monitor.FileMap, File: w.file("m1", "2")}, {Kind: monitor.Exec, File: w.file("x1", "3")},
		{Kind: monitor.FileRename, Target: w.file("w2", "4")}, {Kind: monitor.Exec, File: w.file("x2", "5")}, {Kind: monitor.FileMap, File: w.file("m2", "6")},
	} {
		w.q.Offer(&e)
	}
	w.q.Offer(&monitor.Event{Kind: monitor.Exec, File: w.look(w.dir + "/w1")}) // written, and then executed
	w.q.Offer(&monitor.Event{Kind: monitor.FileWrite, File: w.look(w.dir + "/x2")})
	w.drain()
	if got := w.names(); got != "x1 x2 w1 m1 m2 w2" {
		t.Error(got)
	}
	if c := w.q.Counts(); c.Queued != 6 || c.Merged != 2 || c.Scanned != 6 || c.Waiting != 0 {
		t.Errorf("%+v", c)
	}
}

func TestOfAFileThatWaitsTheNewestEventIsKept(t *testing.T) {
	w := newWorld(t, nil)
	e := wrote(w.file("old", bad))
	w.q.Offer(e)
	if err := os.Rename(w.dir+"/old", w.dir+"/new"); err != nil {
		t.Fatal(err)
	}
	mover := &monitor.Process{PID: 5, Comm: "mv"}
	w.q.Offer(&monitor.Event{Kind: monitor.FileRename, Process: mover, File: e.File, Target: w.look(w.dir + "/new")})
	w.drain()
	if len(w.findings) != 1 || filepath.Base(w.findings[0].Path) != "new" || w.findings[0].Event.Process.Comm != "mv" || w.findings[0].Event.Kind != monitor.FileRename {
		t.Errorf("%+v", w.findings)
	}
}

func TestWhatIsKeptIsACopy(t *testing.T) {
	w := newWorld(t, nil)
	path := w.file("f", bad).Path
	args := []string{"a"}
	p := &monitor.Process{PID: 5, Comm: "cp", Args: args}
	memory := []byte(path) // that the source uses again
	e := wrote(w.look(path))
	e.File.Path, e.Process = unsafe.String(&memory[0], len(memory)), p
	w.q.Offer(e)
	byPath := *e
	byPath.File.Inode = 0
	w.q.Offer(&byPath)
	clear(memory)
	args[0], p.Comm, e.Process = "changed", "changed", nil
	p2 := &monitor.Process{PID: 5, Comm: "cp2"} // another one with its number
	second := wrote(w.file("g", bad))
	second.Process = p2
	w.q.Offer(second)
	w.drain()
	if len(w.findings) != 3 || w.findings[1].Path != path || len(w.q.waiting.byKey) != 0 {
		t.Fatal(w.findings)
	}
	first := w.findings[0].Event
	if first.Process.Comm != "cp" || first.Process.Args[0] != "a" || first.File.Path != path || w.findings[2].Event.Process.Comm != "cp2" {
		t.Errorf("%+v", first)
	}
}

func TestAFullQueueDropsWhatMattersLeast(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Capacity = 3 })
	offer := func(k monitor.Kind, name string) { w.q.Offer(&monitor.Event{Kind: k, File: w.file(name, name)}) }
	offer(monitor.FileWrite, "w1")
	offer(monitor.FileMap, "m1")
	offer(monitor.FileWrite, "w2")
	offer(monitor.FileWrite, "w3") // w1 goes
	offer(monitor.Exec, "x1")      // w2
	offer(monitor.FileWrite, "w4") // w3
	offer(monitor.Exec, "x2")      // w4
	offer(monitor.FileWrite, "w5") // itself: all that waits matters more
	if l := &w.q.waiting.lists; l[executed].first == nil || l[mapped].first == nil || l[written].first != nil {
		t.Error("something was dropped for what matters less")
	}
	offer(monitor.Exec, "x3")    // m1
	offer(monitor.FileMap, "m2") // itself
	offer(monitor.Exec, "x4")    // x1, the oldest
	if c := w.q.Counts(); c.Waiting != 3 || c.Dropped != 8 {
		t.Errorf("%+v", c)
	}
	w.drain()
	if got := w.names(); got != "x2 x3 x4" {
		t.Error(got)
	}
}

func TestFindings(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.HashBytes = 100 })
	w.q.SetLimits(scan.Limits{Depth: 7})
	w.q.Offer(wrote(w.file("bad", bad)))
	w.drain()
	w.q.Offer(wrote(w.look(w.dir + "/bad"))) // remembered
	w.drain()
	w.q.Offer(wrote(w.file("huge", bad+strings.Repeat(" ", 100))))
	w.drain()
	if len(w.findings) != 3 || w.names() != "bad huge" {
		t.Fatalf("%+v", w.findings)
	}
	for i, f := range w.findings {
		want, epoch := sha256.Sum256([]byte(bad)), verdicts.Epoch{Definitions: "1"}
		switch i {
		case 1:
			epoch = kept
		case 2:
			want = [32]byte{}
		}
		if f.Epoch != epoch || f.Answer.Result != scan.Infected || f.Answer.Name != "Eicar-Test" || f.SHA256 != want || f.Known != (i == 1) || f.Changed || f.Identity.Inode == 0 || f.Event.Kind != monitor.FileWrite {
			t.Errorf("finding %d: %+v", i, f)
		}
	}
	if w.jobs[0].Limits.Depth != 7 || w.jobs[0].Impatient {
		t.Errorf("%+v", w.jobs[0])
	}
	if c := w.q.Counts(); c.Found != 3 || c.Known != 1 || c.Scanned != 2 {
		t.Errorf("%+v", c)
	}
}

func TestAHashIsOfTheContentThatWasScanned(t *testing.T) {
	w := newWorld(t, nil)
	f, err := os.Open(w.file("f", bad).Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := verdicts.Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	if w.q.hash(context.Background(), f, &id) != sha256.Sum256([]byte(bad)) {
		t.Error("another hash")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	changed, shorter := id, id
	changed.Changed--
	shorter.Size--
	if w.q.hash(context.Background(), f, &changed) != [32]byte{} || w.q.hash(context.Background(), f, &shorter) != [32]byte{} || w.q.hash(ctx, f, &id) != [32]byte{} {
		t.Error("a hash of something else")
	}
}

func TestWhatCannotBeScannedIsNotRemembered(t *testing.T) {
	w := newWorld(t, nil)
	w.q.Offer(wrote(w.file("f", "broken")))
	w.drain()
	if v := w.memory; len(v) != 1 { // the store refuses it
		t.Errorf("%+v", v)
	}
	w.during = func(supervise.Job) error { return supervise.ErrSetAside }
	w.q.Offer(wrote(w.file("g", "poison")))
	w.drain()
	w.during = func(supervise.Job) error { return fmt.Errorf("send: %w", unix.EMFILE) }
	w.q.Offer(wrote(w.file("h", "x")))
	w.drain()
	w.during = func(supervise.Job) error { return context.Canceled }
	w.q.Offer(wrote(w.file("i", "x")))
	w.drain()
	if c := w.q.Counts(); c.Failures != 2 || c.SetAside != 1 || len(w.memory) != 1 || len(w.aside) != 1 || filepath.Base(w.aside[0].Path) != "g" {
		t.Errorf("%+v %+v", c, w.aside)
	}
}

// One that was changed before it could be taken away is scanned again, not for ever.
func TestAFileThatCouldNotBeTaken(t *testing.T) {
	for again, want := range map[bool]int{false: 1, true: mostTries} {
		w := newWorld(t, nil)
		w.done = Done{LeftAlone: "changed", Again: again}
		w.q.Offer(wrote(w.file("f", bad)))
		w.drain()
		if len(w.findings) != want {
			t.Errorf("again %t: found %d times, expected %d", again, len(w.findings), want)
		}
	}
}

func TestAFileThatChangesDuringTheScan(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		changes       int // scans during which it does
		scans         int
		kept          int
		unsettled     uint64
	}{
		{"once", "clean", 1, 2, 1, 0}, {"always", "clean", 99, mostTries, 0, 1}, {"infected", bad, 99, 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			f := w.file("f", tt.content)
			changes := 0
			w.during = func(supervise.Job) error {
				if changes++; changes <= tt.changes {
					return os.WriteFile(f.Path, []byte(strings.Repeat("more ", changes)), 0o755)
				}
				return nil
			}
			w.q.Offer(wrote(f))
			w.drain()
			if len(w.jobs) != tt.scans || len(w.memory) != tt.kept || w.q.Counts().Unsettled != tt.unsettled {
				t.Errorf("%d scans, %d kept, %+v", len(w.jobs), len(w.memory), w.q.Counts())
			}
			if tt.content == bad && (len(w.findings) != 1 || !w.findings[0].Changed || w.findings[0].SHA256 != [32]byte{}) {
				t.Errorf("%+v", w.findings)
			}
		})
	}
}

func TestOneFileIsNotScannedTwiceAtOnce(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Workers = 4 })
	f := w.file("f", "x")
	going, goOn := make(chan struct{}), make(chan struct{})
	w.during = func(supervise.Job) error {
		close(going)
		<-goOn
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.q.Run(ctx) })
	w.q.Offer(wrote(f))
	<-going
	for i := range 3 {
		e := wrote(f)
		e.File.Inode, e.File.Path = 0, fmt.Sprintf("%s/%s./f", w.dir, strings.Repeat("./", i)) // as if they were different ones
		w.q.Offer(e)
	}
	for w.q.Counts().Waiting > 0 {
		time.Sleep(time.Millisecond)
	}
	close(goOn)
	for w.q.Counts().Known != 3 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	running.Wait()
	if len(w.jobs) != 1 {
		t.Errorf("%d scans", len(w.jobs))
	}
}

func TestEventsFromManySides(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Capacity, c.Workers = 50, 3 })
	var files []monitor.File
	for i := range 200 {
		content := "x"
		if i%10 == 0 {
			content = bad
		}
		files = append(files, w.file(fmt.Sprint(i), content))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running, offering sync.WaitGroup
	running.Go(func() { w.q.Run(ctx) })
	for range 4 {
		offering.Go(func() {
			for i := range 2000 {
				e := wrote(files[i%len(files)])
				e.Kind = []monitor.Kind{monitor.FileWrite, monitor.Exec, monitor.FileMap}[i%3]
				e.Process = &monitor.Process{PID: uint32(i % 100)}
				w.q.Offer(e)
			}
		})
	}
	offering.Go(func() {
		if _, err := w.q.ScanPath(ctx, ScanOptions{Paths: []string{w.dir}}, nil); err != nil {
			t.Error(err)
		}
	})
	offering.Wait()
	for w.q.Counts().Waiting > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	running.Wait()
	c := w.q.Counts()
	if len(w.memory) != len(files) || c.Queued != c.Known+c.Scanned+c.Dropped-uint64(len(files)) && c.Dropped == 0 {
		t.Errorf("%d known of %d; %+v", len(w.memory), len(files), c)
	}
	infected := map[string]bool{}
	for _, f := range w.findings {
		infected[filepath.Base(f.Path)] = true
	}
	if len(infected) != 20 || infected["1"] {
		t.Errorf("%v", infected)
	}
}

func TestIgnoredPaths(t *testing.T) {
	g := newIgnored(Ignored{Paths: []string{"/a/b/", "/a/", "/a/c/d/", "/srv/x", "/var/log/", "/ab/", "/z/"}})
	if want := []string{"/a/", "/ab/", "/proc/", "/sys/", "/var/log/", "/z/"}; !slices.Equal(g.prefixes, want) {
		t.Errorf("%v", g.prefixes)
	}
	for path, want := range map[string]bool{
		"/a/": true, "/a/x": true, "/a/b/c": true, "/a": false, "/ab": false, "/ab/c": true, "/aa/x": false, "/srv/x": true, "/srv/x/y": false, "/srv/xy": false,
		"/var/log/x": true, "/var/lo": false, "/var/logs": false, "/zz": false, "": false, "/": false, "/proc/1/exe": true, "/system/x": false, "/z/\xff": true,
	} {
		if got := g.path(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestWhatIsPassedOverCostsNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.q.Ignore(Ignored{PIDs: []uint32{77}})
	waits := wrote(w.file("f", "x"))
	w.q.Offer(waits)
	for name, e := range rejects() {
		if n := testing.AllocsPerRun(100, func() { w.q.Offer(e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { w.q.Offer(waits) }); n != 0 {
		t.Errorf("waits already: %v allocations", n)
	}
	if w.q.Counts().Queued != 1 {
		t.Errorf("%+v", w.q.Counts())
	}
}

func rejects() map[string]*monitor.Event {
	return map[string]*monitor.Event{
		"kind":  {Kind: monitor.FileDelete, Process: nobody, File: monitor.File{Path: "/x/y", Inode: 1}},
		"empty": {Kind: monitor.FileWrite, Process: nobody, File: monitor.File{Path: "/x/y", Inode: 1, Changed: 1}},
		"path":  {Kind: monitor.Exec, Process: nobody, File: monitor.File{Path: "/proc/self/exe", Inode: 1}},
		"pid":   {Kind: monitor.FileWrite, Process: &monitor.Process{PID: 77}, File: monitor.File{Path: "/x/y", Inode: 1, Size: 1}},
	}
}

func BenchmarkReject(b *testing.B) {
	for name, e := range rejects() {
		b.Run(name, func(b *testing.B) {
			q := New(Config{})
			paths := []string{"/var/log/cisco/", "/var/lib/cisco/"}
			for i := range 200 {
				paths = append(paths, fmt.Sprintf("/srv/excluded-%d/", i))
			}
			q.Ignore(Ignored{Paths: paths, PIDs: []uint32{77}})
			b.ReportAllocs()
			for b.Loop() {
				q.Offer(e)
			}
		})
	}
}

func BenchmarkOffer(b *testing.B) {
	for _, bb := range []struct {
		name  string
		files uint64
	}{{"waits already", 1}, {"new", 1 << 62}} {
		b.Run(bb.name, func(b *testing.B) {
			q := New(Config{Capacity: 8192})
			p := &monitor.Process{PID: 9, Comm: "cc1", Args: []string{"cc1", "-O2", "x.c"}, Exe: monitor.File{Path: "/usr/lib/gcc/cc1"}, Ancestors: make([]monitor.Ancestor, 4)}
			e := &monitor.Event{Kind: monitor.FileWrite, Process: p, File: monitor.File{Path: "/home/user/src/project/obj/file.o", Size: 9, Changed: 1}}
			var i uint64
			b.ReportAllocs()
			for b.Loop() {
				i++
				e.File.Inode = 1 + i%bb.files
				q.Offer(e)
			}
		})
	}
}

func TestEachWorkerBegins(t *testing.T) {
	var began atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	q := New(Config{Workers: 3, Log: slog.New(slog.DiscardHandler), Begin: func() {
		if began.Add(1) == 3 {
			cancel()
		}
	}})
	q.Run(ctx)
	if n := began.Load(); n != 3 {
		t.Errorf("%d workers began, expected 3", n)
	}
}
