package bpf

import "golang.org/x/sys/unix"

// oldCalls are the names of calls that only older architectures have.
func oldCalls(names string) string { return names }

// fileCallNumbers are those of the calls that file_calls.c knows.
var fileCallNumbers = map[string]uint32{
	"open": unix.SYS_OPEN, "openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "creat": unix.SYS_CREAT,
	"mkdir": unix.SYS_MKDIR, "mkdirat": unix.SYS_MKDIRAT, "mknod": unix.SYS_MKNOD, "mknodat": unix.SYS_MKNODAT,
	"symlink": unix.SYS_SYMLINK, "symlinkat": unix.SYS_SYMLINKAT,
	"rename": unix.SYS_RENAME, "renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2,
	"link": unix.SYS_LINK, "linkat": unix.SYS_LINKAT,
	"unlink": unix.SYS_UNLINK, "rmdir": unix.SYS_RMDIR, "unlinkat": unix.SYS_UNLINKAT,
	"chmod": unix.SYS_CHMOD, "fchmod": unix.SYS_FCHMOD, "fchmodat": unix.SYS_FCHMODAT, "fchmodat2": unix.SYS_FCHMODAT2,
	"chown": unix.SYS_CHOWN, "lchown": unix.SYS_LCHOWN, "fchown": unix.SYS_FCHOWN, "fchownat": unix.SYS_FCHOWNAT,
	"mmap": unix.SYS_MMAP, "copy_file_range": unix.SYS_COPY_FILE_RANGE, "sendfile": unix.SYS_SENDFILE, "ioctl": unix.SYS_IOCTL,
	"close": unix.SYS_CLOSE, "dup2": unix.SYS_DUP2, "dup3": unix.SYS_DUP3, "close_range": unix.SYS_CLOSE_RANGE,
}
