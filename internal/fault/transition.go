package fault

import "time"

// next is what an entry becomes with a new finding. One rule serves both directions: a condition counts when it has lasted for the
// dwell, and stops counting when it has been absent for the dwell. An interruption shorter than that ends neither, so a
// condition that flaps is raised once, however fast it flaps. Unknown ends nothing that is raised.
func next(e Entry, f Finding, dwell time.Duration, now time.Time) Entry {
	e = withoutFuture(e, now)
	open := e.Pending || !e.Raised.IsZero()
	switch {
	case f.State == Raised:
		return seen(e, f, dwell, now)
	case f.State == Unknown && !e.Raised.IsZero():
		e.Doubt, e.Gone = f.Reason, time.Time{}
		return e
	case f.State != Unknown && open:
		return absent(e, f, dwell, now)
	}
	return plain(e, f, now)
}

// seen: the condition is there.
func seen(e Entry, f Finding, dwell time.Duration, now time.Time) Entry {
	open := e.Pending || !e.Raised.IsZero()
	n := Entry{Finding: f, Since: e.Since, Raised: e.Raised, Pending: e.Pending, Before: e.Before}
	if !open {
		n.Since, n.Pending, n.Before = now, true, e.State
	}
	if n.Raised.IsZero() && now.Sub(n.Since) >= dwell {
		n.Raised = now
	}
	if !n.Raised.IsZero() {
		n.Pending, n.Before = false, ""
	}
	return n
}

// absent: the condition of a raised or pending entry is not there.
func absent(e Entry, f Finding, dwell time.Duration, now time.Time) Entry {
	if e.Gone.IsZero() {
		e.Gone = now
	}
	if now.Sub(e.Gone) < dwell {
		e.Doubt = Text{}
		return e
	}
	return Entry{Finding: f, Since: e.Gone}
}

// plain: neither before nor now is there a condition to wait for.
func plain(e Entry, f Finding, now time.Time) Entry {
	n := Entry{Finding: f, Since: now}
	if e.State == f.State && !e.Pending {
		n.Since = e.Since
	}
	return n
}

// withoutFuture keeps a clock that was set back from stretching a dwell.
func withoutFuture(e Entry, now time.Time) Entry {
	if e.Since.After(now) {
		e.Since = now
	}
	if e.Gone.After(now) {
		e.Gone = now
	}
	return e
}

// due is when an entry changes by the passing of time alone; false if it does not.
func due(e Entry, dwell time.Duration) (time.Time, bool) {
	switch {
	case !e.Gone.IsZero():
		return e.Gone.Add(dwell), true
	case e.Pending:
		return e.Since.Add(dwell), true
	}
	return time.Time{}, false
}
