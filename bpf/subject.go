package bpf

import (
	"os"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// subjects puts what is known of a process in the place of what its record says of it.
type subjects struct {
	table     *monitor.Processes
	sight     monitor.Sight     // of the last record; kept, so that an event allocates nothing
	execution monitor.Execution // likewise
}

func newSubjects(clock *wallClock) *subjects {
	_, err := os.Stat("/sys/fs/selinux/enforce") // selinuxfs is mounted where SELinux is on
	return &subjects{table: monitor.NewProcesses(monitor.ProcessesOptions{
		Labels: err == nil,
		Wall:   func(boot time.Duration) time.Time { return clock.at(uint64(boot)) },
	})}
}

// of finds the event's process in the table, which learns what the record says.
func (s *subjects) of(e *monitor.Event, d *decoder) {
	p := e.Process
	if p.PID == 0 {
		return // the kernel itself
	}
	s.sight = monitor.Sight{
		ID:     monitor.ProcessID{PID: p.PID, Start: p.StartBoot},
		Parent: monitor.ProcessID{PID: p.PPID, Start: d.ancestors[0].StartBoot},
		UID:    p.UID, EUID: p.EUID, AUID: p.AUID, Cgroup: p.Cgroup, Comm: p.Comm, ParentComm: p.Parent, Time: d.time,
	}
	if e.Kind != monitor.Exec {
		e.Process = s.table.Of(&s.sight)
		return
	}
	s.execution = monitor.Execution{Exe: p.Exe, Args: e.Args, Directory: p.Directory}
	e.Process = s.table.Exec(&s.sight, &s.execution)
}

// handled is called after the event was handled.
func (s *subjects) handled(e *monitor.Event) {
	if e.Kind == monitor.Exit {
		s.table.Exit(s.sight.ID)
	}
}
