package monitor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Follow calls line for each line of the log at path as it is written, without its newline, until ctx ends; it returns nil then. The
// bytes are good until line returns; an error of line ends it and is returned as it is. With fromStart the lines that are there come
// first (those of path.1 do not). It goes on over rotation and truncation, and waits for a file that does not exist yet; its
// directory must exist. Lines longer than MaxLine are left out.
func Follow(ctx context.Context, path string, fromStart bool, line func([]byte) error) error {
	f := follower{path: path, tail: tail{line: line}}
	defer f.tail.close()
	watch, err := watchDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer watch.Close()
	defer context.AfterFunc(ctx, func() { watch.SetReadDeadline(time.Unix(1, 0)) })()
	if err := f.start(fromStart); err != nil {
		return err
	}
	// What the events say does not matter: each look finds out by itself what changed, and so an overflow of the queue loses nothing.
	buf := make([]byte, 16<<10)
	for {
		if err := f.look(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if _, err := watch.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("watch %s: %w", filepath.Dir(path), err)
		}
	}
}

// watchDir tells of files of the directory that are written, come or go (inotify(7)).
func watchDir(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	const mask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "watch", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

type follower struct {
	path string
	tail tail
}

func (f *follower) start(fromStart bool) error {
	err := f.tail.open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !fromStart {
		err = f.tail.end()
	}
	return err
}

// look hands out what is new, over as many files as there are.
func (f *follower) look() error {
	for {
		next, ok, err := f.next()
		if err != nil {
			return err
		}
		// A file that was replaced is complete only now that it has been replaced.
		if f.tail.file != nil {
			if err := f.tail.read(); err != nil {
				return err
			}
		}
		if !ok {
			return nil
		}
		err = f.tail.open(next)
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved on meanwhile
		}
		if err != nil {
			return err
		}
	}
}

// next names the file that follows the open one, if one does: after one rotation that is path, after two path.1.
func (f *follower) next() (string, bool, error) {
	now, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if f.tail.file == nil {
		return f.path, true, nil
	}
	here, err := f.tail.file.Stat()
	if err != nil {
		return "", false, err
	}
	if os.SameFile(now, here) {
		return "", false, nil
	}
	before, err := os.Stat(rotated(f.path))
	if err == nil && !os.SameFile(before, here) && !before.ModTime().Before(here.ModTime()) {
		return rotated(f.path), true, nil
	}
	return f.path, true, nil
}
