package bpf

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// execveat calls execveat(2) with AT_EMPTY_PATH; it returns only on an error, and panics with it.
func execveat(fd int, path *byte, argv, envv []*byte) {
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	panic(errno)
}
