package connector

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// A wall clock that is set a day forward or back, at any moment, makes no fault come, go or stay by itself, takes no canary for missing or for
// a day late, and does not get into the times of events, which follow the kernel's clock.
func TestClockThatJumps(t *testing.T) {
	const day = 24 * time.Hour
	l := newLive(t, t.TempDir())
	start := l.config.StartChild
	l.config.StartChild = func(ctx context.Context, token string) (Child, error) {
		l.jump.Store(-l.jump.Load()) // between the canary and its arrival
		return start(ctx, token)
	}
	marks := map[string]time.Time{} // when they were made, by the machine's clock
	l.start()
	l.until("the first canary", func(s *control.Status) bool { return s.Canary != nil && s.Canary.OK })
	within(t, "the watcher of files", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.change != nil
	})
	mark := func() {
		now := time.Now()
		marks[l.mark()] = now
	}
	// evaluate lets the daemon look again, as after a change of the host, at another time of its clock.
	evaluate := func(jump time.Duration) {
		t.Helper()
		l.jump.Store(int64(jump))
		before := l.evaluations()
		l.set(func(l *live) { l.change("the clock") })
		within(t, "an evaluation", func() bool { return l.evaluations() > before })
	}
	jumps := []time.Duration{day, -day, day, 0}

	before := len(history(t, l))
	for _, jump := range jumps {
		evaluate(jump)
		mark()
	}
	if changes := history(t, l)[before:]; len(changes) != 0 {
		t.Errorf("nothing happened but to the clock, and %+v", changes)
	}

	for _, c := range []struct {
		state       fault.State
		begin, then time.Duration // of the clock: when the condition begins or ends, and while it is waited whether it lasts
	}{{fault.Raised, 0, day}, {fault.Clear, -day, -2 * day}} {
		l.set(func(l *live) { l.denied = c.state == fault.Raised })
		started := time.Now()
		evaluate(c.begin)
		evaluate(c.then)
		s := l.until("fault 19 "+string(c.state), func(s *control.Status) bool { return raised(s, 19) == (c.state == fault.Raised) })
		t.Logf("fault 19 %s after %v", c.state, time.Since(started).Round(time.Millisecond))
		if s.Mode != control.Normal {
			t.Errorf("mode %s", s.Mode)
		}
		for _, jump := range jumps {
			evaluate(jump)
		}
		if s := l.ask(control.ReadStatus); raised(s, 19) != (c.state == fault.Raised) {
			t.Errorf("fault 19 did not stay %s", c.state)
		}
	}
	var states []fault.State
	for _, c := range history(t, l)[before:] {
		states = append(states, c.To)
	}
	if want := []fault.State{fault.Raised, fault.Clear}; !slices.Equal(states, want) {
		t.Errorf("changes %v, expected %v", states, want)
	}

	for _, jump := range []time.Duration{day, -day} {
		l.jump.Store(int64(jump))
		old := l.ask(control.ReadStatus).Canary.Time
		l.sendCanary()
		s := l.until("another canary", func(s *control.Status) bool { return !s.Canary.Time.Equal(old) })
		if c := s.Canary; !c.OK || c.Milliseconds <= 0 || c.Milliseconds > float64(livePatience.Milliseconds()) {
			t.Errorf("canary %+v; expected that it took some milliseconds", c)
		}
		mark()
	}
	if l.opens() != 1 {
		t.Errorf("%d sources were opened", l.opens())
	}
	judgeTimes(t, l, marks)
}

func (l *live) evaluations() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.judged)
}

// history is what the ledger's file has of changes.
func history(t *testing.T, l *live) []fault.Change {
	t.Helper()
	s, err := fault.ReadLedger(l.config.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	return s.History
}

// judgeTimes compares the times of the marks in the event log with those of the machine's clock.
func judgeTimes(t *testing.T, l *live, marks map[string]time.Time) {
	t.Helper()
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	seen, worst := 0, time.Duration(0)
	if err := monitor.ReadLog(l.config.EventLog, func(line []byte) error {
		r, err := monitor.ParseLine(line)
		if err != nil || r.Kind != monitor.Exec || len(r.Args) == 0 {
			return err
		}
		made, ok := marks[r.Args[len(r.Args)-1]]
		if !ok {
			return nil
		}
		seen++
		worst = max(worst, r.Time.Sub(made).Abs())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d marks, the time of one is at most %v beside the machine's", seen, len(marks), worst.Round(time.Millisecond))
	if seen < len(marks) || worst > time.Second {
		t.Errorf("%d of %d marks, %v beside the machine's clock", seen, len(marks), worst)
	}
}
