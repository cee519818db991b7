// Package monitor is what the event sources and the rest of the connector agree on: the event, the source, the choice of a
// source, what is known of processes, overload control, who is busy, and the event log. Of the kernel it reads nothing but proc(5), of the
// processes that were there before the source.
package monitor

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// Unset is the auid of a process that nobody logged in for, AUDIT_UID_UNSET.
const Unset = ^uint32(0)

// Process is who did it. A source hands out one Process for all events of a process; who gets it reads it only.
type Process struct {
	PID       uint32 // the thread group's, in the initial pid namespace
	PPID      uint32
	UID       uint32
	EUID      uint32
	AUID      uint32        // of the login, Unset if there was none
	Start     time.Time     // when the process was made, on the wall clock as it was then believed to be
	StartBoot time.Duration // the same on the kernel's boot clock; with PID it names the process, whatever the wall clock does
	Comm      string        // at most 15 bytes
	Parent    string        // parent's comm

	Exe       File     // what it executes; Path is "" where it is not known
	Args      []string // of its last exec, cut to a few hundred bytes
	Directory string   // its working directory at its last exec, "" where it is not known
	Cgroup    uint64   // id of its cgroup in the unified hierarchy, 0 where there is none
	Container string   // id of its container, "" if it runs in none
	Label     string   // SELinux context, "" where there is none or it could no longer be read
	Ancestors []Ancestor

	version uint64 // of a Processes: another one after each change; 0 where nobody keeps count
	// ancestry is the version of the parent where PPID, Parent and Ancestors all are what it was then: the same for all that it began in that
	// state. 0 where nobody keeps count.
	ancestry uint64
}

// Ancestor is a process above another one.
type Ancestor struct {
	PID       uint32
	StartBoot time.Duration // 0 where it is not known; of one that was there before the source, rounded down to 10 ms
	Exe       string        // path, else comm
}

// File is a file as an event found it.
type File struct {
	Path      string // from the root of the initial mount namespace where the source could see so far
	Truncated bool   // Path is longer than the source could hand over; its beginning is missing or its end
	// Joined says that Path was put together from the names that the process used: it may lead over symbolic links.
	Joined  bool
	Device  uint64 // as st_dev of stat(2) has it; 0 where it is not known
	Inode   uint64 // 0 where it is not known
	Size    uint64 // bytes, after a FileWrite
	Changed int64  // ctime in ns since 1970, after a FileWrite; 0 where it is not known
}

// Flow is one connection, or one direction of datagrams.
type Flow struct {
	Protocol uint8 // IPPROTO_TCP or IPPROTO_UDP
	Inbound  bool  // the peer opened it
	Local    netip.AddrPort
	Remote   netip.AddrPort
	Sent     uint64        // bytes, after a FlowClose
	Received uint64        // bytes, after a FlowClose
	Duration time.Duration // after a FlowClose
}

// Event is one thing that a source saw. It, its process and its strings are good until the handler returns: a source reuses the memory. Clone keeps it.
type Event struct {
	Kind    Kind
	Time    time.Time // wall clock, derived from the kernel's boot clock
	Process *Process
	Merged  uint32 // further events of the same process, file and kind that came just before, and are told by this one

	File          File     // Exec: the executed file as the kernel was given it; file kinds: what it happened to
	Target        File     // FileRename, FileLink, FileCopy
	Args          []string // Exec
	ArgsTruncated bool
	ExitCode      int    // Exit: exit status, or -1 where a signal ended it
	Signal        int    // Exit: the signal that ended it, 0 if none
	Mode          uint32 // FileAttributes: st_mode as it is now, Unset where the source does not know it
	Owner, Group  uint32 // FileAttributes: as they are now, Unset where the source does not know them
	Flow          Flow   // FlowOpen, FlowClose, Listen
	Name          string // ModuleLoad, BPFLoad: of the module, of the program
	Subtype       uint32 // BPFLoad: enum bpf_prog_type; Trace: the request of ptrace(2)
	OtherPID      uint32 // Trace: the process that is traced
	OldUID        uint32 // Credentials: before
	OldEUID       uint32 // Credentials: before
	Found         Found  // Detection; Name is what was found, File where, and Process the one that did what made it be scanned
}

