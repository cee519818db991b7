package monitor

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// load is what comes in each of some seconds, and what becomes of it. Of the events that come, a reduced source sheds nine in ten.
type load struct {
	seconds  int
	rate     uint64  // events that come
	capacity uint64  // events that can be handled
	fill     float64 // of the queue; where it is 1, what is too much is lost
	self     bool    // the source sheds by itself what is too much
}

const queueSize = 1 << 20

// play feeds the loads, a second a time, and tells at which seconds the level or the cause changed.
func play(o *Overload, loads ...load) (changes []string) {
	now := time.Unix(1_790_000_000, 0)
	if !o.last.IsZero() {
		now = o.last.Add(time.Nanosecond)
	}
	var c Counts
	before := ""
	o.Observe(now, c)
	second := 0
	for _, l := range loads {
		for range l.seconds {
			n := &c.Kinds[FileWrite]
			come := l.rate
			if o.State().Reduced() {
				n.Shed += come - come/10
				come /= 10
			}
			handled := min(come, l.capacity)
			n.Handled += handled
			if l.fill >= 1 {
				n.Full += come - handled
			} else if l.self {
				n.Shed += come - handled
			}
			c.QueueBytes, c.QueueSize = uint64(l.fill*queueSize), queueSize
			now, second = now.Add(time.Second), second+1
			s := o.Observe(now, c)
			if after := fmt.Sprintf("%v %v", s.Level, s.Cause); after != before && (before != "" || s.Level != Normal) {
				changes = append(changes, fmt.Sprintf("%d %s", second, after))
				before = after
			}
		}
	}
	return changes
}

func TestOverload(t *testing.T) {
	for _, c := range []struct {
		name  string
		loads []load
		want  string
	}{
		{"idle", []load{{600, 100, 10000, 0, false}}, ""},
		{"a full house that is handled", []load{{600, 9000, 10000, 0.3, false}}, ""},
		{"a burst of 2 s and its draining", []load{{10, 100, 10000, 0, false}, {2, 50000, 10000, 0.95, false}, {2, 100, 10000, 0.6, false}, {60, 100, 10000, 0, false}}, ""},
		{"a burst of 2 s that loses", []load{{10, 100, 10000, 0, false}, {2, 90000, 10000, 1, false}, {60, 100, 10000, 0, false}}, ""},
		{"bursts now and then", []load{{2, 50000, 10000, 0.9, false}, {8, 100, 10000, 0, false}, {2, 50000, 10000, 0.9, false}, {8, 100, 10000, 0, false}, {2, 50000, 10000, 0.9, false}, {8, 100, 10000, 0, false}}, ""},
		{"sustained, then over", []load{{5, 20000, 10000, 0.8, false}, {25, 20000, 10000, 0.1, false}, {30, 100, 10000, 0, false}}, "5 reduced sustained, 45 normal none"},
		{"over at once", []load{{5, 20000, 10000, 0.8, false}, {60, 100, 10000, 0, false}}, "5 reduced sustained, 25 normal none"},
		{"shed by the source itself", []load{{30, 20000, 10000, 0.4, true}, {30, 100, 10000, 0, false}}, "5 reduced sustained, 45 normal none"},
		{"persisting, then over", []load{{5, 20000, 10000, 0.8, false}, {295, 20000, 10000, 0.7, false}, {60, 100, 10000, 0, false}}, "5 reduced sustained, 125 critical persisting, 315 normal none"},
		{"losing until it is reduced", []load{{3, 20000, 10000, 1, false}, {20, 20000, 10000, 0.1, false}, {20, 100, 10000, 0, false}}, "3 critical losing, 6 reduced sustained, 38 normal none"},
		{"losing though it is reduced", []load{{60, 200000, 10000, 1, false}, {60, 100, 10000, 0, false}}, "3 critical losing, 66 reduced sustained, 75 normal none"},
		{"up and down all the time", []load{
			{6, 20000, 10000, 0.8, false}, {10, 100, 10000, 0, false}, {6, 20000, 10000, 0.8, false}, {10, 100, 10000, 0, false}, {6, 20000, 10000, 0.8, false}, {10, 100, 10000, 0, false}, {60, 100, 10000, 0, false},
		}, "5 reduced sustained, 53 normal none"},
		// It was the host that was slow, not the events that were many: after a minute without overload all is tried again.
		{"many events, no overload", []load{{6, 5000, 4000, 0.8, false}, {100, 5000, 10000, 0, false}, {100, 5000, 10000, 0, false}}, "5 reduced sustained, 66 normal none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(play(NewOverload(DefaultOverloadLimits), c.loads...), ", "); got != c.want {
				t.Errorf("%s\nexpected %s", got, c.want)
			}
		})
	}
}

