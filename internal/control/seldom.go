package control

import (
	"sync"
	"time"
)

// logPause is the least time between two lines of the log about what others may bring about as often as they like: they could fill the disk with it.
const logPause = 10 * time.Second

// seldom lets something through once in each logPause.
type seldom struct {
	mu     sync.Mutex
	next   time.Time
	untold int
}

// now reports whether one may be told at a time, and how many were not since the last one that was.
func (s *seldom) now(at time.Time) (untold int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.Before(s.next) {
		s.untold++
		return 0, false
	}
	untold, s.untold, s.next = s.untold, 0, at.Add(logPause)
	return untold, true
}
