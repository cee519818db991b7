package queue

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/scan/verdicts"
)

func TestHold(t *testing.T) {
	w := newWorld(t, nil)
	f, g := wrote(w.file("f", "x")), wrote(w.file("g", "y"))
	synctest.Test(t, func(t *testing.T) {
		q := New(w.q.Config)
		go q.Run(t.Context())
		q.Resume() // of nothing
		q.Hold(time.Minute)
		q.Offer(f)
		synctest.Wait()
		if got := w.names(); got != "" {
			t.Errorf("scanned %q meanwhile", got)
		}
		q.Resume()
		synctest.Wait()
		if got := w.names(); got != "f" {
			t.Errorf("scanned %q afterwards", got)
		}

		// One that nobody ends, and that was asked for twice.
		q.Hold(time.Minute)
		time.Sleep(30 * time.Second)
		q.Hold(time.Minute)
		q.Offer(g)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if got := w.names(); got != "" {
			t.Errorf("scanned %q meanwhile", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := w.names(); got != "g" {
			t.Errorf("scanned %q when the time was over", got)
		}
	})
}

// holder is a memory that begins a hold when it is asked for a file, or for what is in one.
type holder struct {
	*world
	q        *Queue
	byFile   bool
	contents atomic.Int64 // asked for
}

func (h *holder) Lookup(id verdicts.Identity) (verdicts.Verdict, verdicts.Epoch, bool) {
	if h.byFile {
		h.q.Hold(time.Minute)
	}
	return h.world.Lookup(id)
}

func (h *holder) KnownClean(c verdicts.Content) (verdicts.Epoch, bool) {
	h.contents.Add(1)
	if !h.byFile {
		h.q.Hold(time.Minute)
	}
	return h.world.KnownClean(c)
}

// A file that has begun when a hold does is neither copied nor scanned before that is over.
func TestHoldOfWhatHasBegun(t *testing.T) {
	for _, byFile := range []bool{true, false} {
		w := newWorld(t, nil)
		f := wrote(w.file("f", "x"))
		synctest.Test(t, func(t *testing.T) {
			h := &holder{world: w, byFile: byFile}
			config := w.q.Config
			config.Memory = h
			h.q = New(config)
			go h.q.Run(t.Context())
			h.q.Offer(f)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if got := w.names(); got != "" || byFile && h.contents.Load() > 0 {
				t.Errorf("held before it is copied %t: copied %t, scanned %q meanwhile", byFile, h.contents.Load() > 0, got)
			}
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if got := w.names(); got != "f" || h.contents.Load() != 1 {
				t.Errorf("held before it is copied %t: copied %t, scanned %q when the time was over", byFile, h.contents.Load() > 0, got)
			}
		})
	}
}
