package installer

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/filelock"
)

// LockPath is the file that the lock is on, below the root. It stays when nobody holds the lock.
const LockPath = "/run/cisco-amp/lock"

// LockedError is the error of Acquire when the lock was not to be had in time. It is an ErrLocked.
type LockedError struct{ *filelock.HeldError }

func (e *LockedError) Error() string { return ErrLocked.Error() + ": " + e.HeldError.Error() }

// Is makes it an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Lock is the right to change the host, held by one program at a time.
type Lock struct {
	host *Host
	held *filelock.Lock
}

// Acquire takes the lock, waiting for at most wait while another program holds it; program is the name that others are shown.
// The lock ends with the process, however that ends. A dry run needs none.
func Acquire(ctx context.Context, h *Host, program string, wait time.Duration) (*Lock, error) {
	path, err := h.Root.Path(LockPath)
	if err != nil {
		return nil, err
	}
	if err := durable.MakeFolder(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	lock, err := filelock.Acquire(ctx, path, program, wait, h.Now())
	if held := (*filelock.HeldError)(nil); errors.As(err, &held) {
		return nil, errors.Join(ctx.Err(), &LockedError{held})
	}
	if err != nil {
		return nil, err
	}
	h.lock = &Lock{h, lock}
	return h.lock, nil
}

// Release gives the lock back.
func (l *Lock) Release() error {
	if l.host.lock == l {
		l.host.lock = nil
	}
	return l.held.Release()
}
