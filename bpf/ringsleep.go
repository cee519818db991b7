package bpf

import (
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/wakeup"
)

// newRingSleep sleeps until the kernel wakes the reader of a ring, by a descriptor of its own.
func newRingSleep(ring *ebpf.Map) (*wakeup.Sleeper, error) {
	fd, err := unix.FcntlInt(uintptr(ring.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return wakeup.New(fd, "ring of events")
}
