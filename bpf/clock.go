package bpf

import (
	"time"

	"golang.org/x/sys/unix"
)

// wallClock turns the kernel's boot clock, in ns, into wall-clock time.
type wallClock struct {
	read     func() (wall, boot int64) // ns, of the same moment
	offset   int64                     // wall − boot
	compared uint64                    // boot time of the last comparison
}

// clockSlack is how far the clocks may drift apart before the offset follows. Below it the offset stays as it is, so that the same
// start of a process gives the same time in all its events; a clock that was set is seen at once.
const clockSlack = int64(100 * time.Millisecond)

func readClocks() (wall, boot int64) {
	var w, b, b2 unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &b)
	unix.ClockGettime(unix.CLOCK_REALTIME, &w)
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &b2)
	return w.Nano(), (b.Nano() + b2.Nano()) / 2
}

func newWallClock(read func() (wall, boot int64)) *wallClock {
	wall, boot := read()
	return &wallClock{read: read, offset: wall - boot, compared: uint64(boot)}
}

// at gives the wall-clock time of a boot time.
func (c *wallClock) at(boot uint64) time.Time { return time.Unix(0, int64(boot)+c.offset) }

// follow compares the clocks again for an event that happened since they were compared last: that is once for all that the reader finds
// when it wakes.
func (c *wallClock) follow(now uint64) {
	if now <= c.compared {
		return
	}
	wall, boot := c.read()
	c.compared = uint64(boot)
	if d := wall - boot - c.offset; d > clockSlack || d < -clockSlack {
		c.offset = wall - boot
	}
}
