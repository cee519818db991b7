// Package monitor is what the event sources and the rest of the connector agree on: the event, the source, the choice of a
// source, and the event log. It opens nothing of the kernel itself.
package monitor

import "time"

// Kind is what happened.
type Kind uint8

const (
	Exec Kind = iota + 1
	Exit
)

// Process is who did it.
type Process struct {
	PID    uint32
	PPID   uint32
	UID    uint32
	EUID   uint32
	Start  time.Time // when the process was made; with PID it names the process
	Comm   string    // at most 15 bytes
	Parent string    // parent's comm
}

// Event is one thing that a source saw. A source may reuse it after the handler has returned.
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
