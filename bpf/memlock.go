package bpf

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// withMemlock calls create, and once more without a limit on locked memory where the first call was refused as kernels before 5.11
// refuse over the limit. Newer ones account to the memory cgroup and never need it. The limit counts when maps are made, so that it
// is put back at once.
func withMemlock(create func() error) error {
	err := create()
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOMEM) {
		return err
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
