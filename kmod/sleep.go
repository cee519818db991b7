package kmod

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/wakeup"
)

// newSleeper sleeps until a module wakes the reader of one of several rings, by an epoll(7) of their devices, which can itself be waited for.
func newSleeper(rings []*ring) (*wakeup.Sleeper, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	for _, r := range rings {
		err = errors.Join(err, r.control(func(of int) error {
			return os.NewSyscallError("epoll_ctl", unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, of, &unix.EpollEvent{Events: unix.EPOLLIN}))
		}))
	}
	if err != nil {
		return nil, errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
	}
	return wakeup.New(fd, "rings of events")
}
