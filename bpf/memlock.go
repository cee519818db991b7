package bpf

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/capability"
)

// withMemlock calls create, and once more without a limit on locked memory where the first call was refused as kernels before 5.11
// refuse over the limit. Newer ones account to the memory cgroup and never need it. The limit counts when maps are made, so that it
// is put back at once. A process that has no right to bpf(2) is told that, and not of a limit.
func withMemlock(create func() error) error {
	err := create()
	switch {
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOMEM):
		return err
	case errors.Is(err, unix.EPERM) && !mayUseBPF():
		return fmt.Errorf("%w: this process has neither CAP_BPF nor CAP_SYS_ADMIN", unix.EPERM)
	}
	var before unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before) != nil || before.Cur == unix.RLIM_INFINITY {
		return err
	}
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited) != nil {
		return fmt.Errorf("%w (locked memory is limited to %d bytes, and lifting that takes CAP_SYS_RESOURCE)", err, before.Cur)
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before)
	return create()
}

// mayUseBPF reports whether a capability that bpf(2) asks for is effective; true where that cannot be read. In a user namespace it may be without force.
func mayUseBPF() bool {
	held, err := capability.Get()
	return err != nil || held.Effective&(1<<unix.CAP_SYS_ADMIN|1<<unix.CAP_BPF) != 0
}
