package installer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// LockPath is the file that the lock is on, below the root. It stays when nobody holds the lock.
const LockPath = "/run/cisco-amp/lock"

// Holder is who holds the lock.
type Holder struct {
	Program string    `json:"program"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
}

// LockedError is the error of Acquire when the lock was not to be had in time. It is an ErrLocked.
type LockedError struct {
	Path   string
	Holder Holder // zero where the file does not tell
	Gone   bool   // the holder is dead, and a tool that it started still runs
	Waited time.Duration
}

func (e *LockedError) Error() string {
	who := "does not say who"
	if e.Holder.PID != 0 {
		who = fmt.Sprintf("held by %s, process %d, since %s", e.Holder.Program, e.Holder.PID, e.Holder.Since.Format(time.RFC3339))
	}
	if e.Gone {
		who += "; that process is gone, but a tool that it started still runs"
	}
	if e.Waited > 0 {
		who += fmt.Sprintf("; waited %s", e.Waited)
	}
	return fmt.Sprintf("%s: %v: %s", ErrLocked, e.Path, who)
}

// Is makes it an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Lock is the right to change the host, held by one program at a time.
type Lock struct {
	host *Host
	file *os.File
}

// Acquire takes the lock, waiting for at most wait while another program holds it; program is the name that others are shown.
// The lock ends with the process, however that ends: it is a flock(2), not a file that could be left over. A dry run needs none.
func Acquire(ctx context.Context, h *Host, program string, wait time.Duration) (*Lock, error) {
	path, err := h.Root.Path(LockPath)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	deadline, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		f, err := lockFile(deadline, path, wait)
		if err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		if !isAt(f, path) { // whoever held it removed the file, and others may hold the new one
			f.Close()
			continue
		}
		if err := writeHolder(f, Holder{program, os.Getpid(), h.Now().UTC().Truncate(time.Second)}); err != nil {
			f.Close()
			return nil, err
		}
		h.lock = &Lock{h, f}
		return h.lock, nil
	}
}

// Release gives the lock back.
func (l *Lock) Release() error {
	if l.host.lock == l {
		l.host.lock = nil
	}
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// lockFile opens path and locks it.
func lockFile(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return waitForLock(ctx, f, wait)
}

// waitForLock lets the kernel wait, in a thread of its own. If the time is over first, that thread gives the lock back as soon
// as it gets it, so that nobody is kept waiting by someone who has left.
func waitForLock(ctx context.Context, f *os.File, wait time.Duration) (*os.File, error) {
	locked := make(chan error, 1)
	go func() { locked <- flockBlocking(f) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		return f, nil
	case <-ctx.Done():
		err := lockedError(f, wait)
		go func() { <-locked; f.Close() }()
		return nil, err
	}
}

func flockBlocking(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func lockedError(f *os.File, wait time.Duration) error {
	e := &LockedError{Path: f.Name(), Waited: wait}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err == nil && json.Unmarshal(b, &e.Holder) == nil && e.Holder.PID > 0 {
		e.Gone = errors.Is(syscall.Kill(e.Holder.PID, 0), syscall.ESRCH)
	}
	return e
}

func isAt(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(held, named)
}

func writeHolder(f *os.File, h Holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
}
