package degraded

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// Flags of the groups, fanotify_init(2). Neither ever keeps anybody waiting: that is what FAN_CLASS_NOTIF means. The descriptors of
// the plain group are opened so that a FIFO does not block the reader.
const (
	groupFlags      = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK
	descriptorFlags = unix.O_RDONLY | unix.O_LARGEFILE | unix.O_CLOEXEC | unix.O_NONBLOCK
	moves           = unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO
	plainMask       = unix.FAN_CLOSE_WRITE | unix.FAN_OPEN_EXEC
)

// namedGroup is a way to be told directories and names.
type namedGroup struct {
	flags  uint
	rename uint64 // what tells renames
}

// namedGroups are all of them, best first.
var namedGroups = []namedGroup{
	{unix.FAN_REPORT_DIR_FID | unix.FAN_REPORT_NAME | unix.FAN_REPORT_FID | unix.FAN_REPORT_TARGET_FID, unix.FAN_RENAME}, // Linux 5.17
	{unix.FAN_REPORT_DIR_FID | unix.FAN_REPORT_NAME | unix.FAN_REPORT_FID, moves},                                        // Linux 5.9
}

// files are the groups and what they are told to watch. Its methods are called under the source's lock.
type files struct {
	named     int // reports names; -1 where the kernel has no such group
	plain     int // opens a descriptor for each event, and knows less; -1 until a file system needs it
	mountinfo int
	rename    uint64
	openExec  bool
	kinds     monitor.Kinds
	systems   []*filesystem
	byFSID    atomic.Pointer[map[[fsidSize]byte]*filesystem] // of those that are watched by name, for the reader
	mountErr  error
	plainFD   atomic.Int32 // plain, for the reader
	view      mountView
	mountMark bool // only mounts are marked, as before Linux 4.20

	queueEvents uint64 // for how many there is room
}

// filesystem is one that is mounted.
type filesystem struct {
	device uint64
	kind   string
	fsid   [fsidSize]byte
	points []string // where, best first
	root   string   // below which this process finds them
	how    coverage
	err    error // why it is watched no better
}

// names reports whether there is a group that reports names.
func (f *files) names() bool { return f.named >= 0 }

// queue is how much waits, and for how much there is room. The kernel counts records, whatever their size, and tells their number in
// bytes of their heads: FIONREAD, fanotify_ioctl.
func (f *files) queue() (waiting, size uint64) {
	group := f.named
	if group < 0 {
		group = int(f.plainFD.Load())
	}
	n, err := unix.IoctlGetInt(group, unix.SIOCINQ)
	if err != nil {
		return 0, 0
	}
	return uint64(n), f.queueEvents * fanotifyHead
}

// coverage is how a file system is watched.
type coverage uint8

const (
	uncovered    coverage = iota
	byMount               // writes and execs, by the mounts of the host's mount namespace
	byDescriptor          // writes and execs
	byName                // all that fanotify tells
)

var errRemote = errors.New("it is of a kind that is not watched, since whoever serves it may not answer")

func openFiles(o options) (*files, error) {
	f := &files{mountMark: o.mountMark, named: -1, plain: -1, mountinfo: -1, openExec: true, view: o.mounts, queueEvents: queueEvents()}
	f.plainFD.Store(-1)
	var err error
	for _, g := range o.groups {
		if f.named, err = unix.FanotifyInit(groupFlags|g.flags, unix.O_RDONLY); err == nil {
			f.rename = g.rename
			break
		}
		f.named = -1
	}
	if f.named < 0 {
		if err := f.openPlain(); err != nil {
			return nil, err
		}
	}
	if err := f.mayMark(); err != nil {
		f.close()
		return nil, err
	}
	if f.mountinfo, err = unix.Open(f.view.table, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		f.close()
		return nil, fmt.Errorf("open %s: %w", f.view.table, err)
	}
	return f, nil
}

// mayMark tries whether file systems may be watched: since Linux 5.13 anybody may have a group, but not for that.
func (f *files) mayMark() error {
	group := max(f.named, f.plain)
	err := unix.FanotifyMark(group, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, unix.FAN_CLOSE_WRITE, unix.AT_FDCWD, "/")
	if err == unix.EPERM {
		return fmt.Errorf("fanotify_mark: %w", err)
	}
	_ = unix.FanotifyMark(group, unix.FAN_MARK_REMOVE|unix.FAN_MARK_FILESYSTEM, unix.FAN_CLOSE_WRITE, unix.AT_FDCWD, "/")
	return nil
}

