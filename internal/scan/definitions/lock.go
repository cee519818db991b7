package definitions

import (
	"context"
	"errors"

	"github.com/ampconnector/amp/internal/filelock"
)

// ErrLocked is in the chain of the error of what changes the store when another program did not come to its end in time.
var ErrLocked = errors.New("another program is changing the definitions")

// LockedError says who holds the lock. It is an ErrLocked.
type LockedError struct{ *filelock.HeldError }

func (e *LockedError) Error() string { return ErrLocked.Error() + ": " + e.HeldError.Error() }

// Is makes it an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// lock makes those who change the store take turns, and then clears away what a killed one has left.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := s.makeDirectories(); err != nil {
		return nil, err
	}
	lock, err := filelock.Acquire(ctx, s.path(lockName), s.config.Program, s.config.Wait, s.config.Now())
	if held := (*filelock.HeldError)(nil); errors.As(err, &held) {
		return nil, errors.Join(ctx.Err(), &LockedError{held})
	}
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = lock.Release() } // the kernel takes it back whatever close(2) says
	if err := s.tidy(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
