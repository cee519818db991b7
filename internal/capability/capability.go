// Package capability reads and sets what a thread may do of what root may, capabilities(7). It knows nothing of the product.
package capability

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sets are those of one thread; bit n is the capability of that number (unix.CAP_KILL is 5).
type Sets struct{ Effective, Permitted, Inheritable uint64 }

// Get reads those of the calling thread. The error is that of capget(2).
func Get() (Sets, error) {
	header, halves := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &halves[0]); err != nil {
		return Sets{}, fmt.Errorf("capget: %w", err)
	}
	join := func(low, high uint32) uint64 { return uint64(low) | uint64(high)<<32 }
	return Sets{
		join(halves[0].Effective, halves[1].Effective), join(halves[0].Permitted, halves[1].Permitted), join(halves[0].Inheritable, halves[1].Inheritable),
	}, nil
}

// Set gives them to the calling thread alone, whose goroutine has to stay on it (runtime.LockOSThread). The error is that of capset(2).
func (s Sets) Set() error {
	header, halves := s.halves()
	if err := unix.Capset(&header, &halves[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// SetAll gives them to all threads of the program. Programs with cgo cannot (syscall.AllThreadsSyscall).
func (s Sets) SetAll() error {
	header, halves := s.halves()
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&halves[0])), 0); errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// halves are the sets as the kernel takes them.
func (s Sets) halves() (unix.CapUserHeader, [2]unix.CapUserData) {
	half := func(shift uint) unix.CapUserData {
		return unix.CapUserData{Effective: uint32(s.Effective >> shift), Permitted: uint32(s.Permitted >> shift), Inheritable: uint32(s.Inheritable >> shift)}
	}
	return unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{half(0), half(32)}
}
