package definitions

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

// ErrLocked is in the chain of the error of what changes the store when another program did not come to its end in time.
var ErrLocked = errors.New("another program is changing the definitions")

// Holder is who holds the lock.
type Holder struct {
	Program string    `json:"program"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
}

// LockedError says who holds the lock. It is an ErrLocked.
type LockedError struct {
	Path   string
	Holder Holder // zero where the file does not tell
	Waited time.Duration
}

func (e *LockedError) Error() string {
	who := "does not say who"
	if e.Holder.PID != 0 {
		who = fmt.Sprintf("held by %s, process %d, since %s", e.Holder.Program, e.Holder.PID, e.Holder.Since.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s: %s: %s; waited %s", ErrLocked, e.Path, who, e.Waited)
}

// Is makes it an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// lock makes those who change the store take turns, and then clears away what a killed one has left. The kernel gives the lock back when its holder dies.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := s.makeDirectories(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path(lockName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := s.waitForLock(ctx, f); err != nil {
		return nil, err
	}
	unlock = func() {
		_ = f.Truncate(0) // a name that is left tells nothing wrong: who holds the lock writes his own
		f.Close()
	}
	// On a full disk the name of its holder may be missing; the lock is held all the same.
	_ = writeHolder(f, Holder{s.config.Program, os.Getpid(), s.config.Now().UTC().Truncate(time.Second)})
	if err := s.tidy(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// waitForLock lets the kernel wait, in a thread of its own, which gives the lock back should it come too late.
func (s *Store) waitForLock(ctx context.Context, f *os.File) error {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	timer := time.NewTimer(s.config.Wait)
	defer timer.Stop()
	locked := make(chan error, 1)
	go func() { locked <- flock(f, syscall.LOCK_EX) }()
	select {
	case err := <-locked:
		if err != nil {
			f.Close()
			return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	err = errors.Join(ctx.Err(), lockedError(f, s.config.Wait))
	go func() { <-locked; f.Close() }()
	return err
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func lockedError(f *os.File, waited time.Duration) error {
	e := &LockedError{Path: f.Name(), Waited: waited}
	if b, err := io.ReadAll(io.NewSectionReader(f, 0, 4096)); err == nil {
		if json.Unmarshal(b, &e.Holder) != nil {
			e.Holder = Holder{}
		}
	}
	return e
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
