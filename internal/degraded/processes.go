package degraded

import (
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// message is what the process connector said, and what was found out at once.
type message struct {
	procEvent
	found bool   // exec: the process was still there to be read
	given string // exec: what it was given to execute, where it was not
	old   ids    // uid: what it was before
}

// ids are the real and the effective user of a process.
type ids struct{ uid, euid uint32 }

// beforeMost bounds the processes whose former users are kept.
const beforeMost = 1024

// traceAttach is PTRACE_ATTACH: the only request but PTRACE_SEIZE that the process connector tells of, and it does not tell which.
const traceAttach = unix.PTRACE_ATTACH

// readMessages reads what the process connector has, and looks at the processes that it names.
func (r *run) readMessages() (err error) {
	r.messages = append(r.messages, r.early...)
	r.early = r.early[:0]
	r.messages, err = r.receive(r.messages)
	return err
}

// catchUp reads what the process connector has while records of fanotify are told, and one of them is of a process that is not known: it was
// made since. What else the messages say is told in the next round, when it was read what the processes opened before.
func (r *run) catchUp() {
	if len(r.early) < messagesMost {
		r.early, _ = r.receive(r.early) // an error comes again
	}
	r.behind = r.behind || len(r.early) > 0
}

// receive appends messages.
func (r *run) receive(messages []message) ([]message, error) {
	first := len(messages)
	for len(messages) < first+messagesMost {
		n, err := r.processes.receive(r.small)
		if err != nil {
			return messages, err
		}
		if n == 0 {
			break
		}
		var m message
		switch ok, err := m.parse(r.small[:n]); {
		case err != nil:
			r.tally[0].damaged.Add(1)
		case ok && m.what != procAck:
			messages = append(messages, m)
		}
	}
	if r.processes.lost {
		r.tally[0].full.Add(r.processes.takeLost())
		r.forgetProcesses()
		clear(r.before)
	}
	for i := first; i < len(messages); i++ {
		r.look(&messages[i])
	}
	return messages, nil
}

// look does what cannot wait.
func (r *run) look(m *message) {
	switch m.what {
	case procFork:
		r.fork(m)
	case procExec:
		if m.found = r.lookAtExec(m.pid, r.clocks.bootAt(m.time)); !m.found {
			r.peek()
			r.imagine(m)
		}
	case procUID:
		m.old = r.changeUser(m)
	}
}

// fork makes the child known, which is a copy of its parent until it executes something.
func (r *run) fork(m *message) {
	child := m.data[1]
	parent := r.table.Current(m.pid)
	if parent == nil {
		parent = r.table.Read(m.pid)
	}
	if parent == nil || child == 0 {
		return
	}
	at := r.clocks.bootAt(m.time)
	r.table.Of(&monitor.Sight{
		ID:     monitor.ProcessID{PID: child, Start: at},
		Parent: monitor.ProcessID{PID: parent.PID, Start: parent.StartBoot},
		UID:    parent.UID, EUID: parent.EUID, AUID: parent.AUID, Cgroup: parent.Cgroup,
		Comm: parent.Comm, ParentComm: parent.Comm, Time: at,
	})
}

// lookAtExec reads the process anew. One that is known by a start that is rounded otherwise is the same.
func (r *run) lookAtExec(pid uint32, at time.Duration) bool {
	var known monitor.ProcessID
	var was ids
	if p := r.table.Current(pid); p != nil {
		known, was = monitor.ProcessID{PID: pid, Start: p.StartBoot}, ids{p.UID, p.EUID}
	}
	p := r.table.Read(pid)
	if p == nil {
		return false
	}
	if now := (ids{p.UID, p.EUID}); known.PID != 0 && now != was {
		// It has changed its user since. That will be told, or is being told just now.
		if _, ok := r.before[pid]; !ok {
			if len(r.before) >= beforeMost {
				clear(r.before)
			}
			r.before[pid] = was
		}
	}
	if p.Exe.Path == "" { // it has ended and waits for its parent
		return false
	}
	start := p.StartBoot
	// It executes this since the exec, not since it was read: what it forked in between is a copy of it.
	s := sightOf(p, at)
	r.table.Exec(&s, &monitor.Execution{Exe: p.Exe, Args: p.Args, Directory: p.Directory})
	if known.PID != 0 && known.Start != start {
		r.table.Exit(known)
	}
	return true
}

// changeUser takes the new users, and returns those before.
func (r *run) changeUser(m *message) ids {
	old, told := r.before[m.pid]
	delete(r.before, m.pid)
	p := r.table.Current(m.pid)
	if p == nil {
		r.table.Read(m.pid) // it says what it is now
		return ids{monitor.Unset, monitor.Unset}
	}
	if !told {
		old = ids{p.UID, p.EUID}
	}
	now := ids{m.data[0], m.data[1]}
	if now != (ids{p.UID, p.EUID}) {
		s := sightOf(p, r.clocks.bootAt(m.time))
		s.UID, s.EUID = now.uid, now.euid
		r.table.Of(&s)
	}
	return old
}

// tellMessages hands out what the messages said, but for the ends of processes: those wait until their files were read.
func (r *run) tellMessages() {
	for i := range r.messages {
		m := &r.messages[i]
		switch m.what {
		case procExec:
			r.tellExec(m)
		case procUID:
			r.tellUser(m)
		case procPtrace:
			r.tellTrace(m)
		case procExit:
			r.exits = append(r.exits, m.procEvent)
		}
	}
	r.messages = r.messages[:0]
}

// tellExec tells what a process executes. What it was given to execute was seen when it was opened; where that is a script, the process
// executes its interpreter.
func (r *run) tellExec(m *message) {
	if !m.found && m.given == "" {
		r.imagine(m)
	}
	p := r.subject(m.pid)
	e := &r.event
	*e = monitor.Event{Kind: monitor.Exec, Time: r.clocks.at(m.time), Process: p, File: p.Exe, Args: p.Args, ArgsTruncated: cut(p.Args)}
	if !m.found {
		e.File = monitor.File{Path: m.given}
		r.deliver((*run).completeExec)
		return
	}
	var room [8][]byte
	opened := r.opened.take(m.pid, room[:0])
	if len(opened) > 1 && view(opened[0]) != p.Exe.Path && names(p.Args, view(opened[0])) {
		e.File = monitor.File{Path: view(opened[0])}
		r.deliver((*run).completeExec)
		return
	}
	r.deliver(nil)
}

// completeExec finds the script.
func (r *run) completeExec() bool {
	if r.event.File.Path != "" {
		r.at(-1, append(append(r.paths[1][:0], r.event.File.Path...), 0))
		r.identify(&r.event.File)
	}
	return true
}

// imagine puts together what a process executed that was gone before it could be read, from what it opened to do so.
func (r *run) imagine(m *message) {
	var room [8][]byte
	opened := r.opened.take(m.pid, room[:0])
	if len(opened) == 0 {
		return
	}
	m.given = string(opened[0])
	p := r.table.Current(m.pid)
	if p == nil {
		return
	}
	x := monitor.Execution{Exe: monitor.File{Path: m.given}, Directory: p.Directory}
	for _, o := range opened {
		if !loader(view(o)) {
			x.Exe.Path = view(o)
		}
	}
	s := sightOf(p, r.clocks.bootAt(m.time))
	s.Comm = path.Base(x.Exe.Path)
	s.Comm = s.Comm[:min(len(s.Comm), 15)] // TASK_COMM_LEN
	r.table.Exec(&s, &x)
}

// sightOf is a sight of a process as it is known.
func sightOf(p *monitor.Process, at time.Duration) monitor.Sight {
	return monitor.Sight{
		ID: monitor.ProcessID{PID: p.PID, Start: p.StartBoot}, Parent: monitor.ProcessID{PID: p.PPID},
		UID: p.UID, EUID: p.EUID, AUID: p.AUID, Cgroup: p.Cgroup, Comm: p.Comm, ParentComm: p.Parent, Time: at,
	}
}

// names reports whether one of the first arguments behind the program's name is the file, as the kernel hands scripts to interpreters.
func names(args []string, file string) bool {
	for i, a := range args {
		if i > 0 && i < 4 && path.Base(a) == path.Base(file) {
			return true
		}
	}
	return false
}

// Bounds of the arguments that the table keeps.
const (
	argsBytes = 512
	argsMost  = 64
)

func cut(args []string) bool {
	n := 0
	for _, a := range args {
		n += len(a) + 1
	}
	return n >= argsBytes || len(args) >= argsMost
}

// loaders are the beginnings of the names of dynamic loaders, which the kernel opens beside the program that asks for them.
var loaders = [...]string{"ld-linux", "ld-musl", "ld.so", "ld64.so", "ld-2."}

func loader(file string) bool {
	base := path.Base(file)
	for _, l := range loaders {
		if len(base) >= len(l) && base[:len(l)] == l {
			return true
		}
	}
	return false
}

// tellUser tells that a process changed its user. The kernel tells it also of the users that the event does not have.
func (r *run) tellUser(m *message) {
	if m.old == (ids{m.data[0], m.data[1]}) {
		return
	}
	r.event = monitor.Event{Kind: monitor.Credentials, Time: r.clocks.at(m.time), Process: r.subject(m.pid), OldUID: m.old.uid, OldEUID: m.old.euid}
	r.deliver(nil)
}

// tellTrace tells that a process took hold of another. That it let go has no tracer.
func (r *run) tellTrace(m *message) {
	tracer := m.data[1]
	if tracer == 0 || !r.filter.Kinds.Has(monitor.Trace) {
		return
	}
	r.event = monitor.Event{Kind: monitor.Trace, Time: r.clocks.at(m.time), Process: r.subject(tracer), OtherPID: m.pid, Subtype: traceAttach}
	r.deliver(nil)
}

// exitsMost bounds the ends of processes that wait for their files to be read.
const exitsMost = 4 * messagesMost

// tellExits tells the ends of processes, and forgets them.
func (r *run) tellExits() {
	if r.behind && len(r.exits) < exitsMost && !r.final {
		return
	}
	for i := range r.exits {
		m := &r.exits[i]
		p := r.subject(m.pid)
		if p == &r.unknown {
			p.PPID = m.data[3]
		}
		r.event = monitor.Event{Kind: monitor.Exit, Time: r.clocks.at(m.time), Process: p}
		status := unix.WaitStatus(m.data[0])
		if r.event.ExitCode = status.ExitStatus(); status.Signaled() {
			r.event.ExitCode, r.event.Signal = -1, int(status.Signal())
		}
		id := monitor.ProcessID{PID: p.PID, Start: p.StartBoot}
		r.deliver(nil)
		r.table.Exit(id)
		delete(r.before, m.pid)
	}
	r.exits = r.exits[:0]
}
