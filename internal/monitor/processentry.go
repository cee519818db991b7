package monitor

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// entry is a process in the table.
type entry struct {
	process  Process
	executed time.Duration // its last exec on the boot clock, 0 if none was seen
	index    uint32        // in entries, + 1
	next     uint32        // in its bucket or among the free: index of an entry + 1
	inUse    bool
	chances  uint8 // how often the clock's hand passes it still
	pinned   bool  // being made: not to be forgotten now
	exited   bool
	unread   bool // proc(5) is still to be read: the budget was spent
	checks   uint8

	bytes     int    // of text and args, as the table has counted them
	text      []byte // all strings of process lie here
	args      []string
	ancestors [maxAncestors]Ancestor
}

// Sizes in bytes.
const (
	entrySize    = int(unsafe.Sizeof(entry{}))
	stringSize   = int(unsafe.Sizeof(""))
	largestReuse = 2 << 10 // what an entry keeps of its text for the next process
)

// versions numbers the states of all processes of all tables.
var versions atomic.Uint64

// find returns the entry of a process, or nil. Where one of the two starts was read from proc(5), which rounds down, and the other was not,
// the rounded ones are compared: no pid comes again within a tick.
func (t *Processes) find(id ProcessID) *entry {
	for i := *t.bucket(id.PID); i != 0; {
		e := t.entries[i-1]
		if e.process.PID == id.PID && sameStart(e.process.StartBoot, id.Start) {
			return e
		}
		i = e.next
	}
	return nil
}

func sameStart(a, b time.Duration) bool {
	return a == b || (a%clockTick == 0 || b%clockTick == 0) && a.Truncate(clockTick) == b.Truncate(clockTick)
}

// bucket is where the list of the processes with such pids begins. The factor spreads pids that follow each other (Knuth, 6.4).
func (t *Processes) bucket(pid uint32) *uint32 {
	return &t.buckets[pid*2654435761>>8&uint32(len(t.buckets)-1)]
}

// add makes an entry for a process that has none, in another's place if need be. It knows what s and x say, where there is an
// x. Their strings may lie in an entry that is forgotten for it. It is pinned until it is settled again.
func (t *Processes) add(s *Sight, x *Execution) *entry {
	for t.bytes > t.limits.Bytes && t.forget() {
	}
	e := t.vacant()
	t.unused = e.next
	// What it was before was cleared by drop. Field by field: a literal is made elsewhere first, and an entry is large.
	e.inUse, e.pinned, e.chances = true, true, livingChances
	e.executed, e.exited, e.unread, e.checks = 0, false, false, 0
	e.args = e.args[:0]
	p := &e.process
	p.PID, p.StartBoot, p.PPID, p.Parent = s.ID.PID, s.ID.Start, s.Parent.PID, s.ParentComm
	p.Start = t.limits.Wall(s.ID.Start)
	e.identify(s)
	b := t.bucket(s.ID.PID)
	e.next, *b = *b, e.index
	t.used++
	if x != nil {
		e.execute(x)
	}
	return e
}

// vacant is the first of the free entries, which there is one of then.
func (t *Processes) vacant() *entry {
	if t.unused == 0 && len(t.entries) < t.limits.Limit {
		e := &entry{index: uint32(len(t.entries) + 1)}
		t.entries = append(t.entries, e)
		t.bytes += entrySize
		t.unused = e.index
	}
	if t.unused == 0 {
		t.forget()
	}
	return t.entries[t.unused-1]
}

// The clock's hand passes a process so often after it was seen last. Those that have ended go first.
const (
	livingChances = 3
	endedChances  = 1
)

// see notes that an event came of the process.
func (e *entry) see() {
	e.chances = livingChances
	if e.exited {
		e.chances = endedChances
	}
}

// forget frees the next entry that has no chance left. It reports whether there was one to free.
func (t *Processes) forget() bool {
	for range (livingChances + 1) * len(t.entries) {
		t.hand = (t.hand + 1) % len(t.entries)
		e := t.entries[t.hand]
		switch {
		case !e.inUse || e.pinned:
		case e.chances > 0:
			e.chances--
		default:
			t.drop(e)
			return true
		}
	}
	return false
}

