package schedule

import (
	"time"

	"github.com/ampconnector/amp/internal/policy"
)

// Bounds by which a clock is judged.
const (
	// punctual is how late a scan may be found due without having been missed: longer than the pause between two looks at the clock.
	punctual = 2 * time.Minute
	// setBack is how far the clock may be set back without what has been done being done again. A clock that is set back further was wrong before.
	setBack = 25 * time.Hour
	// longest is more than there is from one due time to the next, its delay included.
	longest = 9 * 24 * time.Hour
)

// step is what one schedule waits for, or what has come due of it.
type step struct {
	due   time.Time // by the calendar
	begin time.Time // with its delay
	state stepState
}

type stepState int

const (
	ahead  stepState = iota // it begins later
	now                     // it is to begin
	missed                  // it was to begin, too long ago to be taken for punctual
)

// calendar is what steps are found by.
type calendar struct {
	zone *time.Location
	host string
}

// step looks at a schedule at a time. What was due up to through has been dealt with. Of several that have come due since, it is the last.
func (c calendar) step(s *policy.Schedule, through, at time.Time) step {
	through = c.through(through, at)
	if at.Sub(through) > 2*longest {
		through = at.Add(-2 * longest) // a host that was off for years; only the last one counts
	}
	next := c.next(s, through)
	if next.begin.After(at) {
		return next
	}
	last := next
	for !next.begin.After(at) {
		last, next = next, c.next(s, next.due)
	}
	last.state = now
	if at.Sub(last.begin) > punctual {
		last.state = missed
	}
	return last
}

// through is what has been dealt with, by a clock that may have been set back since.
func (c calendar) through(through, at time.Time) time.Time {
	if through.Sub(at) > setBack {
		return at
	}
	return through
}

func (c calendar) next(s *policy.Schedule, after time.Time) step {
	due := Next(s.On, after, c.zone)
	return step{due: due, begin: due.Add(Delay(c.host, s.Name, due, s.Delay))}
}
