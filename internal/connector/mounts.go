package connector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mountPause is how long further mounts are awaited, so that a host that starts many containers costs little.
const mountPause = 200 * time.Millisecond

// watchMounts calls changed after something was mounted or unmounted in this process's view of the files, until ctx ends: inotify tells nothing of
// that. began is called as soon as all later mounts are told.
func watchMounts(ctx context.Context, began, changed func()) error {
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /proc/self/mountinfo: %w", err)
	}
	defer unix.Close(table)
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_, _ = unix.Write(end, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // that of a counter at 0 cannot fail
		close(ended)
	})
	defer func() {
		if !stop() {
			<-ended
		}
		unix.Close(end)
	}()
	began()
	// A poll tells of a change once (mounts_poll() in fs/proc_namespace.c); there is nothing to read.
	for fds := []unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}, {Fd: int32(table), Events: unix.POLLPRI}}; ; {
		_, err := unix.Poll(fds, -1)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("poll", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(mountPause):
			changed()
		}
	}
}

// lying is what lies at a path: the zero value where nothing does, or nothing that can be seen.
type lying struct{ device, inode uint64 }

func lyingAt(path string) lying {
	fi, err := os.Stat(path)
	if err != nil {
		return lying{}
	}
	st := fi.Sys().(*syscall.Stat_t)
	return lying{st.Dev, st.Ino}
}

// lies are what lies at each of the paths.
func lies(paths []string) map[string]lying {
	all := make(map[string]lying, len(paths))
	for _, path := range paths {
		all[path] = lyingAt(path)
	}
	return all
}

// mounted tells of a watched path where something else lies since it was looked at last, if there is one.
func (w *pathWatch) mounted() {
	w.mu.Lock()
	before := w.lies // never changed, only replaced
	w.mu.Unlock()
	for path, was := range before {
		if lyingAt(path) != was {
			w.changed(path)
			return // all are looked at anew after that
		}
	}
}