// Found is what is known of a detection beside its name and the file.
type Found struct {
	Cause       Kind   // what was done with the file; 0 where it was scanned since somebody asked for that
	SHA256      string // of the file, in hexadecimal; "" where it could not be made
	Engine      string // version of the engine library
	Definitions string // version of the definitions
	Quarantined string // id of the file in the quarantine, "" where it was left alone
	LeftAlone   string // why, where the policy asks for more, in English
	OtherNames  uint64 // of the file that was taken into the quarantine, which are still there
}

// Clone returns a copy that stays good.
func (e *Event) Clone() Event {
	c := *e
	if e.Process != nil {
		p := e.Process.Clone()
		c.Process = &p
	}
	c.File.Path = strings.Clone(e.File.Path)
	c.Target.Path = strings.Clone(e.Target.Path)
	c.Args = cloneStrings(e.Args)
	c.Name = strings.Clone(e.Name)
	c.Found = e.Found.clone()
	return c
}

// Equal compares all that is known of two processes.
func (p Process) Equal(o Process) bool {
	return p.PID == o.PID && p.PPID == o.PPID && p.UID == o.UID && p.EUID == o.EUID && p.AUID == o.AUID &&
		p.Start.Equal(o.Start) && p.StartBoot == o.StartBoot && p.Comm == o.Comm && p.Parent == o.Parent &&
		p.Exe == o.Exe && slices.Equal(p.Args, o.Args) && p.Directory == o.Directory && p.Cgroup == o.Cgroup &&
		p.Container == o.Container && p.Label == o.Label && slices.Equal(p.Ancestors, o.Ancestors)
}

// Clone returns a copy that stays good. All its text is one piece of memory: what waits for a scan keeps thousands of copies.
func (p *Process) Clone() Process {
	c := *p
	c.version, c.ancestry = 0, 0 // whoever has a copy may change it
	var text strings.Builder
	text.Grow(p.textBytes())
	own := func(s *string) {
		at := text.Len()
		text.WriteString(*s)
		*s = text.String()[at:]
	}
	for _, s := range []*string{&c.Comm, &c.Parent, &c.Exe.Path, &c.Directory, &c.Container, &c.Label} {
		own(s)
	}
	c.Args = slices.Clone(p.Args)
	for i := range c.Args {
		own(&c.Args[i])
	}
	c.Ancestors = slices.Clone(p.Ancestors)
	for i := range c.Ancestors {
		own(&c.Ancestors[i].Exe)
	}
	return c
}

// textBytes is what the strings of a process have.
func (p *Process) textBytes() int {
	n := len(p.Comm) + len(p.Parent) + len(p.Exe.Path) + len(p.Directory) + len(p.Container) + len(p.Label)
	for _, a := range p.Args {
		n += len(a)
	}
	for i := range p.Ancestors {
		n += len(p.Ancestors[i].Exe)
	}
	return n
}

// Bytes is the memory that a copy of a process takes.
func (p *Process) Bytes() int {
	return int(unsafe.Sizeof(*p)) + p.textBytes() + len(p.Args)*int(unsafe.Sizeof("")) + len(p.Ancestors)*int(unsafe.Sizeof(Ancestor{}))
}

func (f Found) clone() Found {
	for _, s := range []*string{&f.SHA256, &f.Engine, &f.Definitions, &f.Quarantined, &f.LeftAlone} {
		*s = strings.Clone(*s)
	}
	return f
}

func cloneStrings(s []string) []string {
	c := slices.Clone(s)
	for i := range c {
		c[i] = strings.Clone(c[i])
	}
	return c
}
