package monitor

import "time"

// Level is how much of the monitoring the load leaves.
type Level uint8

const (
	Normal   Level = iota // all that the policy asks for is monitored
	Reduced               // only the critical kinds and the system's directories: fault 18, major
	Critical              // the same, and it persists or events are lost: fault 18, critical
)

var levelNames = [...]string{Normal: "normal", Reduced: "reduced", Critical: "critical"}

// String is the level's name.
func (l Level) String() string {
	if int(l) >= len(levelNames) {
		return "unknown"
	}
	return levelNames[l]
}

// Cause is why a level is not Normal.
type Cause uint8

const (
	NoCause    Cause = iota
	Sustained        // events came faster than they were handled, for longer than a burst
	Losing           // the queue was full, and events were lost
	Persisting       // it goes on although monitoring was reduced, or comes back again and again
)

var causeNames = [...]string{NoCause: "none", Sustained: "sustained", Losing: "losing", Persisting: "persisting"}

// String is the cause's name.
func (c Cause) String() string {
	if int(c) >= len(causeNames) {
		return "unknown"
	}
	return causeNames[c]
}

// OverloadLimits are what Overload decides by.
type OverloadLimits struct {
	Fill     float64 // part of the queue from which on events are taken to come too fast
	CalmFill float64 // part of the queue below which they do not
	CalmRate float64 // part of what could be handled under load, below which the events that come are few enough to monitor all again
	Loss     float64 // lost of all that came in an interval, from which on events are taken to be lost: 0.001 is one in a thousand

	Absorbed  time.Duration // a burst that is no overload, though it may have lost events
	Sustained time.Duration // overload that reduces monitoring
	Losing    time.Duration // loss that is critical
	Persist   time.Duration // trouble that is critical
	Dwell     time.Duration // the least time that monitoring is reduced for; it doubles with each relapse, four times at most
	Calm      time.Duration // calm that ends it
	Trial     time.Duration // after so long without overload, though not calm, all is monitored again, to see whether it goes; doubles too
	Settled   time.Duration // after so long in Normal, trouble is over, and what follows is no relapse
	// Longest is for how long one interval counts at most: the connector may not have been running in between.
	Longest time.Duration
}

// DefaultOverloadLimits are for a Counts every second.
var DefaultOverloadLimits = OverloadLimits{
	Fill: 0.5, CalmFill: 0.25, CalmRate: 0.8, Loss: 0.001,
	Absorbed: 2 * time.Second, Sustained: 5 * time.Second, Losing: 3 * time.Second, Persist: 2 * time.Minute,
	Dwell: 20 * time.Second, Calm: 15 * time.Second, Trial: time.Minute, Settled: time.Minute, Longest: 2 * time.Second,
}

// mostDoublings bounds how long relapses make monitoring stay reduced.
const mostDoublings = 4

// OverloadState is the level and all that decided it. Rates are events a second over the last interval.
type OverloadState struct {
	Level Level
	Cause Cause
	Since time.Time // of the level

	Produced float64 // all that happened
	Offered  float64 // of these, what was not left out by an exclusion or told by another event
	Handled  float64
	Shed     float64
	Lost     float64 // for whatever reason
	Fill     float64 // part of the queue
	Loss     float64 // part of what was lost since the queue was full, of this and of what was handled
	Capacity float64 // the highest rate that was handled while the queue was filling up; 0 until it did

	Overloaded time.Duration // overload that has added up; what is not overload takes it away again
	Losing     time.Duration // likewise
	Quiet      time.Duration // without overload
	Calm       time.Duration // with few enough events
	Trouble    time.Duration // since monitoring was first reduced, until it has been Normal for the Settled time
	Relapses   int

	Limits OverloadLimits
}

// Reduced reports whether Settings.Reduced is to be set.
func (s OverloadState) Reduced() bool { return s.Level != Normal }

// Overload decides from a source's counts when its monitoring must be reduced, and when not any more. It is a pure state machine: time is
// what Observe is told. Only a full queue is overload; events that were missed or damaged are lost for other reasons.
type Overload struct {
	state   OverloadState
	last    time.Time // zero before the first Observe
	before  Count
	trouble time.Time // when monitoring was first reduced, zero when it was not
	reduced time.Time // when it was reduced last
}

// NewOverload begins at Normal.
func NewOverload(limits OverloadLimits) *Overload {
	return &Overload{state: OverloadState{Limits: limits}}
}

// State is what the last Observe returned.
func (o *Overload) State() OverloadState { return o.state }

