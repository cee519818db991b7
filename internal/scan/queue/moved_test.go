package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// Files that wait are found when their folder has another name by the time that somebody looks.
func TestFolderIsRenamed(t *testing.T) {
	begun := time.Unix(1000, 0)
	rename := func(w *world, from, to string, at time.Time) *monitor.Event {
		t.Helper()
		from, to = filepath.Join(w.dir, from), filepath.Join(w.dir, to)
		f := w.look(from)
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		moved := f
		moved.Path = to
		return &monitor.Event{Kind: monitor.FileRename, Process: nobody, Time: at, File: f, Target: moved}
	}
	for _, c := range []struct {
		name string
		do   func(*world, *monitor.Event) // with the event of a write to in/deep/f
		want string                       // path of what is scanned, "" for nothing
	}{
		{"told before the file is looked for", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			w.q.Offer(rename(w, "in", "out", begun))
		}, "out/deep/f"},
		{"told after it", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			r := rename(w, "in", "out", begun)
			w.drain()
			w.q.Offer(r)
		}, "out/deep/f"},
		{"told before the write is", func(w *world, e *monitor.Event) {
			w.q.Offer(rename(w, "in", "out", begun.Add(1)))
			w.q.Offer(e)
		}, "out/deep/f"},
		{"twice", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			w.q.Offer(rename(w, "in/deep", "in/low", begun))
			w.q.Offer(rename(w, "in", "out", begun))
		}, "out/low/f"},
		{"each told after a look", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			first := rename(w, "in/deep", "in/low", begun)
			second := rename(w, "in", "out", begun)
			w.drain()
			w.q.Offer(first)
			w.drain()
			w.q.Offer(second)
		}, "out/low/f"},
		{"and another folder has its name", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			w.q.Offer(rename(w, "in", "out", begun))
			w.file("in/deep/f", "another")
		}, "out/deep/f"},
		{"before the write: another one's path", func(w *world, e *monitor.Event) {
			r := rename(w, "in", "out", begun.Add(-1))
			w.q.Offer(r)
			w.q.Offer(e)
		}, ""},
		{"a folder whose name begins alike", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			w.file("i/x", "x")
			r := rename(w, "i", "o", begun)
			if err := os.RemoveAll(filepath.Join(w.dir, "in")); err != nil {
				t.Fatal(err)
			}
			w.q.Offer(r)
		}, ""},
		{"longer ago than is remembered", func(w *world, e *monitor.Event) {
			w.q.Offer(e)
			w.q.Offer(rename(w, "in", "out", begun))
			for i := range keptMoves {
				f := w.file(fmt.Sprintf("other%d", i), "")
				w.q.Offer(&monitor.Event{Kind: monitor.FileRename, Process: nobody, File: f, Target: f})
			}
		}, ""},
	} {
		w := newWorld(t, nil)
		e := wrote(w.file("in/deep/f", "x"))
		e.Time = begun
		c.do(w, e)
		w.drain()
		got := ""
		for _, path := range w.scanned {
			if rel, _ := filepath.Rel(w.dir, path); filepath.Base(rel) == "f" {
				got = rel
			}
		}
		if got != c.want {
			t.Errorf("%s: scanned %q, expected %q", c.name, w.scanned, c.want)
		}
		if n := w.q.Counts(); c.want == "" && n.Gone == 0 {
			t.Errorf("%s: %+v, expected the file to be counted as gone", c.name, n)
		}
	}
}
