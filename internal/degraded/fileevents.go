package degraded

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// linkAge is the age from which a file whose name is new is not new itself.
const linkAge = 2 * time.Second

// readFiles reads what fanotify has, of both groups, and tells it.
func (r *run) readFiles() error {
	r.behind = false
	seen := false
	for _, fd := range [2]int{r.files.named, int(r.files.plainFD.Load())} {
		if fd < 0 {
			continue
		}
		some, err := r.readGroup(fd)
		if err != nil {
			return err
		}
		seen = seen || some
	}
	r.tellMessages()
	r.flushMoved()
	r.filesDue = 0
	if r.reduced && !r.behind {
		r.reduced = r.pressed()
	}
	if r.processes == nil {
		r.tellExecsOpened()
	} else if seen {
		r.filesDue = r.clocks.monotonic + filesRest
	}
	return nil
}

// readGroup reads a group until it has no more. The messages of processes are told as soon as it is known what they opened before.
func (r *run) readGroup(fd int) (some bool, err error) {
	for n := range readsMost {
		records, err := r.read(fd)
		if records == nil || err != nil {
			return some, err
		}
		some = true
		r.keep()
		r.tellMessages()
		r.telling = true
		r.tellRecords(records)
		r.telling = false
		if len(records) < len(r.buf)/2 {
			return some, nil // what comes now can wait for the next round
		}
		if n == readsMost/2 {
			r.reduced = r.pressed()
		}
	}
	r.behind = true
	return some, nil
}

// read reads records of a group, and notes what processes opened to execute it. nil is an empty queue.
func (r *run) read(fd int) ([]byte, error) {
	if fd == r.files.named && len(r.peeked) > 0 {
		records := r.peeked
		r.peeked = nil
		return records, nil
	}
	for {
		size, err := unix.Read(fd, r.buf)
		switch {
		case err == unix.EAGAIN:
			return nil, nil
		case err == unix.EINTR:
			continue
		case unreadable[err]:
			r.tally[0].damaged.Add(1)
			continue
		case err != nil:
			return nil, err
		}
		r.noteExecs(r.buf[:size])
		return r.buf[:size], nil
	}
}

// unreadable are errors of one event whose descriptor could not be made: the event is gone, and the next ones can be read.
var unreadable = map[error]bool{unix.EMFILE: true, unix.ENFILE: true, unix.EACCES: true, unix.ENXIO: true, unix.ETXTBSY: true, unix.EPERM: true}

// peek reads records before their time, for what processes opened to execute it. They are told when it is time.
func (r *run) peek() {
	if r.files == nil || r.files.named < 0 || r.telling || len(r.peeked) > 0 {
		return
	}
	r.peeked, _ = r.read(r.files.named) // an error comes again
}

// keep lets directories be remembered while their renames are told.
func (r *run) keep() {
	if keep := r.filter.Kinds&monitor.FileKinds != 0; keep != r.dirs.keep {
		r.dirs.keep = keep
		r.dirs.clear()
	}
}

// noteExecs notes what processes opened to execute it.
func (r *run) noteExecs(b []byte) {
	var rec fanotifyRecord
	for len(b) > 0 {
		n, err := rec.next(b)
		if n == 0 {
			return // it is told when the records are
		}
		b = b[n:]
		if err == nil && rec.mask&unix.FAN_OPEN_EXEC != 0 {
			if path := r.pathOf(&rec, rec.entry, 0); len(path) > 1 {
				r.opened.add(rec.pid, view(path[:len(path)-1]))
			}
		}
	}
}

func (r *run) tellRecords(b []byte) {
	var rec fanotifyRecord
	for len(b) > 0 {
		n, err := rec.next(b)
		if err != nil {
			r.tally[0].damaged.Add(1)
		}
		if n == 0 {
			break // where the next one begins is not known
		}
		b = b[n:]
		if err == nil {
			r.tellRecord(&rec)
		}
		if rec.fd >= 0 {
			unix.Close(int(rec.fd))
		}
	}
}

// The order in which the kernel's bits for one name are told. It merges events that follow each other and keeps no order.
var actions = [...]struct {
	bit  uint64
	tell func(*run, *fanotifyRecord)
}{
	{unix.FAN_CREATE, (*run).tellCreate},
	{unix.FAN_MOVED_TO, (*run).tellMovedTo},
	{unix.FAN_ATTRIB, (*run).tellAttributes},
	{unix.FAN_CLOSE_WRITE, (*run).tellWrite},
	{unix.FAN_MOVED_FROM, (*run).tellMovedFrom},
	{unix.FAN_RENAME, (*run).tellRename},
	{unix.FAN_DELETE, (*run).tellDelete},
}

