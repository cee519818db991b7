package service

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/capability"
	"github.com/ampconnector/amp/internal/scan"
)

// giveUpRights makes sure that there are none left. Of what the sandbox is said to be made of, it takes away what is not there, and adds
// what is. A service that has capabilities does not start: it was not started as it should be.
func giveUpRights(sandbox *scan.Sandbox) error {
	sets, err := capability.Get()
	if err != nil {
		return err
	}
	if held := sets.Permitted | sets.Inheritable; held != 0 { // that it has, or could pass on
		return fmt.Errorf("capget: capabilities %#x, none expected", held)
	}
	// The sandbox did this before; the filter of system calls cannot be without it.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
	}
	// Other processes of the user must not look into this one, nor change it.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err)
	}
	*sandbox &^= scan.SandboxUser
	groups, err := os.Getgroups()
	if err != nil {
		return fmt.Errorf("getgroups: %w", err)
	}
	if os.Getuid() != 0 && os.Getgid() != 0 && len(groups) == 0 {
		*sandbox |= scan.SandboxUser
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &limit); err != nil || limit.Cur == unix.RLIM_INFINITY {
		*sandbox &^= scan.SandboxMemory
	}
	return nil
}
