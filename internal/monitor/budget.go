package monitor

import "time"

// budget allows rate things a second in the long run, and burst at once after a rest.
type budget struct {
	rate, burst int
	begun       bool
	last        time.Duration
	credit      time.Duration // of time in which nothing was taken
}

// take reports whether one may be had at a time that a clock tells, which may go back a little.
func (b *budget) take(now time.Duration) bool {
	price := time.Second / time.Duration(b.rate)
	full := price * time.Duration(b.burst)
	if !b.begun {
		b.begun, b.last, b.credit = true, now, full
	}
	if now > b.last {
		b.credit = min(full, b.credit+now-b.last)
		b.last = now
	}
	if b.credit < price {
		return false
	}
	b.credit -= price
	return true
}
