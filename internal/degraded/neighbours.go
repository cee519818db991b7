package degraded

import (
	"context"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// How often other users of fanotify are looked for, and how long at most: it reads a link of each open file on the host.
const (
	neighboursEvery = 10 * time.Minute
	neighboursTime  = 10 * time.Second
)

// neighbours remembers what other users of fanotify mean for the connector.
type neighbours struct {
	mu     sync.Mutex
	looked time.Time // when the last look began
	texts  []fault.Text
}

// told is what the last look found. The next one, if it is time for it, goes on beside the caller.
func (n *neighbours) told(now time.Time, proc string) []fault.Text {
	n.mu.Lock()
	defer n.mu.Unlock()
	if age := now.Sub(n.looked); n.looked.IsZero() || age < 0 || age >= neighboursEvery {
		n.looked = now
		go n.look(proc)
	}
	return n.texts
}

func (n *neighbours) look(proc string) {
	ctx, cancel := context.WithTimeout(context.Background(), neighboursTime)
	defer cancel()
	users, limits, err := FanotifyUsers(ctx, proc)
	if err != nil && len(users) == 0 {
		return // what was found before stands
	}
	texts := Conflicts(users, limits)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = texts
}

var _ monitor.Neighboured = (*source)(nil)

// Neighbours implements monitor.Neighboured.
func (s *source) Neighbours() []fault.Text {
	if s.files == nil {
		return nil
	}
	return s.neighbours.told(time.Now(), "/proc")
}