func (t *Processes) drop(e *entry) {
	for i := t.bucket(e.process.PID); *i != 0; i = &t.entries[*i-1].next {
		if *i == e.index {
			*i = e.next
			break
		}
	}
	if cap(e.text) > largestReuse || t.bytes > t.limits.Bytes {
		t.bytes -= e.bytes
		e.text, e.args, e.bytes = nil, nil, 0
	}
	e.process = Process{}
	e.ancestors = [maxAncestors]Ancestor{}
	e.inUse = false
	e.next, t.unused = t.unused, e.index
	t.used--
}

// differs reports whether an event says otherwise than the entry.
func (e *entry) differs(s *Sight) bool {
	p := &e.process
	return p.UID != s.UID || p.EUID != s.EUID || p.AUID != s.AUID || p.Cgroup != s.Cgroup && s.Cgroup != 0 || p.Comm != s.Comm && s.Comm != ""
}

// identify takes what each event says. The parent stays the one that made it: what takes orphans in says nothing of where they come from.
func (e *entry) identify(s *Sight) {
	p := &e.process
	p.UID, p.EUID, p.AUID = s.UID, s.EUID, s.AUID
	if s.Cgroup != 0 {
		p.Cgroup = s.Cgroup
	}
	if s.Comm != "" {
		p.Comm = s.Comm
	}
}

// copyImage takes what a process has in common with the parent that it was forked from.
func (e *entry) copyImage(parent *entry) {
	p, from := &e.process, &parent.process
	p.Exe, p.Directory, p.Label = from.Exe, from.Directory, from.Label
	e.setArgs(from.Args)
}

func (e *entry) execute(x *Execution) {
	e.process.Exe, e.process.Directory = x.Exe, x.Directory
	e.setArgs(x.Args)
}

// setArgs keeps the first of the arguments.
func (e *entry) setArgs(args []string) {
	e.args = e.args[:0]
	for left := maxArgsBytes; len(args) > 0 && len(e.args) < maxProcessArgs; args = args[1:] {
		if len(args[0]) > left {
			e.args = append(e.args, args[0][:left])
			break
		}
		e.args = append(e.args, args[0])
		left -= len(args[0]) + 1
		if left <= 0 {
			break
		}
	}
}

// descend makes parent the first of the ancestors, and its ancestors the next ones.
func (e *entry) descend(parent *entry) {
	p := &parent.process
	a := Ancestor{PID: p.PID, StartBoot: p.StartBoot, Exe: p.Exe.Path}
	if a.Exe == "" || len(a.Exe) > maxAncestorPath {
		a.Exe = p.Comm
	}
	e.ancestors[0] = a
	n := copy(e.ancestors[1:], p.Ancestors)
	e.process.Ancestors = e.ancestors[:1+n]
	e.process.PPID = p.PID
	if e.process.Parent == "" {
		e.process.Parent = p.Comm
	}
	if e.process.Parent == p.Comm {
		e.process.ancestry = p.version
	}
}

// settle brings the strings of an entry, wherever they lie, into its own memory, and says that it changed.
func (t *Processes) settle(e *entry) {
	p := &e.process
	if p.Args = nil; len(e.args) > 0 {
		p.Args = e.args
	}
	all := t.strings[:0]
	all = append(all, &p.Comm, &p.Parent, &p.Exe.Path, &p.Directory, &p.Container, &p.Label)
	for i := range p.Args {
		all = append(all, &p.Args[i])
	}
	for i := range p.Ancestors {
		all = append(all, &p.Ancestors[i].Exe)
	}
	t.strings, t.scratch = all, t.scratch[:0]
	for _, s := range all {
		if len(*s) > 0 {
			t.scratch = append(t.scratch, *s...)
		}
	}
	e.text = append(e.text[:0], t.scratch...) // append rounds up to what the allocator gives, so that cap is what is used
	at := e.text
	for _, s := range all {
		n := len(*s)
		*s, at = unsafe.String(unsafe.SliceData(at), n), at[n:]
	}
	p.version = versions.Add(1)
	e.pinned = false
	now := cap(e.text) + cap(e.args)*stringSize
	t.bytes += now - e.bytes
	e.bytes = now
}
