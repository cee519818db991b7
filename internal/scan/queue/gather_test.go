package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Of a thousand files that come at once a single worker is told.
func TestManyFilesRouseOneWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Workers: 4})
		for i := range 1000 {
			q.Offer(wrote(monitor.File{Path: "/gone", Inode: uint64(1 + i), Size: 1, Changed: 1}))
		}
		if n := len(q.ready); n != 0 {
			t.Errorf("%d workers roused before the others had come", n)
		}
		time.Sleep(gathered)
		synctest.Wait()
		if n := len(q.ready); n != 1 {
			t.Errorf("%d workers roused, expected 1", n)
		}
		q.Offer(wrote(monitor.File{Path: "/later", Inode: 2000, Size: 1, Changed: 1}))
		time.Sleep(gathered)
		synctest.Wait()
		if n := len(q.ready); n != 2 {
			t.Errorf("%d workers roused, expected another one for what came later", n)
		}
	})
}

// What comes at once is scanned side by side all the same: whoever begins a scan has the next worker go on.
func TestScansOfOneMomentGoSideBySide(t *testing.T) {
	const workers = 4
	begun, over := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(c *Config) { c.Workers = workers })
	w.during = func(supervise.Job) error {
		begun <- struct{}{}
		<-over
		return nil
	}
	var files []*monitor.Event
	for i := range workers {
		files = append(files, wrote(w.file(fmt.Sprint("f", i), fmt.Sprint("content ", i))))
	}
	for _, e := range files {
		w.q.Offer(e)
	}
	running(t, w)
	for i := range workers {
		select {
		case <-begun:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d scans side by side, expected %d", i, workers)
		}
	}
	close(over)
}

// A file that is deleted while it waits is not looked for, unless it goes on under another name or is executed.
func TestDeletedFilesDoNotWait(t *testing.T) {
	file := func(path string, inode uint64) monitor.File {
		return monitor.File{Path: path, Device: 1, Inode: inode, Size: 1, Changed: 1}
	}
	renamed := func(from, to string, inode uint64) *monitor.Event {
		return &monitor.Event{Kind: monitor.FileRename, Process: nobody, File: file(from, inode), Target: file(to, inode)}
	}
	ran := func(f monitor.File) *monitor.Event {
		return &monitor.Event{Kind: monitor.Exec, Process: nobody, File: f}
	}
	deleted := func(f monitor.File) *monitor.Event {
		return &monitor.Event{Kind: monitor.FileDelete, Process: nobody, File: f}
	}
	for name, c := range map[string]struct {
		events  []*monitor.Event
		waiting int
	}{
		"written and deleted":             {[]*monitor.Event{wrote(file("/a", 1)), deleted(file("/a", 1))}, 0},
		"renamed and deleted":             {[]*monitor.Event{wrote(file("/a", 1)), renamed("/a", "/b", 1), deleted(file("/b", 1))}, 0},
		"another name of it":              {[]*monitor.Event{wrote(file("/a", 1)), deleted(file("/b", 1))}, 1},
		"another file":                    {[]*monitor.Event{wrote(file("/a", 1)), deleted(file("/a", 2))}, 1},
		"another file that took its name": {[]*monitor.Event{wrote(file("/a", 1)), deleted(file("/a", 1)), wrote(file("/a", 2))}, 1},
		"executed":                        {[]*monitor.Event{wrote(file("/a", 1)), ran(file("/a", 1)), deleted(file("/a", 1))}, 1},
		"of no known inode":               {[]*monitor.Event{wrote(file("/a", 0)), deleted(file("/a", 0))}, 1},
	} {
		q := New(Config{})
		for _, e := range c.events {
			q.Offer(e)
		}
		if got := q.Counts(); int(got.Waiting) != c.waiting || int(got.Gone) != strings.Count(name, "and deleted")+strings.Count(name, "took its name") {
			t.Errorf("%s: %d wait, %d are gone; expected %d to wait", name, got.Waiting, got.Gone, c.waiting)
		}
	}
}

