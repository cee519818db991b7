package queue

import (
	"testing"
	"testing/synctest"
	"time"
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
