package quarantine

import (
	"testing"

	"github.com/ampconnector/amp/internal/durable/killsweep"
	"github.com/ampconnector/amp/internal/durable/powerloss"
)

// TestPowerLost loses all that nobody has synchronized at each kill point, and after the deed.
func TestPowerLost(t *testing.T) {
	if !powerloss.Alone(t) {
		return
	}
	for what, d := range deeds {
		t.Run(what, func(t *testing.T) {
			disk := powerloss.New(t, 64<<20)
			dir := sweepHost(t, d)
			points := killsweep.Run(t, what, dir, "")
			end := d.look(t, dir)
			for _, point := range append(points, "") {
				t.Run(point, func(t *testing.T) {
					dir := sweepHost(t, d)
					disk.Sync(t)
					killsweep.Run(t, what, dir, point)
					disk.Lose(t)
					d.before(t, dir)
					if where := d.look(t, dir); where == end {
						return
					} else if point == "" {
						t.Errorf("after the deed it is %s: expected %s", where, end)
					}
					killsweep.Run(t, what, dir, "")
					if where := d.look(t, dir); where != end {
						t.Errorf("done again, it is %s: expected %s", where, end)
					}
				})
			}
		})
	}
}