// Observe takes a source's counts as they are at a time, and returns the state from then on. Counts that are smaller than before are those of
// another source: they are only what the next ones are compared with.
func (o *Overload) Observe(now time.Time, c Counts) OverloadState {
	total := c.Total()
	took := now.Sub(o.last)
	switch {
	case o.last.IsZero():
		o.state.Since = now
	case took <= 0:
		return o.state
	case decreased(o.before, total):
	default:
		o.measure(took, total, &c)
		o.decide(now)
	}
	o.last, o.before = now, total
	return o.state
}

func decreased(before, now Count) bool {
	return now.Handled < before.Handled || now.Excluded < before.Excluded || now.Merged < before.Merged || now.Shed < before.Shed ||
		now.Full < before.Full || now.Missed < before.Missed || now.Damaged < before.Damaged
}

// measure sets the rates, and what has added up.
func (o *Overload) measure(took time.Duration, total Count, c *Counts) {
	s, b := &o.state, &o.before
	rate := func(now, before uint64) float64 { return float64(now-before) / took.Seconds() }
	s.Handled, s.Shed, s.Lost = rate(total.Handled, b.Handled), rate(total.Shed, b.Shed), rate(total.Lost(), b.Lost())
	s.Offered = s.Handled + s.Shed + s.Lost
	s.Produced = s.Offered + rate(total.Excluded, b.Excluded) + rate(total.Merged, b.Merged)
	full := rate(total.Full, b.Full)
	if s.Loss = 0; full > 0 {
		s.Loss = full / (s.Handled + full)
	}
	if s.Fill = 0; c.QueueSize > 0 {
		s.Fill = float64(c.QueueBytes) / float64(c.QueueSize)
	}
	l := &s.Limits
	took = min(took, l.Longest)
	// A source reduces by itself while its queue is nearly full: what it shed before it was told to is overload too.
	over := s.Fill >= l.Fill || full > 0 || s.Level == Normal && s.Shed > 0
	if over {
		s.Capacity = max(s.Capacity, s.Handled)
	}
	s.Overloaded = addUp(s.Overloaded, took, over, 2*l.Sustained)
	s.Losing = addUp(s.Losing, took, s.Loss >= l.Loss, 2*l.Losing)
	s.Quiet = last(s.Quiet, took, !over)
	s.Calm = last(s.Calm, took, !over && s.Fill <= l.CalmFill && s.Offered <= l.CalmRate*s.Capacity)
}

// addUp adds time where something is so, and takes it away where it is not.
func addUp(sum, took time.Duration, is bool, most time.Duration) time.Duration {
	if is {
		return min(sum+took, most)
	}
	return max(sum-took, 0)
}

// last is for how long something has been so without a break.
func last(so, took time.Duration, is bool) time.Duration {
	if is {
		return so + took
	}
	return 0
}

func (o *Overload) decide(now time.Time) {
	s, l := &o.state, &o.state.Limits
	if s.Level == Normal {
		if !o.trouble.IsZero() && now.Sub(s.Since) >= l.Settled {
			o.trouble, s.Relapses, s.Capacity = time.Time{}, 0, 0
		}
		if s.Overloaded >= l.Sustained || s.Losing > 0 && s.Overloaded > l.Absorbed {
			o.reduce(now)
		}
	} else if o.recovered(now) {
		o.enter(now, Normal, NoCause)
		s.Overloaded, s.Losing = 0, 0
	}
	if s.Trouble = 0; !o.trouble.IsZero() {
		s.Trouble = now.Sub(o.trouble)
	}
	if s.Level != Normal {
		o.grade(now)
	}
}

// reduce begins the trouble, or a relapse.
func (o *Overload) reduce(now time.Time) {
	if o.trouble.IsZero() {
		o.trouble = now
	} else {
		o.state.Relapses++
	}
	o.reduced = now
	o.state.Quiet, o.state.Calm = 0, 0
	o.enter(now, Reduced, Sustained)
}

// grade tells Reduced from Critical.
func (o *Overload) grade(now time.Time) {
	s, l := &o.state, &o.state.Limits
	switch {
	case s.Losing >= l.Losing || s.Level == Critical && s.Cause == Losing && s.Losing > 0:
		o.enter(now, Critical, Losing)
	case s.Trouble >= l.Persist:
		o.enter(now, Critical, Persisting)
	default:
		o.enter(now, Reduced, Sustained)
	}
}

// recovered reports whether all can be monitored again.
func (o *Overload) recovered(now time.Time) bool {
	s, l := &o.state, &o.state.Limits
	doublings := min(s.Relapses, mostDoublings)
	return now.Sub(o.reduced) >= l.Dwell<<doublings && (s.Calm >= l.Calm || s.Quiet >= l.Trial<<doublings)
}

func (o *Overload) enter(now time.Time, level Level, cause Cause) {
	if o.state.Level != level {
		o.state.Since = now
	}
	o.state.Level, o.state.Cause = level, cause
}
