package degraded

import (
	"time"

	"golang.org/x/sys/unix"
)

// clocks are the kernel's, read at about the same moment. The process connector tells the monotonic clock, which stands still while the
// machine sleeps; processes are known by their start on the boot clock.
type clocks struct {
	wall      time.Time
	monotonic time.Duration
	boot      time.Duration
}

func readClocks() (c clocks) {
	var m, b unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &m)
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &b)
	c.wall = time.Now().Round(0)
	c.monotonic, c.boot = time.Duration(m.Nano()), time.Duration(b.Nano())
	return c
}

// at is the wall clock's time of a time on the monotonic clock, which was not long ago.
func (c *clocks) at(monotonic time.Duration) time.Time { return c.wall.Add(monotonic - c.monotonic) }

// bootAt is the same on the boot clock.
func (c *clocks) bootAt(monotonic time.Duration) time.Duration {
	return c.boot + monotonic - c.monotonic
}

// threadTime is how long the calling thread has had a CPU.
func threadTime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}
