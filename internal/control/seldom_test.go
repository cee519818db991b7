package control

import (
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	var s seldom
	start := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after  time.Duration
		ok     bool
		untold int
	}{
		{0, true, 0}, {time.Second, false, 0}, {logPause - 1, false, 0}, {logPause, true, 2}, {logPause + 1, false, 0}, {time.Hour, true, 1}, {2 * time.Hour, true, 0},
	} {
		if untold, ok := s.now(start.Add(c.after)); ok != c.ok || untold != c.untold {
			t.Errorf("after %v: %v, %d untold; expected %v, %d", c.after, ok, untold, c.ok, c.untold)
		}
	}
}