func (f *files) openPlain() (err error) {
	if f.plain >= 0 {
		return nil
	}
	if f.plain, err = unix.FanotifyInit(groupFlags, descriptorFlags); err != nil {
		f.plain = -1
		return fmt.Errorf("fanotify_init: %w", err)
	}
	f.plainFD.Store(int32(f.plain))
	return nil
}

func (f *files) close() (err error) {
	for _, fd := range []int{f.named, f.plain, f.mountinfo} {
		if fd > 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	return err
}

// mask is what is to be told of the kinds.
func (f *files) mask(kinds monitor.Kinds, how coverage) (m uint64) {
	for k, bits := range map[monitor.Kind]uint64{
		monitor.FileCreate: unix.FAN_CREATE, monitor.FileLink: unix.FAN_CREATE, monitor.FileDelete: unix.FAN_DELETE,
		monitor.FileAttributes: unix.FAN_ATTRIB, monitor.FileWrite: unix.FAN_CLOSE_WRITE, monitor.Exec: unix.FAN_OPEN_EXEC,
	} {
		if kinds.Has(k) {
			m |= bits
		}
	}
	if !f.openExec {
		m &^= unix.FAN_OPEN_EXEC
	}
	switch {
	case how != byName:
		return m & plainMask
	case kinds&monitor.FileKinds != 0:
		// Renamed directories change the paths of all below them, whoever asks for renames.
		return m | f.rename | unix.FAN_ONDIR
	}
	return m
}

// set makes the marks tell of the kinds and of no others.
func (f *files) set(kinds monitor.Kinds) error {
	f.kinds = kinds
	return f.refresh()
}

// refresh reads what is mounted, and watches it. A mark that is set twice is one mark: so all are set, whatever was there before, since a
// file system that came in the place of another one looks the same.
func (f *files) refresh() error {
	text, err := readAll(f.mountinfo)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.view.table, err)
	}
	mounts, err := parseMountinfo(text)
	f.mountErr = err
	found := group(mounts)
	for _, s := range found {
		s.root = f.view.root
		f.cover(s)
	}
	byFSID := make(map[[fsidSize]byte]*filesystem)
	for _, s := range found {
		if s.how == byName {
			byFSID[s.fsid] = s
		}
	}
	f.systems = found
	f.byFSID.Store(&byFSID)
	return nil
}

// mountinfoMost bounds mountinfo, in bytes.
const mountinfoMost = 8 << 20

// readAll reads a file of proc(5) from its beginning, through a descriptor that is polled.
func readAll(fd int) (string, error) {
	var b []byte
	for buf := make([]byte, 64<<10); len(b) < mountinfoMost; {
		n, err := unix.Pread(fd, buf, int64(len(b)))
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return string(b), err
		}
		b = append(b, buf[:n]...)
	}
	return string(b), nil
}

// group finds the file systems, each with its mount points: those first that show all of it.
func group(mounts []mount) (systems []*filesystem) {
	slices.SortStableFunc(mounts, func(a, b mount) int { return cmp.Compare(len(a.root), len(b.root)) })
	by := map[uint64]*filesystem{}
	for _, m := range mounts {
		if careOf(m.kind) == pseudo {
			continue
		}
		s := by[m.device]
		if s == nil {
			s = &filesystem{device: m.device, kind: m.kind}
			by[m.device] = s
			systems = append(systems, s)
		}
		s.points = append(s.points, m.point)
	}
	return systems
}

// cover watches a file system as well as the kernel lets it be watched.
func (f *files) cover(s *filesystem) {
	if careOf(s.kind) == remote {
		s.err = errRemote
		return
	}
	s.err = errors.New("this kernel tells no names")
	for _, point := range s.points {
		if f.named < 0 {
			break
		}
		if s.err = f.coverByName(s, point); s.err == nil {
			s.how = byName
			return
		}
	}
	if careOf(s.kind) == devices || !slices.ContainsFunc(s.points, s.isAt) {
		return // what matters of devices is their names; what cannot be seen cannot be marked
	}
	if err := f.coverPlain(s); err != nil {
		s.err = errors.Join(s.err, err)
	}
}

