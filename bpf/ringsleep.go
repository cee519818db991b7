package bpf

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ringSleep sleeps until the kernel wakes the reader of a ring, in the runtime's own poller. The ring's reader would sleep in a system call,
// and for 10 ms of each such sleep Go's monitor thread looks every 20 µs and more whether the thread is wanted elsewhere: that was a third of
// what the daemon cost.
type ringSleep struct {
	file  *os.File // the ring, in a descriptor of its own
	conn  syscall.RawConn
	ended atomic.Bool // nobody wants to sleep any more

	closed atomic.Bool
}

func newRingSleep(ring *ebpf.Map) (*ringSleep, error) {
	fd, err := unix.FcntlInt(uintptr(ring.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else the runtime does not poll it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &ringSleep{file: os.NewFile(uintptr(fd), "ring of events")}
	s.conn, err = s.file.SyscallConn()
	if err == nil {
		err = s.file.SetReadDeadline(time.Time{}) // an error where it cannot be polled
	}
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

// sleep returns when the kernel wakes the reader, after the longest time, or at once where enough is there already. Asking for that comes after
// the poller has forgotten earlier wake-ups, so that none is lost.
func (s *ringSleep) sleep(longest time.Duration, enough func() bool) error {
	err := s.file.SetReadDeadline(time.Now().Add(longest))
	if err != nil {
		return s.orClosed(err)
	}
	slept := false
	err = s.conn.Read(func(uintptr) bool {
		if slept || s.ended.Load() || enough() {
			return true
		}
		slept = true
		return false
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return s.orClosed(err)
}

// orClosed is os.ErrClosed once close was called: a RawConn, and a deadline, have an error of their own for that.
func (s *ringSleep) orClosed(err error) error {
	if s.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// end ends a sleep and all later ones, until begin.
func (s *ringSleep) end() {
	s.ended.Store(true)
	_ = s.file.SetReadDeadline(time.Unix(1, 0)) // of a closed one nobody sleeps
}

func (s *ringSleep) begin() { s.ended.Store(false) }

// close ends all sleeps with os.ErrClosed, and waits until they have ended.
func (s *ringSleep) close() error {
	s.closed.Store(true)
	return s.file.Close()
}
