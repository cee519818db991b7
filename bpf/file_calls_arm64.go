package bpf

import "golang.org/x/sys/unix"

// oldCalls are the names of calls that only older architectures have.
func oldCalls(string) string { return "" }

// fileCallNumbers are those of the calls that file_calls.c knows.
var fileCallNumbers = map[string]uint32{
	"openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2,
	"mkdirat": unix.SYS_MKDIRAT, "mknodat": unix.SYS_MKNODAT, "symlinkat": unix.SYS_SYMLINKAT,
	"renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2, "linkat": unix.SYS_LINKAT, "unlinkat": unix.SYS_UNLINKAT,
	"fchmod": unix.SYS_FCHMOD, "fchmodat": unix.SYS_FCHMODAT, "fchmodat2": unix.SYS_FCHMODAT2,
	"fchown": unix.SYS_FCHOWN, "fchownat": unix.SYS_FCHOWNAT,
	"mmap": unix.SYS_MMAP, "copy_file_range": unix.SYS_COPY_FILE_RANGE, "sendfile": unix.SYS_SENDFILE, "ioctl": unix.SYS_IOCTL,
	"close": unix.SYS_CLOSE, "dup3": unix.SYS_DUP3, "close_range": unix.SYS_CLOSE_RANGE,
}