// A file that was written and has another name is scanned under that one, in whichever order its names come and go.
func TestAFileThatKeepsANameWaits(t *testing.T) {
	file := func(path string) monitor.File {
		return monitor.File{Path: path, Device: 1, Inode: 1, Size: 1, Changed: 1}
	}
	event := func(k monitor.Kind, from, to string) *monitor.Event {
		return &monitor.Event{Kind: k, Process: nobody, File: file(from), Target: file(to)}
	}
	write := func(path string) *monitor.Event { return wrote(file(path)) }
	link := func(from, to string) *monitor.Event { return event(monitor.FileLink, from, to) }
	rename := func(from, to string) *monitor.Event { return event(monitor.FileRename, from, to) }
	remove := func(path string) *monitor.Event { return event(monitor.FileDelete, path, "") }
	many := []*monitor.Event{write("/a")}
	for i := range 2 * keptNames {
		many = append(many, link("/a", fmt.Sprint("/", i)))
	}
	for name, c := range map[string]struct {
		events []*monitor.Event
		want   string // the name under which it waits; "" if it does not
	}{
		"linked while it is written":             {[]*monitor.Event{link("/a", "/b"), write("/a"), remove("/a")}, "/b"},
		"linked after it is":                     {[]*monitor.Event{write("/a"), link("/a", "/b"), remove("/a")}, "/b"},
		"linked, and the link removed":           {[]*monitor.Event{write("/a"), link("/a", "/b"), remove("/b")}, "/a"},
		"linked alone, and the link removed":     {[]*monitor.Event{link("/a", "/b"), remove("/b")}, "/a"},
		"linked, and both removed":               {[]*monitor.Event{link("/a", "/b"), write("/a"), remove("/a"), remove("/b")}, ""},
		"linked, and both removed the other way": {[]*monitor.Event{link("/a", "/b"), write("/a"), remove("/b"), remove("/a")}, ""},
		"written under both":                     {[]*monitor.Event{write("/a"), write("/b"), write("/a"), remove("/a")}, "/b"},
		"written under both, which are removed":  {[]*monitor.Event{write("/a"), write("/b"), write("/a"), remove("/a"), remove("/b")}, ""},
		"linked twice":                           {[]*monitor.Event{write("/a"), link("/a", "/b"), link("/a", "/c"), remove("/c"), remove("/a")}, "/b"},
		"linked, and the link renamed":           {[]*monitor.Event{link("/a", "/b"), write("/a"), rename("/b", "/c"), remove("/c")}, "/a"},
		"linked, and the first name renamed":     {[]*monitor.Event{link("/a", "/b"), write("/a"), rename("/a", "/c"), remove("/c")}, "/b"},
		"linked, renamed, and all removed":       {[]*monitor.Event{link("/a", "/b"), write("/a"), rename("/a", "/c"), remove("/c"), remove("/b")}, ""},
		"linked from where nothing is scanned":   {[]*monitor.Event{link("/ignored/a", "/b"), remove("/b")}, ""},
		"linked more often than is kept":         {append(many, remove("/a")), fmt.Sprint("/", 2*keptNames-1)},
	} {
		q := New(Config{})
		q.Ignore(Ignored{Paths: []string{"/ignored/"}})
		for _, e := range c.events {
			q.Offer(e)
		}
		got, waits := "", q.Counts().Waiting
		if it, _ := q.next(); it != nil {
			got = it.file().Path
			if len(it.names) > keptNames || it.file().Inode != 1 {
				t.Errorf("%s: %+v", name, it)
			}
		}
		if gone := q.Counts().Gone; got != c.want || waits+gone != 1 {
			t.Errorf("%s: waits as %q, %d gone; expected %q", name, got, gone, c.want)
		}
	}
}

