// Package filelock makes programs take turns. A turn is a flock(2): the kernel ends it when its holder dies, and no file has to be cleared
// away. The file, which stays, says who holds it.
package filelock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Holder is who holds a lock.
type Holder struct {
	Program string    `json:"program"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
}

// maxHolder is how much of a lock's file is read, in bytes.
const maxHolder = 4 << 10

// HeldError is the error of Acquire when the lock was not to be had in time.
type HeldError struct {
	Path   string
	Holder Holder // zero where the file does not tell
	Gone   bool   // the holder is dead, and a tool that it started still runs
	Waited time.Duration
}

func (e *HeldError) Error() string {
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
	return e.Path + ": " + who
}

// Lock is one program's turn.
type Lock struct{ file *os.File }

// Acquire takes the lock on the file at path, which it makes, in a directory that is there. Its mode is 0600: whoever can open a file, to read it
// alone too, can lock it for as long as he likes. It waits for at most wait while another program holds it, and for this one the file then says program. Where there is no room for that, the lock is held all the same.
// Errors: HeldError, with that of ctx where it ended first, and those of open(2) and flock(2).
func Acquire(ctx context.Context, path, program string, wait time.Duration, now time.Time) (*Lock, error) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		f, err := lock(limited, path, wait)
		if err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		if !isAt(f, path) { // whoever held it removed the file, and others may hold the new one
			f.Close()
			continue
		}
		_ = writeHolder(f, Holder{program, os.Getpid(), now.UTC().Truncate(time.Second)})
		return &Lock{f}, nil
	}
}

// File is what the lock is on. A process that inherits it holds the lock too, until it ends.
func (l *Lock) File() *os.File { return l.file }

// Release gives the lock back.
func (l *Lock) Release() error {
	_ = l.file.Truncate(0) // a name that is left tells nothing wrong: who holds the lock writes his own
	return l.file.Close()
}

// lock opens path and locks it.
func lock(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil { // of one that was made with another mode
		f.Close()
		return nil, err
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	if wait <= 0 {
		defer f.Close()
		return nil, held(f, 0)
	}
	return waitFor(ctx, f, wait)
}

// waitFor lets the kernel wait, in a thread of its own. If the time is over first, that thread gives the lock back as soon
// as it gets it, so that nobody is kept waiting by someone who has left.
func waitFor(ctx context.Context, f *os.File, wait time.Duration) (*os.File, error) {
	locked := make(chan error, 1)
	go func() { locked <- flock(f, syscall.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		return f, nil
	case <-ctx.Done():
		err := held(f, wait)
		go func() { <-locked; f.Close() }()
		return nil, err
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func held(f *os.File, waited time.Duration) error {
	e := &HeldError{Path: f.Name(), Waited: waited}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxHolder))
	if err != nil || json.Unmarshal(b, &e.Holder) != nil || e.Holder.PID <= 0 {
		e.Holder = Holder{}
		return e
	}
	e.Gone = errors.Is(syscall.Kill(e.Holder.PID, 0), syscall.ESRCH)
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
