package connector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// What may happen to a name in a watched directory. Reading is not in it: the evaluation reads the same files.
const inotifyMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB | unix.IN_CLOSE_WRITE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// pathWatch watches paths by the directories that hold them, and so sees files that are replaced, directories whose mode changes,
// and paths that do not exist yet (by the nearest directory above that does); and those that another mount hides or shows.
type pathWatch struct {
	file    *os.File // inotify(7)
	changed func(what string)

	mu    sync.Mutex
	names map[int32]map[string]string // by watch: the names that matter, with the path that each stands for
	lies  map[string]lying            // at the paths, when they were followed
}

// watchPaths implements Config.Watch. Beside an error that is of mounts alone there is a function.
func watchPaths(ctx context.Context, changed func(what string)) (func([]string), error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify_init1: %w", err)
	}
	w := &pathWatch{file: os.NewFile(uintptr(fd), "inotify"), changed: changed, names: map[int32]map[string]string{}}
	context.AfterFunc(ctx, func() { w.file.Close() })
	go w.read()
	began, failed := make(chan struct{}), make(chan error, 1)
	go func() { failed <- watchMounts(ctx, func() { close(began) }, w.mounted) }()
	select {
	case <-began:
		return w.follow, nil
	case err := <-failed:
		return w.follow, err
	}
}

// follow replaces the paths that are watched. Adding a directory that is watched already costs nothing.
func (w *pathWatch) follow(paths []string) {
	wanted := map[string]map[string]string{}
	for _, path := range paths {
		dir, name := nearest(path)
		if wanted[dir] == nil {
			wanted[dir] = map[string]string{}
		}
		wanted[dir][name] = path
	}
	lie := lies(paths)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lies = lie
	old := w.names
	w.names = map[int32]map[string]string{}
	for dir, names := range wanted {
		wd, err := w.add(dir)
		switch {
		case err != nil:
		case w.names[wd] == nil:
			w.names[wd] = names
		default: // two paths lead to the directory, as to that of rpm's database
			maps.Copy(w.names[wd], names)
		}
	}
	for wd := range old {
		if w.names[wd] == nil {
			w.remove(wd)
		}
	}
}

// nearest is the nearest directory above path that exists, and the name in it that leads to path.
func nearest(path string) (dir, name string) {
	dir, name = filepath.Dir(path), filepath.Base(path)
	for dir != "/" {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir, name = filepath.Dir(dir), filepath.Base(dir)
	}
	return dir, name
}

func (w *pathWatch) add(dir string) (wd int32, err error) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var addErr error
	err = raw.Control(func(fd uintptr) { n, addErr = unix.InotifyAddWatch(int(fd), dir, inotifyMask) })
	return int32(n), errors.Join(err, addErr)
}

func (w *pathWatch) remove(wd int32) {
	if raw, err := w.file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.InotifyRmWatch(int(fd), uint32(wd)) })
	}
}

// read tells of changes until the file is closed.
func (w *pathWatch) read() {
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		if what := w.relevant(buf[:n]); what != "" {
			w.changed(what)
		}
	}
}

// relevant gives the first watched path that one of the events is about, "" if there is none. The kernel's records are
// inotify_event: wd, mask, cookie, len, name padded with NUL (inotify(7)).
func (w *pathWatch) relevant(b []byte) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if end > len(b) {
			return "malformed record of inotify"
		}
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		b = b[end:]
		if path := w.path(wd, mask, string(name)); path != "" {
			return path
		}
	}
	return ""
}

func (w *pathWatch) path(wd int32, mask uint32, name string) string {
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		return "more changes than could be told"
	case mask&unix.IN_IGNORED != 0:
		return ""
	case mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
		for _, path := range w.names[wd] {
			return path // any: all that it held is gone
		}
		return ""
	}
	return w.names[wd][name]
}