// One that has lost its newest name is found under the other one, though nobody has told of that yet, or it was written again meanwhile.
func TestAFileIsFoundUnderItsOtherName(t *testing.T) {
	begin := func() (w *world, a, b string) {
		w = newWorld(t, nil)
		f := w.file("a", bad)
		if a, b = f.Path, filepath.Join(w.dir, "b"); os.Link(a, b) != nil {
			t.Fatal("no link")
		}
		w.q.Offer(&monitor.Event{Kind: monitor.FileLink, Process: nobody, File: f, Target: w.look(b)})
		w.q.Offer(wrote(f))
		return w, a, b
	}
	remove := func(w *world, path string) *monitor.Event {
		f := w.look(path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return &monitor.Event{Kind: monitor.FileDelete, Process: nobody, File: f}
	}
	for name, do := range map[string]func(w *world, a string){
		"told":     func(w *world, a string) { w.q.Offer(remove(w, a)) },
		"not told": func(w *world, a string) { remove(w, a) },
		"replaced": func(w *world, a string) { remove(w, a); w.file("a", "x") },
		"executed": func(w *world, a string) {
			w.q.Offer(&monitor.Event{Kind: monitor.Exec, Process: nobody, File: w.look(a)})
			remove(w, a)
		},
	} {
		w, a, b := begin()
		do(w, a)
		w.drain()
		if len(w.findings) != 1 || w.findings[0].Path != b || w.q.Counts().Gone != 0 {
			t.Errorf("%s: %+v, %+v; expected %s", name, w.findings, w.q.Counts(), b)
		}
	}
	w, a, b := begin() // changed during its scan, and told of then
	w.done = Done{Again: true}
	changes := 0
	w.during = func(supervise.Job) error {
		if changes++; changes == 1 {
			return os.Chmod(b, 0o600)
		}
		return nil
	}
	it, _ := w.q.next()
	w.q.examine(t.Context(), it)
	w.q.Offer(remove(w, a))
	w.drain()
	if n := len(w.findings); n != mostTries || w.findings[0].Path != a || w.findings[n-1].Path != b {
		t.Errorf("%+v", w.findings)
	}
}

// slowMemory keeps the first who looks something up waiting, as a file system does that does not answer.
type slowMemory struct {
	*world
	waits atomic.Bool // the first does
	over  chan struct{}
}

func (m *slowMemory) Lookup(id verdicts.Identity) (verdicts.Verdict, verdicts.Epoch, bool) {
	if m.waits.CompareAndSwap(false, true) {
		<-m.over
	}
	return m.world.Lookup(id)
}

// A worker that does not come back has no others wait that came at the same time, though no further event rouses anybody.
func TestAWorkerThatHangsHoldsUpNobody(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Workers = 2 })
	first, second := wrote(w.file("first", "x")), wrote(w.file("second", "y"))
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		config := w.q.Config
		config.Memory = &slowMemory{world: w, over: over}
		q := New(config)
		go q.Run(t.Context())
		synctest.Wait() // all workers sleep
		q.Offer(first)
		q.Offer(second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.names(); got != "second" {
			t.Errorf("scanned %q beside the one that hangs, expected the other one", got)
		}
		close(over)
	})
}

// BenchmarkOfferBesideWorkers is short-lived files that a source tells of one every 20 us, which are gone when a worker looks: cpu-ns/op is what all
// threads take for each, without these 20 us.
func BenchmarkOfferBesideWorkers(b *testing.B) {
	const pace = 20 * time.Microsecond
	q := New(Config{Workers: 4, Begin: runtime.LockOSThread})
	go q.Run(b.Context())
	e := wrote(monitor.File{Path: "/nonexistent/file", Size: 1, Changed: 1})
	before := cpuTime(b)
	for b.Loop() {
		e.File.Inode++
		q.Offer(e)
		for began := time.Now(); time.Since(began) < pace; {
		}
	}
	b.ReportMetric(float64((cpuTime(b)-before)/time.Duration(b.N)-pace), "cpu-ns/op")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