// A load that comes back whenever all is monitored again: each time monitoring stays reduced for longer.
func TestOverloadRelapses(t *testing.T) {
	var loads []load
	for range 6 {
		loads = append(loads, load{400, 20000, 10000, 0, true})
	}
	o := NewOverload(DefaultOverloadLimits)
	changes := play(o, loads...)
	want := "5 reduced sustained, 65 normal none, 70 reduced sustained"
	if got := strings.Join(changes, ", "); !strings.HasPrefix(got, want) {
		t.Errorf("%s\nexpected %s …", got, want)
	}
	if s := o.State(); len(changes) > 16 || s.Relapses < 3 || s.Level != Critical || s.Cause != Persisting {
		t.Errorf("%d changes in 40 minutes: %v\n%+v", len(changes), changes, s)
	}
	// It settles: the next overload is the first one again.
	play2 := play(o, load{300, 100, 10000, 0, false})
	if s := o.State(); s.Level != Normal || s.Trouble != 0 || s.Relapses != 0 || s.Capacity != 0 {
		t.Errorf("%v: %+v", play2, s)
	}
}

func TestOverloadRates(t *testing.T) {
	o := NewOverload(DefaultOverloadLimits)
	now := time.Unix(1_790_000_000, 0)
	var c Counts
	c.Kinds[Exec] = Count{Handled: 1000}
	o.Observe(now, c)
	c.Kinds[Exec].Handled += 200
	c.Kinds[FileWrite] = Count{Handled: 300, Excluded: 10, Merged: 20, Shed: 40, Full: 50, Missed: 6, Damaged: 4}
	c.QueueBytes, c.QueueSize = 1, 4
	s := o.Observe(now.Add(2*time.Second), c)
	if s.Handled != 250 || s.Shed != 20 || s.Lost != 30 || s.Offered != 300 || s.Produced != 315 || s.Fill != 0.25 || s.Loss != 25.0/275 || s.Capacity != 250 {
		t.Errorf("%+v", s)
	}
	if again := o.Observe(now.Add(2*time.Second), Counts{}); again != s {
		t.Errorf("no time has passed: %+v", again)
	}
	if other := o.Observe(now.Add(3*time.Second), Counts{}); other != s {
		t.Errorf("another source's counts: %+v", other)
	}
	c = Counts{}
	c.Kinds[Exec].Handled = 5
	if next := o.Observe(now.Add(4*time.Second), c); next.Handled != 5 || next.Lost != 0 || next.Capacity != 250 {
		t.Errorf("the first counts of another source: %+v", next)
	}
	for second := range 5 {
		o.Observe(now.Add(time.Duration(5+second)*time.Second), c)
	}
	// The connector was stopped for an hour: what it then finds does not count as an hour of it.
	c.Kinds[Exec].Full = 1 << 20
	if late := o.Observe(now.Add(time.Hour), c); late.Level != Normal || late.Overloaded > 2*time.Second {
		t.Errorf("%+v", late)
	}
	if got := Level(9).String() + " " + Cause(9).String(); got != "unknown unknown" {
		t.Error(got)
	}
}
