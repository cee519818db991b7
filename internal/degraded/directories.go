package degraded

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// directoriesMost bounds the directories whose paths are remembered. With paths of 60 bytes that is 1.5 MiB.
const directoriesMost = 8192

// directories finds the paths of directories by what fanotify calls them, and remembers them. What is remembered is as old as the last
// event that was read: a directory that is renamed is forgotten, with all below it, when its event is read. For one goroutine.
type directories struct {
	paths map[string]string
	open  func(fileID) string // asks the kernel; "" is a directory that is gone
	keep  bool                // renames are told, so that what is remembered can be kept true
	link  [64]byte
	buf   [unix.PathMax]byte
}

func newDirectories(f *files) *directories {
	d := &directories{paths: make(map[string]string)}
	d.open = func(id fileID) string { return d.ask(f, id) }
	return d
}

// path is the path of a directory, "" if it cannot be found any more.
func (d *directories) path(id fileID) string {
	if p, ok := d.paths[string(id)]; ok {
		return p
	}
	p := d.open(id)
	if p != "" {
		d.learn(id, p)
	}
	return p
}

// learn remembers a directory, in the place of others if need be.
func (d *directories) learn(id fileID, path string) {
	if !d.keep {
		return
	}
	if len(d.paths) >= directoriesMost {
		n := 0
		for k := range d.paths { // in no order
			delete(d.paths, k)
			if n++; n >= directoriesMost/8 {
				break
			}
		}
	}
	d.paths[string(id)] = path
}

// moved follows a directory that was at path, and all below it, to its new path, or forgets them where that is not known.
func (d *directories) moved(path, to string) {
	to = strings.Clone(to) // it may be a view
	for id, p := range d.paths {
		switch {
		case !strings.HasPrefix(p, path) || len(p) > len(path) && p[len(path)] != '/':
		case to == "" || to[0] != '/':
			delete(d.paths, id)
		default:
			d.paths[id] = to + p[len(path):]
		}
	}
}

func (d *directories) clear() { clear(d.paths) }

// ask opens the directory by its handle, below one of the file system's mount points. Nothing is kept open: that would keep the file
// system from being unmounted.
func (d *directories) ask(f *files, id fileID) string {
	systems := f.byFSID.Load()
	if systems == nil {
		return ""
	}
	s := (*systems)[id.fsid()]
	if s == nil {
		return ""
	}
	kind, b := id.handle()
	handle := unix.NewFileHandle(kind, b)
	for _, point := range s.points {
		if p, ok := d.below(s, point, handle); ok {
			return p
		}
	}
	return ""
}

// below is the path of what the handle means. ok is false where another mount lies over the mount point.
func (d *directories) below(s *filesystem, point string, handle unix.FileHandle) (path string, ok bool) {
	mount, err := unix.Open(s.at(point), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(mount)
	var st unix.Statfs_t
	if unix.Fstatfs(mount, &st) != nil || fsidOf(&st) != s.fsid {
		return "", false
	}
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return "", true
	}
	defer unix.Close(fd)
	return d.pathOf(fd), true
}

// pathOf is the path of an open file, "" if it has none any more.
func (d *directories) pathOf(fd int) string {
	n := d.readLink(fd)
	if n <= 0 || n == len(d.buf) {
		return ""
	}
	p := string(d.buf[:n])
	var st unix.Stat_t
	if strings.HasSuffix(p, " (deleted)") && unix.Fstat(fd, &st) == nil && st.Nlink == 0 {
		return ""
	}
	return p
}

// readLink reads the path of an open file into the buffer, and returns its length.
func (d *directories) readLink(fd int) int {
	link := append(d.link[:0], "/proc/self/fd/"...)
	link = append(strconv.AppendInt(link, int64(fd), 10), 0)
	n, err := readlink(link, d.buf[:])
	if err != nil {
		return 0
	}
	return n
}
