// Package wakeup waits for descriptors that the kernel makes readable when there is something to do, as rings of events.
package wakeup

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sleeper sleeps until a descriptor is readable, in the runtime's own poller. In a system call of its own, for 10 ms of each such sleep Go's monitor
// thread looks every 20 µs and more whether the thread is wanted elsewhere: that was a third of what the daemon cost.
type Sleeper struct {
	file   *os.File
	conn   syscall.RawConn
	ended  atomic.Bool // nobody wants to sleep any more
	woken  atomic.Bool // by Wake, and not known to the sleeper yet
	closed atomic.Bool
}

// New makes one for a descriptor, which is the sleeper's from then on, also where that is an error; one that cannot be polled is an error.
func New(fd int, name string) (*Sleeper, error) {
	if err := unix.SetNonblock(fd, true); err != nil { // else the runtime does not poll it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &Sleeper{file: os.NewFile(uintptr(fd), name)}
	var err error
	s.conn, err = s.file.SyscallConn()
	if err == nil {
		err = s.file.SetReadDeadline(time.Time{}) // an error where it cannot be polled
	}
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

// Sleep returns when the descriptor becomes readable, after the longest time, or at once where enough is there already. Asking for that comes after
// the poller has forgotten earlier wake-ups, so that none is lost.
func (s *Sleeper) Sleep(longest time.Duration, enough func() bool) error {
	err := s.file.SetReadDeadline(time.Now().Add(longest))
	if err != nil {
		return s.orClosed(err)
	}
	slept := false
	err = s.conn.Read(func(uintptr) bool {
		if slept || s.ended.Load() || s.woken.Load() || enough() {
			return true
		}
		slept = true
		return false
	})
	s.woken.Store(false)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return s.orClosed(err)
}

// orClosed is os.ErrClosed once Close was called: a RawConn, and a deadline, have an error of their own for that.
func (s *Sleeper) orClosed(err error) error {
	if s.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// Wake ends a sleep, or the next one if there is none now.
func (s *Sleeper) Wake() {
	s.woken.Store(true)
	s.endSleep()
}

// endSleep makes the poller end a sleep. Of a closed descriptor nobody sleeps.
func (s *Sleeper) endSleep() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

// End ends a sleep and all later ones, until Begin.
func (s *Sleeper) End() {
	s.ended.Store(true)
	s.endSleep()
}

// Begin lets sleeps be sleeps again.
func (s *Sleeper) Begin() { s.ended.Store(false) }

// Close ends all sleeps with os.ErrClosed, and waits until they have ended.
func (s *Sleeper) Close() error {
	s.closed.Store(true)
	return s.file.Close()
}
