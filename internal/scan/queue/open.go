package queue

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// Why a file was not opened.
var (
	errGone      = errors.New("the file is not there any more")
	errReplaced  = errors.New("another file has its name")
	errIrregular = errors.New("not a regular file")
)

// handle is an O_PATH descriptor: a hold on a file that has not been opened. Whatever stands at the path, a device, a FIFO, a file with a lease,
// nothing happens to it.
type handle struct {
	fd   int
	stat unix.Stat_t
}

func (h *handle) close() { unix.Close(h.fd) }

// open opens the file of an event for reading. A path is a mere hint: the file has to have the event's device and inode.
func (it *item) open() (*os.File, error) {
	why := errGone
	for _, try := range it.ways() {
		h, err := try()
		if err != nil {
			continue
		}
		if !is(it.file(), h) {
			h.close()
			why = errReplaced
			continue
		}
		f, err := h.open(it.file().Path)
		h.close()
		return f, err
	}
	return nil, why
}

// ways are those to find the file, in the order in which they are likely to lead to it.
func (it *item) ways() (ways []func() (*handle, error)) {
	f, p := it.file(), it.occasion.process()
	for _, path := range it.paths() {
		outside := func() (*handle, error) { return hold(unix.AT_FDCWD, path, it.follow(), unix.RESOLVE_NO_MAGICLINKS) }
		inside := func() (*handle, error) { return it.holdInside(path) }
		switch {
		case p == nil:
			ways = append(ways, outside)
		case p.Container == "":
			ways = append(ways, outside, inside)
		case f.Inode == 0: // what has this path outside is another file
			ways = append(ways, inside)
		default:
			ways = append(ways, inside, outside)
		}
	}
	ways = append(ways, it.relatives()...)
	if it.occasion.kind == monitor.Exec && p != nil && f.Inode != 0 { // also where it was deleted, and a memfd
		ways = append(ways, func() (*handle, error) { return holdExecuted(p.PID) })
	}
	return ways
}

// maxRelatives is how many ancestors' views of the file system are tried.
const maxRelatives = 4

// relatives are ways through the roots of the processes above: one that writes a file in a container, such as cp(1), has ended by the time
// that somebody looks, but the one that started it sees the same. Only where the inode tells whether it is the file.
func (it *item) relatives() (ways []func() (*handle, error)) {
	p := it.occasion.process()
	if p == nil || it.file().Inode == 0 {
		return nil
	}
	for _, a := range p.Ancestors[:min(len(p.Ancestors), maxRelatives)] {
		if a.PID <= 1 { // its view is that of whoever looks, and has been tried
			break
		}
		for _, path := range it.paths() {
			ways = append(ways, func() (*handle, error) { return holdBelow(fmt.Sprintf("/proc/%d/root", a.PID), path, it.follow()) })
		}
	}
	return ways
}

// paths are the names that the file may have. An executed one has the name that execve was given, and another one if that is a link.
func (it *item) paths() (paths []string) {
	f, names := it.file(), [2]*monitor.File{it.file()}
	if p := it.occasion.process(); it.occasion.kind == monitor.Exec && p != nil && f.Inode != 0 && p.Exe.Inode == f.Inode {
		names = [2]*monitor.File{&p.Exe, f}
	}
	for i, n := range names {
		if n != nil && strings.HasPrefix(n.Path, "/") && !n.Truncated && (i == 0 || n.Path != names[0].Path) {
			paths = append(paths, n.Path)
		}
	}
	return paths
}

// follow is O_NOFOLLOW, unless the path is one that a process gave the kernel, which followed links.
func (it *item) follow() uint64 {
	if it.occasion.kind == monitor.Exec || it.file().Joined {
		return 0
	}
	return unix.O_NOFOLLOW
}

