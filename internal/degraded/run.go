package degraded

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// Bounds of one round of the reader.
const (
	readMost     = 256 << 10 // bytes of fanotify records that are read at once
	readsMost    = 16        // times that that is done before the other parts have their turn
	messagesMost = 1024      // messages of the process connector
)

const (
	// filesRest is how long the reader leaves fanotify alone after it had something. What it has waits meanwhile, the kernel merges what
	// repeats, and nobody is woken. The process connector is read at once all the same, since what it names may soon be gone.
	filesRest = 5 * time.Millisecond
	// mountsRest is the time between two looks at what is mounted: a host may mount a hundred file systems one after another.
	mountsRest = 200 * time.Millisecond
)

// reads is how many processes may be read from proc(5) a second: about a tenth of a core.
const reads = 1000

// run is one call of Run. All of it belongs to one goroutine.
type run struct {
	*source
	handle  func(*monitor.Event)
	self    uint32
	clocks  clocks
	filter  *monitor.Filter
	reduced bool // by ourselves, since a queue is nearly full
	table   *monitor.Processes
	event   monitor.Event
	unknown monitor.Process // of an event whose process nobody knows
	gone    uint32          // the pid that was not to be found in this round
	final   bool            // the last round
	behind  bool            // fanotify has more than was read

	messages []message // of the process connector
	early    []message // that were read before their time
	exits    []procEvent
	before   map[uint32]ids
	opened   rememberedExecs
	created  rememberedFiles
	dirs     *directories
	moved    movedFile
	buf      []byte // of fanotify records
	peeked   []byte // those in it that were read before their time
	telling  bool   // those in it are being told
	small    []byte // of a message
	paths    [2][unix.PathMax + 1]byte
	stat     unix.Statx_t
	id       [16]byte
	fd       int    // of the file at hand, or -1
	path     []byte // its path, ends with NUL
	looked   bool   // stat is the file's at hand

	filesDue  time.Duration // on the monotonic clock
	mountsDue time.Duration
	flowsDue  time.Duration
	flowing   bool
	sockets   flowTable
}

func newRun(s *source, handle func(*monitor.Event)) *run {
	r := &run{source: s, handle: handle, self: uint32(os.Getpid()), clocks: readClocks(), before: map[uint32]ids{}, small: make([]byte, 16<<10)}
	if s.files != nil {
		r.buf = make([]byte, readMost)
		r.dirs = newDirectories(s.files)
	}
	r.filter = s.filter.Load()
	r.forgetProcesses()
	return r
}

// forgetProcesses begins with an empty table: what was lost may have been the end of any process in it.
func (r *run) forgetProcesses() {
	r.table = monitor.NewProcesses(monitor.ProcessesOptions{Reads: reads, Labels: r.labels})
}

// Run implements monitor.Source. When ctx ends it still handles what had come until then.
func (s *source) Run(ctx context.Context, handle func(*monitor.Event)) error {
	if !s.begin() {
		return nil
	}
	defer s.end()
	defer context.AfterFunc(ctx, s.interrupt)()
	r := newRun(s, handle)
	for ctx.Err() == nil && !s.closing.Load() {
		ready, err := r.wait()
		if err != nil {
			return fmt.Errorf("wait for events: %w", err)
		}
		if err := r.round(ready); err != nil {
			return err
		}
	}
	if s.closing.Load() {
		return nil
	}
	r.final = true
	for range 3 { // what comes after that came after the end
		if err := r.round(ready{files: r.files != nil, processes: r.processes != nil, flows: r.flows != nil}); err != nil || len(r.early) == 0 {
			return err
		}
	}
	return nil
}

// ready says which parts have something.
type ready struct{ files, processes, flows, mounts bool }

// wait sleeps until a part has something, or until something is due.
func (r *run) wait() (ready, error) {
	now := readClocks().monotonic
	fds := append(make([]unix.PollFd, 0, 8), unix.PollFd{Fd: int32(r.wake), Events: unix.POLLIN})
	add := func(fd int, events int16) int {
		if fd < 0 {
			return 0
		}
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: events})
		return len(fds) - 1
	}
	due := now + time.Hour
	var named, plain, mounts, processes, flows int
	if r.files != nil {
		if r.filesDue > now {
			due = min(due, r.filesDue)
		} else {
			named, plain = add(r.files.named, unix.POLLIN), add(int(r.files.plainFD.Load()), unix.POLLIN)
		}
		if r.mountsDue > now {
			due = min(due, r.mountsDue)
		} else {
			mounts = add(r.files.mountinfo, unix.POLLPRI)
		}
	}
	if r.processes != nil {
		processes = add(r.processes.fd, unix.POLLIN)
	}
	if r.flows != nil {
		flows = add(r.flows.destroyed.fd, unix.POLLIN)
		if r.flowing {
			due = min(due, r.flowsDue)
		}
	}
	_, err := unix.Poll(fds, int(max(0, due-now+time.Millisecond-1)/time.Millisecond))
	if err != nil && err != unix.EINTR {
		return ready{}, err
	}
	if fds[0].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(r.wake, b[:]) // takes the count away; there is nothing in it
	}
	has := func(i int) bool { return i > 0 && fds[i].Revents != 0 }
	return ready{files: has(named) || has(plain), mounts: has(mounts), processes: has(processes), flows: has(flows)}, nil
}

// round reads what there is. Processes come first, since what is told of them may be gone the next moment; then files, since what
// processes executed is seen there; then what processes did, and their ends last.
func (r *run) round(ready ready) error {
	r.clocks, r.filter, r.gone = readClocks(), r.source.filter.Load(), 0
	if ready.processes {
		if err := r.readMessages(); err != nil {
			return fmt.Errorf("read the process connector: %w", err)
		}
	}
	if r.files != nil && (ready.files || ready.processes || r.clocks.monotonic >= r.filesDue && r.filesDue != 0) {
		if err := r.readFiles(); err != nil {
			return fmt.Errorf("read fanotify: %w", err)
		}
	} else {
		r.tellMessages()
	}
	r.tellExits()
	if ready.mounts {
		r.remount()
	}
	return r.roundOfFlows(ready.flows)
}

// remount watches what was mounted.
func (r *run) remount() {
	r.mountsDue = r.clocks.monotonic + mountsRest
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mountErr = r.files.refresh()
	r.dirs.clear()
}

// subject is the process that has a pid.
func (r *run) subject(pid uint32) *monitor.Process {
	if r.processes != nil {
		if p := r.table.Current(pid); p != nil {
			return p
		}
		if pid != 0 && pid != r.gone {
			r.catchUp()
			if p := r.table.Current(pid); p != nil {
				return p
			}
		}
	}
	if pid != 0 && pid != r.gone {
		if p := r.table.Read(pid); p != nil {
			return p
		}
		r.gone = pid
	}
	r.unknown = monitor.Process{PID: pid, UID: monitor.Unset, EUID: monitor.Unset, AUID: monitor.Unset}
	return &r.unknown
}

// deliver hands the event out, if it is to be. complete finds out what else there is to know of an event that is, and may find that it is none.
func (r *run) deliver(complete func(*run) bool) {
	e := &r.event
	if !r.filter.Kinds.Has(e.Kind) {
		return
	}
	v := r.filter.Judge(e, r.reduced || r.filter.Settings.Reduced)
	if v == monitor.Handle && complete != nil && !complete(r) {
		return
	}
	if e.Process.PID != 0 {
		r.activities.Add(e.Process, e.Kind)
	}
	r.tally.judged(e.Kind, v)
	if v == monitor.Handle {
		r.handle(e)
	}
}
