package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/terminal"
)

// eventLine is one event for a person, on one line. What a line of the log cannot be read as is shown as it stands.
func eventLine(line []byte) string {
	r, err := monitor.ParseLine(line)
	if err != nil {
		return "? " + word(string(line))
	}
	e := &r.Event
	head := r.Time.In(time.Local).Format("2006-01-02 15:04:05.000")
	text := fmt.Sprintf("%s %v %s %s: %s", head, r.Kind, who(r.Process), subject(e), what[r.Kind](e))
	if r.Merged > 0 {
		text += fmt.Sprintf(" (and %d more like it)", r.Merged)
	}
	return text
}

// who did it.
func who(p *monitor.Process) string {
	text := fmt.Sprintf("pid %d uid %s", p.PID, uids(p.UID, p.EUID))
	if p.PPID != 0 || p.Parent != "" {
		text += fmt.Sprintf(" parent %d (%s)", p.PPID, word(p.Parent))
	}
	if p.Container != "" {
		text += " container " + word(shortID(p.Container))
	}
	return text
}

// shortID is as much of a container's id as the container engines show; system containers have names, which are whole.
func shortID(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}

// subject is the program that did it: of an exec the one that was asked for, else the file that the process executes, where that is known.
func subject(e *monitor.Event) string {
	switch {
	case e.Kind == monitor.Exec:
		return path(&e.File)
	case e.Kind == monitor.Exit || e.Process.Exe.Path == "":
		return word(e.Process.Comm)
	}
	return path(&e.Process.Exe)
}

// what tells of each kind what was done.
var what = map[monitor.Kind]func(*monitor.Event) string{
	monitor.Exec:           words,
	monitor.Exit:           ending,
	monitor.FileCreate:     file,
	monitor.FileWrite:      written,
	monitor.FileRename:     moved,
	monitor.FileLink:       moved,
	monitor.FileDelete:     file,
	monitor.FileAttributes: attributes,
	monitor.FileMap:        file,
	monitor.FileCopy:       moved,
	monitor.FlowOpen:       flow,
	monitor.FlowClose:      flowEnd,
	monitor.Listen:         listen,
	monitor.ModuleLoad:     func(e *monitor.Event) string { return "kernel module " + word(e.Name) },
	monitor.BPFLoad: func(e *monitor.Event) string {
		return fmt.Sprintf("eBPF program %s of type %d", word(e.Name), e.Subtype)
	},
	monitor.Trace: func(e *monitor.Event) string { return fmt.Sprintf("process %d, %s", e.OtherPID, request(e.Subtype)) },
	monitor.Credentials: func(e *monitor.Event) string {
		return fmt.Sprintf("uid %s, before %s", uids(e.Process.UID, e.Process.EUID), uids(e.OldUID, e.OldEUID))
	},
	monitor.Detection: found,
}

// uids shows the effective user too where it differs.
func uids(uid, euid uint32) string {
	if euid == uid {
		return strconv.FormatUint(uint64(uid), 10)
	}
	return fmt.Sprintf("%d (effective %d)", uid, euid)
}

func ending(e *monitor.Event) string {
	if e.Signal != 0 {
		return fmt.Sprintf("signal %d", e.Signal)
	}
	return fmt.Sprintf("status %d", e.ExitCode)
}

// path is a file's path; … stands for what is missing of it.
func path(f *monitor.File) string {
	if f.Truncated {
		return word(f.Path) + "…"
	}
	return word(f.Path)
}

func file(e *monitor.Event) string { return path(&e.File) }

func written(e *monitor.Event) string {
	return fmt.Sprintf("%s, now %d bytes", path(&e.File), e.File.Size)
}

func moved(e *monitor.Event) string { return path(&e.File) + " -> " + path(&e.Target) }

// attributes leaves out what the source does not know: of a call that sets the mode alone some know no owner.
func attributes(e *monitor.Event) string {
	text := path(&e.File) + ", now"
	if e.Mode != monitor.Unset {
		text += fmt.Sprintf(" mode %04o", e.Mode&0o7777)
	}
	switch {
	case e.Owner != monitor.Unset && e.Group != monitor.Unset:
		text += fmt.Sprintf(" owner %d:%d", e.Owner, e.Group)
	case e.Owner != monitor.Unset:
		text += fmt.Sprintf(" owner %d", e.Owner)
	case e.Group != monitor.Unset:
		text += fmt.Sprintf(" group %d", e.Group)
	}
	return text
}

// protocols are the names of the IP protocols that flows are of.
var protocols = map[uint8]string{6: "tcp", 17: "udp"}

func protocol(number uint8) string {
	if name, ok := protocols[number]; ok {
		return name
	}
	return fmt.Sprintf("protocol %d", number)
}

// flow has the own side left, and an arrow to the side that was asked for the connection.
func flow(e *monitor.Event) string {
	f, arrow := &e.Flow, "->"
	if f.Inbound {
		arrow = "<-"
	}
	return fmt.Sprintf("%s %s %s %s", protocol(f.Protocol), word(f.Local.String()), arrow, word(f.Remote.String()))
}

func flowEnd(e *monitor.Event) string {
	return fmt.Sprintf("%s, sent %d bytes, received %d, in %v", flow(e), e.Flow.Sent, e.Flow.Received, e.Flow.Duration)
}

func found(e *monitor.Event) string {
	why, then := "on demand", "left alone"
	if e.Found.Cause != 0 {
		why = "after " + e.Found.Cause.String()
	}
	switch {
	case e.Found.Quarantined != "" && e.Found.OtherNames > 0:
		then = fmt.Sprintf("in quarantine as %s; %d other names of it are still there", word(e.Found.Quarantined), e.Found.OtherNames)
	case e.Found.Quarantined != "":
		then = "in quarantine as " + word(e.Found.Quarantined)
	case e.Found.LeftAlone != "":
		then = "could not be quarantined: " + terminal.Line(e.Found.LeftAlone)
	}
	return fmt.Sprintf("%s in %s, scanned %s; %s", word(e.Name), path(&e.File), why, then)
}

func listen(e *monitor.Event) string {
	return protocol(e.Flow.Protocol) + " " + word(e.Flow.Local.String())
}

// requests are those of ptrace(2) that say most of what is meant, include/uapi/linux/ptrace.h.
var requests = map[uint32]string{
	0: "PTRACE_TRACEME", 4: "PTRACE_POKETEXT", 5: "PTRACE_POKEDATA", 6: "PTRACE_POKEUSER", 13: "PTRACE_SETREGS", 16: "PTRACE_ATTACH",
	0x4205: "PTRACE_SETREGSET", 0x4206: "PTRACE_SEIZE",
}

func request(number uint32) string {
	if name, ok := requests[number]; ok {
		return name
	}
	return fmt.Sprintf("request %d", number)
}

func words(e *monitor.Event) string {
	quoted := make([]string, len(e.Args), len(e.Args)+1)
	for i, a := range e.Args {
		quoted[i] = word(a)
	}
	if e.ArgsTruncated {
		quoted = append(quoted, "…")
	}
	return strings.Join(quoted, " ")
}

// word is a text as it is, or quoted where its end could not be seen or it could drive the terminal.
func word(s string) string {
	odd := strings.IndexFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r)
	})
	if s == "" || odd >= 0 {
		return strconv.Quote(s)
	}
	return s
}
