package definitions

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
			dir, _ := sweepHost(t, d)
			for _, point := range append(killsweep.Run(t, what, dir, ""), "") {
				t.Run(point, func(t *testing.T) {
					dir, s := sweepHost(t, d)
					disk.Sync(t)
					killsweep.Run(t, what, dir, point)
					disk.Lose(t)
					mayBeLive(t, s, d)
					if point == "" {
						expectLive(t, s, d.live[len(d.live)-1])
					}
					killsweep.Run(t, what, dir, "")
					expectLive(t, s, d.live[len(d.live)-1])
				})
			}
		})
	}
}
