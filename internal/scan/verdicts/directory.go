package verdicts

import (
	"os"

	"golang.org/x/sys/unix"
)

// Directory is an open directory whose files are identified by their names, without being opened.
type Directory struct {
	fd         int
	device     uint64
	filesystem uint32
}

// InDirectory looks at a directory, which stays the caller's and open as long as it is used.
func InDirectory(fd int) (Directory, error) {
	var st unix.Statx_t
	var fs unix.Statfs_t
	if err := identify(fd, &st); err != nil {
		return Directory{}, err
	}
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return Directory{}, os.NewSyscallError("fstatfs", err)
	}
	return Directory{fd, unix.Mkdev(st.Dev_major, st.Dev_minor), uint32(fs.Type)}, nil
}

// Identify looks at what stands at a name. False where that is no regular file, where it is on another device than the directory, so that the file
// system would have to be asked for, and where it cannot be told without opening it.
func (d *Directory) Identify(name string) (Identity, bool) {
	var st unix.Statx_t
	if err := unix.Statx(d.fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, basic|unix.STATX_BTIME, &st); err != nil || st.Mask&basic != basic {
		return Identity{}, false
	}
	id := identityFrom(&st, d.filesystem)
	return id, st.Mode&unix.S_IFMT == unix.S_IFREG && id.Device == d.device
}
