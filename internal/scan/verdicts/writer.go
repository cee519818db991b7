package verdicts

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// HasWriter reports whether somebody has a file open for writing, or has it mapped so: what is written through a mapping changes ctime at the first write
// after each write-back only, on tmpfs at the first of all, so that no identity tells of the others. Who opens it later has its ctime changed
// by whatever they write. f has to be open for reading alone.
//
// The kernel is asked for a read lease (fcntl(2), F_SETLEASE), which it gives nobody while there is a writer, and which is given back at once: whoever
// opens the file for writing in these microseconds waits for that. An error says that it cannot be told: EACCES that this process is neither the file's
// owner nor has CAP_LEASE, EINVAL that the file system, or fs.leases-enable of proc_sys_fs(5), knows no leases. On overlayfs a
// mapping is seen only as long as its descriptor is open, since it is one of the file in the upper layer (seen with Linux 6.18).
func HasWriter(f *os.File) (bool, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if _, failed = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); failed == nil {
			_, failed = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	}); err != nil {
		return false, err
	}
	switch {
	case errors.Is(failed, unix.EAGAIN):
		return true, nil
	case failed != nil:
		return false, &os.PathError{Op: "lease", Path: f.Name(), Err: failed}
	}
	return false, nil
}
