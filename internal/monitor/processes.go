package monitor

import (
	"cmp"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessID names a process for good: a pid comes again, a pid with the time when it was given does not.
type ProcessID struct {
	PID   uint32        // of the thread group, in the initial pid namespace
	Start time.Duration // when the process was made, on the kernel's boot clock (start_boottime of task_struct); 0 where it is not known
}

// Sight is what an event by itself says of the process that did it. Strings are copied where they are kept; they may lie in the table too.
type Sight struct {
	ID         ProcessID
	Parent     ProcessID
	UID        uint32
	EUID       uint32
	AUID       uint32
	Cgroup     uint64 // id in the unified hierarchy, 0 where there is none
	Comm       string // of the thread group's first thread; "" where it is not known
	ParentComm string
	Time       time.Duration // of the event, on the boot clock
}

// Execution is what an exec makes of a process.
type Execution struct {
	Exe       File     // the program: for a script its interpreter
	Args      []string // all that is known; the table keeps the first few hundred bytes
	Directory string   // the working directory
}

// ProcessesOptions are what NewProcesses takes. The zero value of a field means what stands behind it.
type ProcessesOptions struct {
	Limit int    // how many processes are remembered; 4096
	Bytes int    // of memory, at most, whatever the processes call themselves; 5 MiB
	Proc  string // where proc(5) is mounted; "/proc"
	Reads int    // processes whose data are read from proc(5) a second, and ten times as many in a burst; 200
	// Labels asks for the SELinux context, which costs a look into proc(5) at each exec. Without SELinux leave it off.
	Labels bool
	// Wall tells the wall clock's time of a time on the boot clock. By default the offset that the clocks had when the table was made.
	Wall func(time.Duration) time.Time
	// Boot is the boot clock. By default CLOCK_BOOTTIME.
	Boot func() time.Duration
}

// Defaults of ProcessesOptions.
const (
	processLimit = 4096
	processBytes = 5 << 20
	processReads = 200
	readBurst    = 10 // times Reads
	labelShare   = 5  // times Reads: a label alone is read faster
)

const (
	smallestTable   = 64 // entries: more than a lineage has
	maxAncestors    = 8
	maxProcessArgs  = 64
	maxArgsBytes    = 512
	maxAncestorPath = 512 // bytes; an ancestor whose path is longer is told by its comm
	// youth is the age up to which a process that was not seen to execute something is taken for one that still executes what its parent does.
	youth = 2 * time.Second
	// maxChecks is how often a process that calls itself otherwise is looked at again in its life.
	maxChecks = 4
)

// Processes is what is known of a host's processes. A source fills it with what its events say, and hands out its *Process as
// Event.Process: each stays good until the next call, its pointer too. What an event does not say comes from the parent, of which a
// process is a copy until it executes something, else from proc(5); what cannot be known stays empty.
//
// It never has more than its limits, forgets those that were not seen for longest, and reads proc(5) no more often than its budget
// allows. For one goroutine. A process that is known costs no allocation.
type Processes struct {
	limits  ProcessesOptions
	proc    procReader
	budget  budget
	labels  budget        // of relabel
	opened  time.Duration // processes made later were seen from their beginning
	cgroups containers

	buckets []uint32 // the first entry of each list, by pid: index + 1
	entries []*entry
	unused  uint32 // the first free entry: index + 1
	used    int
	hand    int // of the clock that chooses whom to forget
	bytes   int
	scratch []byte
	strings []*string // of settle
	seen    procData
}

// NewProcesses returns an empty table.
func NewProcesses(o ProcessesOptions) *Processes {
	o = o.withDefaults()
	t := &Processes{
		limits: o, opened: o.Boot(),
		proc:    procReader{root: o.Proc, labels: o.Labels, boot: o.Boot},
		budget:  budget{rate: o.Reads, burst: o.Reads * readBurst},
		labels:  budget{rate: o.Reads * labelShare, burst: o.Reads * readBurst},
		cgroups: containers{byID: make(map[uint64]string)},
	}
	size := 64
	for size < 2*o.Limit {
		size *= 2
	}
	t.buckets = make([]uint32, size)
	t.bytes = size*4 + o.Limit*8
	return t
}

func (o ProcessesOptions) withDefaults() ProcessesOptions {
	o.Bytes = cmp.Or(o.Bytes, processBytes)
	// Half of the memory is for what the entries hold.
	o.Limit = max(smallestTable, min(cmp.Or(o.Limit, processLimit), o.Bytes/2/entrySize))
	o.Proc = cmp.Or(o.Proc, "/proc")
	o.Reads = cmp.Or(o.Reads, processReads)
	if o.Boot == nil {
		o.Boot = bootClock
	}
	if o.Wall == nil {
		offset := time.Now().Add(-o.Boot())
		o.Wall = func(boot time.Duration) time.Time { return offset.Add(boot) }
	}
	return o
}

// bootClock is CLOCK_BOOTTIME.
func bootClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Of returns the process that an event is of. Where it is not known yet, it becomes so.
func (t *Processes) Of(s *Sight) *Process {
	e := t.find(s.ID)
	switch {
	case e == nil:
		e = t.newcomer(s)
	case e.process.StartBoot != s.ID.Start && e.process.StartBoot%clockTick == 0:
		t.refine(e, s)
	case e.differs(s):
		t.update(e, s)
	case e.unread && !e.exited:
		t.retry(e, s)
	}
	e.see()
	return &e.process
}

// newcomer makes the entry of a process that was not seen to execute anything. A young one is a copy of its parent. proc(5) is asked for the
// others, and not for the young, since it tells what a process is now: it may have executed something since the event.
func (t *Processes) newcomer(s *Sight) *entry {
	e := t.add(s, nil)
	parent := t.lineage(e, s.Parent, maxAncestors)
	copied := parent != nil && parent.process.Exe.Path != "" && s.ID.Start >= parent.executed && (s.Comm == "" || e.process.Comm == parent.process.Comm)
	young := s.ID.Start >= t.opened && s.Time-s.ID.Start < youth
	switch {
	case !(copied && young) && t.read(e, s):
	case copied:
		e.copyImage(parent)
		t.recontain(e, s, parent, "")
	case parent != nil:
		t.recontain(e, s, parent, "")
	}
	t.settle(e)
	return e
}

// update follows what an event says that is new. A process that calls itself otherwise may have executed something that was not told.
func (t *Processes) update(e *entry, s *Sight) {
	ran, cgroup := e.process.Comm, e.process.Cgroup
	e.identify(s)
	if cgroup != e.process.Cgroup {
		t.recontain(e, s, nil, ran)
	}
	old := s.Time-max(e.executed, e.process.StartBoot) > youth
	if ran != e.process.Comm && old && !e.exited && e.checks < maxChecks {
		e.checks++
		t.read(e, s)
	}
	t.settle(e)
}

// refine follows an event that tells more exactly than proc(5) when a process was made.
func (t *Processes) refine(e *entry, s *Sight) {
	e.process.StartBoot, e.process.Start = s.ID.Start, t.limits.Wall(s.ID.Start)
	t.update(e, s)
}

// retry reads what the budget did not allow to read before.
func (t *Processes) retry(e *entry, s *Sight) {
	if t.read(e, s) {
		t.settle(e)
	}
}

// read takes what proc(5) has of a process, and reports whether it has it still.
func (t *Processes) read(e *entry, s *Sight) bool {
	if e.unread = !t.budget.take(s.Time); e.unread || !t.proc.read(s.ID, &t.seen) {
		return false
	}
	t.take(e, &t.seen)
	return true
}

// take takes what was read of a process that has its ancestors already. Who it is the event knows better.
func (t *Processes) take(e *entry, d *procData) {
	p := &e.process
	if p.Exe.Path != "" && (p.Exe.Inode != d.exe.Inode || p.Exe.Device != d.exe.Device) {
		e.executed = max(e.executed, d.at)
	}
	p.Exe, p.Directory, p.Label = d.exe, d.directory, d.label
	e.setArgs(d.args)
	if d.cgroup.known {
		p.Container = d.cgroup.container
		t.cgroups.learn(p.Cgroup, &d.cgroup)
	}
}

// Exec tells that a process executes another file, and returns it as it is now.
func (t *Processes) Exec(s *Sight, x *Execution) *Process {
	e := t.find(s.ID)
	var parent *entry
	ran := ""
	if e == nil {
		e = t.add(s, x)
		parent = t.lineage(e, s.Parent, maxAncestors)
	} else {
		ran = e.process.Comm
		e.identify(s)
		e.execute(x)
	}
	e.executed, e.unread, e.exited, e.checks = s.Time, false, false, 0
	e.see()
	t.relabel(e, s)
	t.recontain(e, s, parent, ran)
	t.settle(e)
	return &e.process
}

// lineage finds the parent of e, if need be in proc(5), up to as many generations as there is room for, and sets the ancestors.
func (t *Processes) lineage(e *entry, id ProcessID, generations int) *entry {
	p := &e.process
	if id.PID == 0 {
		return nil
	}
	parent := t.find(id)
	if parent == nil && generations > 1 {
		t.settle(e) // its strings may lie where the parent's will
		e.pinned = true
		parent = t.readParent(id, p.StartBoot, generations-1)
	}
	if parent != nil {
		e.descend(parent)
		parent.see() // whoever starts others may do nothing else
		return parent
	}
	e.ancestors[0] = Ancestor{PID: id.PID, StartBoot: id.Start, Exe: p.Parent}
	p.Ancestors = e.ancestors[:1]
	return nil
}

// readParent makes the entry of a parent from proc(5). It must be older than its child: else the pid has been given anew.
func (t *Processes) readParent(id ProcessID, child time.Duration, generations int) *entry {
	if !t.budget.take(t.limits.Boot()) || !t.proc.read(id, &t.seen) {
		return nil
	}
	s := t.seen.sight()
	if s.ID.Start > child {
		return nil
	}
	if e := t.find(s.ID); e != nil {
		return e
	}
	if id.Start != 0 {
		s.ID = id // it is the finer one
	}
	e := t.add(&s, nil)
	t.take(e, &t.seen)
	t.lineage(e, s.Parent, generations)
	t.settle(e)
	return e
}

// Exit tells that a process ended. It is remembered for a while all the same, since what it began may end later, but goes before others.
func (t *Processes) Exit(id ProcessID) {
	if e := t.find(id); e != nil {
		e.exited = true
		e.see()
	}
}

// Current returns the process that has the pid, as far as the table knows: the youngest that has not ended. It reads nothing, and nil
// is what it does not know.
func (t *Processes) Current(pid uint32) *Process {
	var found *entry
	for i := *t.bucket(pid); i != 0; i = t.entries[i-1].next {
		e := t.entries[i-1]
		if e.process.PID == pid && !e.exited && (found == nil || e.process.StartBoot > found.process.StartBoot) {
			found = e
		}
	}
	if found == nil {
		return nil
	}
	found.see()
	return &found.process
}

// Read takes all that is to be known of the process that has the pid now from proc(5), whatever the table knows. It is for sources whose
// events say no more than a pid. nil is a process that is gone, or a budget that is spent.
func (t *Processes) Read(pid uint32) *Process {
	if !t.budget.take(t.limits.Boot()) || !t.proc.read(ProcessID{PID: pid}, &t.seen) {
		return nil
	}
	s := t.seen.sight()
	e := t.find(s.ID)
	known := e != nil
	if !known {
		e = t.add(&s, nil)
	}
	e.identify(&s)
	t.take(e, &t.seen)
	e.unread, e.exited = false, false
	e.see()
	if !known {
		t.lineage(e, s.Parent, maxAncestors)
	}
	t.settle(e)
	return &e.process
}

// Len is the number of processes that are remembered.
func (t *Processes) Len() int { return t.used }

// Memory is about how many bytes the table has.
func (t *Processes) Memory() int { return t.bytes }

// relabel finds the SELinux context after an exec, which may have changed it.
func (t *Processes) relabel(e *entry, s *Sight) {
	e.process.Label = ""
	if t.limits.Labels && t.labels.take(s.Time) {
		e.process.Label = t.proc.label(s.ID)
	}
}
