package service

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DieOfSignals makes the process die of a fault as a program in C does, by the signal: the Go runtime would turn each into exit status 2,
// and the daemon, which shows people what a scan died of, could not tell. The price is that a nil pointer in our own code ends without a
// trace of calls.
func DieOfSignals() error {
	for _, s := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGABRT, unix.SIGFPE, unix.SIGILL} {
		var byDefault struct { // struct sigaction of the kernel: SIG_DFL, no flags, no mask
			handler, flags, restorer uintptr
			mask                     uint64
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&byDefault)), 0, unsafe.Sizeof(byDefault.mask), 0, 0)
		if errno != 0 {
			return fmt.Errorf("rt_sigaction %v: %w", s, errno)
		}
	}
	return nil
}