// holdInside gets hold of a path as the process sees it, from its own root. Where no inode tells whether that is the file, it has to be the
// process of the event, and not one that has its number by now.
func (it *item) holdInside(path string) (*handle, error) {
	p := it.occasion.process()
	if it.file().Inode == 0 {
		start, err := startOf(p.PID)
		if err != nil {
			return nil, err
		}
		if d := start - p.StartBoot; d < -startStep || d > startStep {
			return nil, errGone
		}
	}
	return holdBelow(fmt.Sprintf("/proc/%d/root", p.PID), path, it.follow())
}

// startStep is what proc(5) rounds the start of a process to, USER_HZ, and a little more.
const startStep = 20 * time.Millisecond

// startOf is when a process was made, on the boot clock: field 22 of proc_pid_stat(5), in hundredths of a second.
func startOf(pid uint32) (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // the name before may have anything in it
	const start = 22 - 3
	if len(fields) <= start {
		return 0, fmt.Errorf("%s: %d fields, expected more than %d", path, len(fields), start)
	}
	n, err := strconv.ParseInt(fields[start], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: start %q, expected a number", path, fields[start])
	}
	return time.Duration(n) * (time.Second / 100), nil
}

// withoutOpenat2 is set where the kernel lacks it, before 5.6.
var withoutOpenat2 atomic.Bool

// hold gets hold of a path. With O_NOFOLLOW in follow, of a symbolic link at its end, of which nothing is scanned.
func hold(dir int, path string, follow, resolve uint64) (*handle, error) {
	flags := unix.O_PATH | unix.O_CLOEXEC | follow
	fd, err := -1, error(unix.ENOSYS)
	if !withoutOpenat2.Load() {
		fd, err = unix.Openat2(dir, path, &unix.OpenHow{Flags: flags, Resolve: resolve})
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // EPERM: a seccomp(2) filter from before openat2
		if errors.Is(err, unix.ENOSYS) {
			withoutOpenat2.Store(true)
		}
		fd, err = unix.Openat(dir, path, int(flags), 0) // the file's identity is what is checked
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return newHandle(fd, path)
}

func newHandle(fd int, path string) (*handle, error) {
	h := &handle{fd: fd}
	if err := unix.Fstat(fd, &h.stat); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return h, nil
}

// holdBelow resolves a path as a process does whose root is another: symbolic links do not lead out of it.
func holdBelow(root, path string, follow uint64) (*handle, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	return hold(dir, strings.TrimLeft(path, "/"), follow, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}

// holdExecuted gets hold of what a process executes, through the magic link, which leads to files that have no name any more.
func holdExecuted(pid uint32) (*handle, error) {
	path := fmt.Sprintf("/proc/%d/exe", pid)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return newHandle(fd, path)
}

// is reports whether a handle is of the file that an event told of. The kernel's events have the device of the file system, stat(2) of
// btrfs one of the subvolume, and of overlayfs perhaps one of a layer: there the inode decides.
func is(f *monitor.File, h *handle) bool {
	switch {
	case f.Inode == 0:
		return true
	case f.Inode != h.stat.Ino:
		return false
	case f.Device == 0, f.Device == uint64(h.stat.Dev): //nolint:unconvert // not 64 bits everywhere
		return true
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(h.fd, &fs); err != nil {
		return false
	}
	return fs.Type == unix.BTRFS_SUPER_MAGIC || fs.Type == unix.OVERLAYFS_SUPER_MAGIC || uint32(fs.Type) == bcachefs //nolint:gosec // a magic number has 32 bits
}

const bcachefs = 0xca451a4e

// open opens a regular file for reading. O_NONBLOCK keeps a lease (fcntl(2)) from holding up whoever opens it; O_NOATIME is for the
// owner and root alone, and not for all files.
func (h *handle) open(name string) (*os.File, error) {
	if h.stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &os.PathError{Op: "open", Path: name, Err: errIrregular}
	}
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	path := fmt.Sprintf("/proc/self/fd/%d", h.fd)
	fd, err := unix.Open(path, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Open(path, flags, 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
