package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// becomeUser changes to the scan user, or stays root, and gives up all capabilities for good: those that there are, those that executing a
// program could bring, and that of being root. It speaks for this thread alone, which is the one that goes on.
func (s stage) becomeUser() error {
	if err := dropBound(); err != nil {
		return err
	}
	if err := s.changeIDs(); err != nil {
		return err
	}
	if s.asRoot { // others have lost the capability for this by the change, and need it not
		if err := unix.Prctl(unix.PR_SET_SECUREBITS, secureNoRoot|secureNoRootLocked, 0, 0, 0); err != nil {
			return fmt.Errorf("prctl PR_SET_SECUREBITS: %w", err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("prctl PR_CAP_AMBIENT: %w", err) // EINVAL: before Linux 4.3, where there are none
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
	}
	return nil
}

// securebits(7): uid 0 gains nothing when it executes a program, and nothing changes that.
const (
	secureNoRoot       = 1 << 0
	secureNoRootLocked = 1 << 1
)

// dropBound empties the set of what executing a program could bring. Without CAP_SETPCAP it stays as it is, which is of no consequence as
// long as no_new_privs holds.
func dropBound() error {
	for c := uintptr(0); ; c++ {
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		switch {
		case errors.Is(err, unix.EINVAL): // no such capability
			return nil
		case err != nil:
			return fmt.Errorf("prctl PR_CAPBSET_READ %d: %w", c, err)
		case in == 0:
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EPERM) {
			return nil
		} else if err != nil {
			return fmt.Errorf("prctl PR_CAPBSET_DROP %d: %w", c, err)
		}
	}
}

// changeIDs leaves all groups, and changes user and group of this thread; the functions of Go's library would change all.
func (s stage) changeIDs() error {
	var none uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, uintptr(unsafe.Pointer(&none)), 0); errno != 0 {
		return fmt.Errorf("setgroups: %w", errno)
	}
	user, group := uintptr(s.user), uintptr(s.group)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, group, group, group); errno != 0 {
		return fmt.Errorf("setresgid %d: %w", s.group, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, user, user, user); errno != 0 {
		return fmt.Errorf("setresuid %d: %w", s.user, errno)
	}
	return nil
}
