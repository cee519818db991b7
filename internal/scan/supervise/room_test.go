package supervise

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan"
)

// Where memory does not hold two engines, none runs during a trial, and one with the definitions that are live afterwards follows it. Nothing that comes
// meanwhile is lost.
func TestRoomForATrial(t *testing.T) {
	in(t, func(c *Config, h *house) { c.Available = func() uint64 { return 1 } }, func(t *testing.T, h *house) {
		time.Sleep(time.Minute)
		old := h.last()
		leave, made, err := h.sup.Room(context.Background())
		if err != nil || !made {
			t.Fatalf("made %t, %v", made, err)
		}
		select {
		case <-old.dead:
		default:
			t.Error("the service is still there")
		}
		var work sync.WaitGroup
		work.Go(func() { wantResult(t, h.all("clean"), "clean", scan.Clean) })
		time.Sleep(time.Minute) // the trial
		if st := h.sup.State(); st.State != control.ScanWaiting || h.count() != 1 || st.Cause != "" {
			t.Errorf("%d services, %+v; expected that none is started", h.count(), st)
		}
		h.set(func() { h.version = "2" })
		leave()
		work.Wait()
		if st := h.sup.State(); st.State != control.ScanReady || st.Definitions != "2" || h.count() != 2 || len(st.Ends) != 0 {
			t.Errorf("%d services, %+v; expected a second one, with what is live now", h.count(), st)
		}
	})
}

// Where memory holds two, the service goes on, and may be replaced at once.
func TestRoomThatIsThere(t *testing.T) {
	in(t, func(c *Config, h *house) { c.Available = func() uint64 { return 1 << 40 } }, func(t *testing.T, h *house) {
		time.Sleep(time.Minute)
		leave, made, err := h.sup.Room(context.Background())
		if err != nil || made {
			t.Fatalf("made %t, %v", made, err)
		}
		wantResult(t, h.all("clean"), "clean", scan.Clean)
		if sw, err := h.sup.Switch(context.Background()); err != nil || sw.MadeRoom {
			t.Errorf("%+v, %v", sw, err)
		}
		leave()
		if st := h.sup.State(); st.State != control.ScanReady || h.count() != 2 {
			t.Errorf("%d services, %+v", h.count(), st)
		}
	})
}

// A supervisor that ends meanwhile is left without a wait.
func TestRoomAtTheEnd(t *testing.T) {
	in(t, func(c *Config, h *house) { c.Available = func() uint64 { return 1 }; h.took = time.Hour }, func(t *testing.T, h *house) {
		time.Sleep(time.Minute)
		go h.all("clean")
		synctest.Wait()
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		if _, made, err := h.sup.Room(ctx); made || !errors.Is(err, ErrStopped) {
			t.Errorf("made %t, %v", made, err)
		}
		h.set(func() { h.took = 0 })
	})
}