// tellRecord tells the events that one record stands for.
func (r *run) tellRecord(rec *fanotifyRecord) {
	if rec.mask&unix.FAN_Q_OVERFLOW != 0 {
		r.overflow()
		return
	}
	if rec.mask&^(unix.FAN_OPEN_EXEC|unix.FAN_EVENT_ON_CHILD) == 0 {
		return // it is noted already
	}
	if rec.fd < 0 && !rec.entry.known() {
		return // something happened to the inode and not to a name: the number of its links
	}
	r.at(rec.fd, r.pathOf(rec, rec.entry, 0))
	if rec.mask&unix.FAN_ONDIR != 0 {
		r.followDirectory(rec)
	}
	if rec.pid == r.self {
		return
	}
	mask := rec.mask
	if both := uint64(unix.FAN_CREATE | unix.FAN_DELETE); mask&both == both && r.lookUp() {
		r.tellDelete(rec) // it is there: it was deleted first
		mask &^= unix.FAN_DELETE
	}
	for i := range actions {
		if mask&actions[i].bit != 0 {
			actions[i].tell(r, rec)
		}
	}
}

// overflow notes that the queue was full. How many events did not fit into it the kernel does not tell: at least one.
func (r *run) overflow() {
	r.tally[0].full.Add(1)
	r.dirs.clear() // a rename may be among them
	r.reduced = r.pressed()
}

// followDirectory keeps true what is remembered of directories.
func (r *run) followDirectory(rec *fanotifyRecord) {
	path := r.path[:len(r.path)-1]
	switch {
	case len(path) == 0 || path[0] != '/':
	case rec.mask&unix.FAN_RENAME != 0:
		target := r.pathOf(rec, rec.target, 1)
		r.dirs.moved(view(path), view(target[:len(target)-1]))
	case rec.mask&(moves|unix.FAN_DELETE) != 0:
		r.dirs.moved(view(path), "")
	case rec.mask&unix.FAN_CREATE != 0 && rec.file != nil:
		r.dirs.learn(rec.file, string(path))
	}
}

// pathOf puts a path together in one of the run's two rooms, with a NUL behind it. If its directory is not known it is the name alone.
func (r *run) pathOf(rec *fanotifyRecord, entry entryID, room int) []byte {
	path := r.paths[room][:0]
	if rec.fd >= 0 {
		path = append(path, r.dirs.buf[:r.dirs.readLink(int(rec.fd))]...)
		return append(path, 0)
	}
	if !entry.known() {
		return append(path, 0)
	}
	dir := r.dirs.path(entry.dir)
	self := len(entry.name) == 1 && entry.name[0] == '.'
	switch {
	case self:
		path = append(path, dir...)
	case dir == "" || len(dir)+1+len(entry.name) >= len(r.paths[room]):
		path = append(path, entry.name...)
	case dir == "/":
		path = append(append(path, '/'), entry.name...)
	default:
		path = append(append(append(path, dir...), '/'), entry.name...)
	}
	return append(path, 0)
}

// at makes a file the one at hand: by its descriptor, if there is one, and by its path, which ends with NUL.
func (r *run) at(fd int32, path []byte) {
	r.fd, r.path, r.looked = int(fd), path, false
	const deleted = " (deleted)"
	if n := len(path) - 1 - len(deleted); fd >= 0 && n > 0 && view(path[n:n+len(deleted)]) == deleted && r.lookUp() && r.stat.Nlink == 0 {
		path[n] = 0
		r.path = path[:n+1]
	}
}

// lookUp asks what the file at hand is now, once, and reports whether it is there.
func (r *run) lookUp() bool {
	if r.looked {
		return r.stat.Ino != 0
	}
	r.looked, r.stat = true, unix.Statx_t{}
	var err error
	switch {
	case r.fd >= 0:
		err = lookUpOpen(r.fd, &r.stat)
	case r.path[0] == '/':
		err = lookUp(r.path, &r.stat)
	}
	return err == nil && r.stat.Ino != 0
}

// file is the file at path, which ends with NUL, and no more is known of it.
func file(path []byte) monitor.File {
	p := view(path[:len(path)-1])
	return monitor.File{Path: p, Truncated: p == "" || p[0] != '/'}
}

// start begins an event of the file at hand.
func (r *run) start(k monitor.Kind, rec *fanotifyRecord) {
	r.event = monitor.Event{Kind: k, Time: r.clocks.wall, Process: r.subject(rec.pid), File: file(r.path)}
}

// identify sets what the file at hand is.
func (r *run) identify(f *monitor.File) bool {
	if !r.lookUp() {
		return false
	}
	f.Device, f.Inode = unix.Mkdev(r.stat.Dev_major, r.stat.Dev_minor), r.stat.Ino
	return true
}

// tellCreate tells a new name: of a new file, or of one that had a name before.
func (r *run) tellCreate(rec *fanotifyRecord) {
	r.start(monitor.FileCreate, rec)
	e := &r.event
	r.identify(&e.File)
	if rec.mask&unix.FAN_ONDIR == 0 {
		id := r.idOf(rec)
		first := r.created.find(id)
		switch {
		case first != "" && first != e.File.Path, first == "" && r.old():
			e.Kind, e.Target = monitor.FileLink, e.File
			e.File.Path, e.File.Truncated = first, false
		case len(id) > 0:
			r.created.add(id, e.File.Path)
		}
	}
	r.deliver(nil)
}