func (f *files) coverByName(s *filesystem, point string) error {
	if !s.isAt(point) {
		return fmt.Errorf("%s: another mount lies over it", point)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.at(point), &st); err != nil {
		return fmt.Errorf("statfs %s: %w", point, err)
	}
	s.fsid = fsidOf(&st)
	mask := f.mask(f.kinds, byName)
	if careOf(s.kind) == devices {
		mask &^= plainMask
	}
	err := f.mark(f.named, unix.FAN_MARK_FILESYSTEM, mask, byName, s.at(point))
	if errors.Is(err, unix.EINVAL) && f.rename == unix.FAN_RENAME {
		f.rename = moves
		if mask&unix.FAN_RENAME != 0 {
			mask = mask&^unix.FAN_RENAME | moves
		}
		err = f.mark(f.named, unix.FAN_MARK_FILESYSTEM, mask, byName, s.at(point))
	}
	if err != nil || mask == 0 {
		return err
	}
	if err := decodable(s.at(point)); err != nil {
		_ = unix.FanotifyMark(f.named, unix.FAN_MARK_REMOVE|unix.FAN_MARK_FILESYSTEM, mask, unix.AT_FDCWD, s.at(point))
		return fmt.Errorf("%s: its files cannot be found by what fanotify calls them: %w", point, err)
	}
	return nil
}

// at is the path by which this process finds a mount point.
func (s *filesystem) at(point string) string { return s.root + point }

// isAt reports whether the file system is what is seen at a mount point. Of btrfs the files have other devices than the mounts.
func (s *filesystem) isAt(point string) bool {
	var st unix.Stat_t
	return s.kind == "btrfs" || unix.Stat(s.at(point), &st) == nil && uint64(st.Dev) == s.device
}

// coverPlain asks for descriptors: for the whole file system, else, before Linux 4.20, for each mount.
func (f *files) coverPlain(s *filesystem) error {
	mask := f.mask(f.kinds, byDescriptor)
	if mask == 0 && f.plain < 0 {
		s.how = byDescriptor
		return nil
	}
	if err := f.openPlain(); err != nil {
		return err
	}
	s.points = slices.DeleteFunc(s.points, func(point string) bool { return !s.isAt(point) })
	err := error(unix.EINVAL)
	if !f.mountMark {
		err = f.mark(f.plain, unix.FAN_MARK_FILESYSTEM, mask, byDescriptor, s.at(s.points[0]))
	}
	if !f.mountMark && errors.Is(err, unix.EINVAL) && f.openExec && mask&unix.FAN_OPEN_EXEC != 0 { // Linux 5.0 has it
		f.openExec = false
		return f.coverPlain(s)
	}
	if err == nil {
		s.how = byDescriptor
		return nil
	}
	for _, point := range s.points {
		if e := f.mark(f.plain, unix.FAN_MARK_MOUNT, mask, byDescriptor, s.at(point)); e == nil {
			s.how = byMount
		} else {
			err = e
		}
	}
	if s.how == byMount {
		return nil
	}
	return fmt.Errorf("fanotify_mark %s: %w", s.points[0], err)
}

// mark makes a mark tell of mask, and of nothing else that this kernel could tell. A mark that tells nothing goes away.
func (f *files) mark(group int, object uint, mask uint64, how coverage, point string) error {
	if mask != 0 {
		if err := unix.FanotifyMark(group, unix.FAN_MARK_ADD|object, mask, unix.AT_FDCWD, point); err != nil {
			return err
		}
	}
	rest := f.all(how) &^ mask
	if rest == 0 {
		return nil
	}
	err := unix.FanotifyMark(group, unix.FAN_MARK_REMOVE|object, rest, unix.AT_FDCWD, point)
	if err == unix.ENOENT { // there is none
		return nil
	}
	return err
}

// all is what can be told.
func (f *files) all(how coverage) uint64 {
	return f.mask(monitor.FileKinds|monitor.KindsOf(monitor.Exec), how)
}

// decodable tries whether a file can be found by its handle, as must be done to learn the path of a directory. Overlays without an index
// give handles that cannot; and a process without CAP_DAC_READ_SEARCH may not.
func decodable(point string) error {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, point, 0)
	if err != nil {
		return fmt.Errorf("name_to_handle_at: %w", err)
	}
	mount, err := unix.Open(point, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(mount)
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_by_handle_at: %w", err)
	}
	return unix.Close(fd)
}

func fsidOf(st *unix.Statfs_t) (id [fsidSize]byte) {
	binary.NativeEndian.PutUint32(id[:], uint32(st.Fsid.Val[0]))
	binary.NativeEndian.PutUint32(id[4:], uint32(st.Fsid.Val[1]))
	return id
}
