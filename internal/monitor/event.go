// Package monitor is what the event sources and the rest of the connector agree on: the event, the source, the choice of a
// source, and the event log. It opens nothing of the kernel itself.
package monitor

import (
	"slices"
	"strings"
	"time"
)

// Kind is what happened.
type Kind uint8

const (
	Exec Kind = iota + 1
	Exit
)

// String is the kind as people and the command line know it.
func (k Kind) String() string {
	switch k {
	case Exec:
		return "exec"
	case Exit:
		return "exit"
	}
	return "unknown"
}

// Process is who did it.
type Process struct {
	PID       uint32 // the thread group's, in the initial pid namespace
	PPID      uint32
	UID       uint32
	EUID      uint32
	Start     time.Time     // when the process was made, on the wall clock as it was then believed to be
	StartBoot time.Duration // the same on the kernel's boot clock; with PID it names the process, whatever the wall clock does
	Comm      string        // at most 15 bytes
	Parent    string        // parent's comm
}

// Event is one thing that a source saw. It and its strings are good until the handler returns: a source reuses the memory. Clone keeps it.
type Event struct {
	Kind          Kind
	Time          time.Time // wall clock, derived from the kernel's boot clock
	Process       Process
	Path          string   // Exec: the executed file as the kernel was given it, made absolute where that could be done
	Args          []string // Exec
	ArgsTruncated bool
	ExitCode      int // Exit: exit status, or -1 where a signal ended it
	Signal        int // Exit: the signal that ended it, 0 if none
}

// Clone returns a copy that stays good.
func (e *Event) Clone() Event {
	c := *e
	c.Process.Comm = strings.Clone(e.Process.Comm)
	c.Process.Parent = strings.Clone(e.Process.Parent)
	c.Path = strings.Clone(e.Path)
	c.Args = slices.Clone(e.Args)
	for i, a := range c.Args {
		c.Args[i] = strings.Clone(a)
	}
	return c
}
