package degraded

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that are made for each event take paths as bytes that end with NUL, since those of golang.org/x/sys/unix allocate a copy.

func readlink(path, buf []byte) (int, error) {
	at := unix.AT_FDCWD
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// What is asked of a file: as stat(2), and the time of birth, where the file system knows it.
const (
	lookUpFlags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	lookUpMask  = unix.STATX_BASIC_STATS | unix.STATX_BTIME
)

// lookUp asks for a file by its path, which ends with NUL.
func lookUp(path []byte, st *unix.Statx_t) error {
	at := unix.AT_FDCWD
	return statx(uintptr(at), &path[0], lookUpFlags, st)
}

// lookUpOpen asks for an open file.
func lookUpOpen(fd int, st *unix.Statx_t) error {
	var empty byte
	return statx(uintptr(fd), &empty, lookUpFlags|unix.AT_EMPTY_PATH, st)
}

func statx(dir uintptr, path *byte, flags uintptr, st *unix.Statx_t) error {
	_, _, errno := unix.Syscall6(unix.SYS_STATX, dir, uintptr(unsafe.Pointer(path)), flags, lookUpMask, uintptr(unsafe.Pointer(st)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// view is the string that lies in b, without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