// idOf is by what the file at hand is remembered, nothing if it is gone and the kernel does not tell what it was.
func (r *run) idOf(rec *fanotifyRecord) []byte {
	if rec.file != nil {
		return rec.file
	}
	if !r.lookUp() || r.stat.Nlink < 2 && r.event.Kind != monitor.FileCreate {
		return nil
	}
	id := binary.NativeEndian.AppendUint64(r.id[:0], r.stat.Ino)
	return binary.NativeEndian.AppendUint64(id, unix.Mkdev(r.stat.Dev_major, r.stat.Dev_minor))
}

// old reports whether the file at hand, whose name is new, must have had a name before.
func (r *run) old() bool {
	if !r.lookUp() || r.stat.Nlink < 2 {
		return false
	}
	if r.stat.Mask&unix.STATX_BTIME == 0 {
		return true // the file system does not know when it was made
	}
	return r.clocks.wall.Sub(time.Unix(r.stat.Btime.Sec, int64(r.stat.Btime.Nsec))) > linkAge
}

func (r *run) tellAttributes(rec *fanotifyRecord) {
	r.start(monitor.FileAttributes, rec)
	r.deliver((*run).completeAttributes)
}

func (r *run) completeAttributes() bool {
	e := &r.event
	if r.identify(&e.File) {
		e.Mode, e.Owner, e.Group = uint32(r.stat.Mode), r.stat.Uid, r.stat.Gid
	}
	return true
}

func (r *run) tellWrite(rec *fanotifyRecord) {
	r.start(monitor.FileWrite, rec)
	r.deliver((*run).completeWrite)
}

// completeWrite leaves out what is no file: devices, pipes.
func (r *run) completeWrite() bool {
	f := &r.event.File
	if r.identify(f) {
		f.Size = r.stat.Size
		f.Changed = r.stat.Ctime.Sec*int64(time.Second) + int64(r.stat.Ctime.Nsec)
		return r.stat.Mode&unix.S_IFMT == unix.S_IFREG
	}
	return true
}

func (r *run) tellDelete(rec *fanotifyRecord) {
	r.start(monitor.FileDelete, rec)
	r.deliver(nil)
}

func (r *run) tellRename(rec *fanotifyRecord) {
	r.start(monitor.FileRename, rec)
	target := r.pathOf(rec, rec.target, 1)
	r.event.Target = file(target)
	r.at(-1, target)
	if rec.file != nil && r.created.find(rec.file) != "" {
		r.created.add(rec.file, r.event.Target.Path)
	}
	r.deliver((*run).completeRename)
	r.at(-1, r.paths[0][:len(r.event.File.Path)+1])
}

func (r *run) completeRename() bool {
	e := &r.event
	if r.identify(&e.Target) {
		e.File.Device, e.File.Inode = e.Target.Device, e.Target.Inode
	}
	return true
}

// movedFile is the old name of a file whose new name comes with the next event, before Linux 5.17.
type movedFile struct {
	pid   uint32 // 0: none
	fresh bool   // since the last flush
	path  []byte // ends with NUL
}

func (r *run) tellMovedFrom(rec *fanotifyRecord) {
	r.endMove()
	r.moved.pid, r.moved.fresh, r.moved.path = rec.pid, true, append(r.moved.path[:0], r.path...)
}

func (r *run) tellMovedTo(rec *fanotifyRecord) {
	if r.moved.pid != rec.pid {
		r.endMove()
	}
	r.start(monitor.FileRename, rec)
	e := &r.event
	e.Target, e.File = e.File, monitor.File{}
	if r.moved.pid != 0 {
		e.File = file(r.moved.path)
	}
	r.moved.pid = 0
	r.deliver((*run).completeRename)
}

// endMove tells a move whose new name did not come.
func (r *run) endMove() {
	if r.moved.pid == 0 {
		return
	}
	r.event = monitor.Event{Kind: monitor.FileRename, Time: r.clocks.wall, Process: r.subject(r.moved.pid), File: file(r.moved.path)}
	r.moved.pid = 0
	r.deliver(nil)
}

// flushMoved ends a move that has waited for a whole round.
func (r *run) flushMoved() {
	if !r.moved.fresh || r.final {
		r.endMove()
	}
	r.moved.fresh = false
}

// tellExecsOpened tells what was opened to be executed, where no process connector tells that it was.
func (r *run) tellExecsOpened() {
	for pid := r.opened.first(); pid != 0; pid = r.opened.first() {
		m := message{procEvent: procEvent{what: procExec, pid: pid, time: r.clocks.monotonic}}
		m.found = r.opened.has(pid, r.subject(pid).Exe.Path)
		r.tellExec(&m)
	}
}
