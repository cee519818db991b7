// Package schedule runs scans by the clock: when the next one is due, which have been missed, and one after another. What enters: the schedules of the
// policy, and the wall clock, which may jump. What leaves: calls of Config.Scan, and a file that remembers what was done.
package schedule

import (
	"time"

	"github.com/ampconnector/amp/internal/policy"
)

// Next is the first time after another one that is due by a schedule, in a zone. A time of day that the clock is put forward over is due
// when it is put forward; one that comes twice, since the clock is put back, is due the first time only.
func Next(w policy.When, after time.Time, zone *time.Location) time.Time {
	year, month, day := after.In(zone).Date()
	// From the day before on: where a zone leaves out a day, what was due on it is due after it.
	for d := -1; ; d++ {
		// Noon: a day's midnight may not be there.
		if noon := time.Date(year, month, day+d, 12, 0, 0, 0, time.UTC); w.Days.Has(noon.Weekday()) {
			if due := at(noon, w.Hour, w.Minute, zone); due.After(after) {
				return due
			}
		}
	}
}

// at is when the clocks of a zone show a time of a day.
func at(day time.Time, hour, minute int, zone *time.Location) time.Time {
	year, month, number := day.Date()
	// Which one time.Date gives is not said where there is none such time, or two.
	t := time.Date(year, month, number, hour, minute, 0, 0, zone)
	start, end := t.ZoneBounds()
	wanted, shown := time.Date(year, month, number, hour, minute, 0, 0, time.UTC), clock(t)
	switch {
	case shown.Before(wanted):
		return end // t is before the clock is put forward
	case shown.After(wanted):
		return start
	case start.IsZero():
		return t
	}
	_, before := start.Add(-time.Second).Zone()
	_, now := t.Zone()
	if first := t.Add(time.Duration(now-before) * time.Second); before > now && first.Before(start) {
		return first
	}
	return t
}

// clock is what the clocks of its zone show at a time, as if they were those of UTC.
func clock(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}
