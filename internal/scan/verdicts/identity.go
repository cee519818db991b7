package verdicts

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Identity is a file with one content. Equal ones are the same bytes where Proves says so.
//
// The change cookie would say more, but statx(2) gives it to the kernel's own callers only (STATX_CHANGE_COOKIE is masked in fs/stat.c);
// user space has ctime, which nobody sets to a chosen value without setting the clock. The time of birth stands for the inode's
// generation: an inode number that is given again has another one.
//
// Of btrfs st_dev is a number of the subvolume that lasts until the next mount, of overlayfs that of the overlay or of a layer, and a copy
// up gives another ctime. In both, one number for another file would still need the same inode, size and times to the nanosecond, which only
// a snapshot of the same file has.
type Identity struct {
	Device     uint64 // st_dev
	Inode      uint64
	Size       uint64 // bytes
	Changed    int64  // ctime, ns since 1970
	Modified   int64  // mtime, likewise
	Born       int64  // btime, likewise; 0 where the file system has none
	Filesystem uint32 // f_type of statfs(2)
}

// Identify looks at an open regular file. Other kinds of files are an error.
func Identify(f *os.File) (Identity, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Identity{}, err
	}
	var st unix.Statx_t
	var fs unix.Statfs_t
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if failed = identify(int(fd), &st); failed == nil {
			failed = os.NewSyscallError("fstatfs", unix.Fstatfs(int(fd), &fs))
		}
	}); err != nil {
		return Identity{}, err
	}
	if failed != nil {
		return Identity{}, &os.PathError{Op: "identify", Path: f.Name(), Err: failed}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Identity{}, &os.PathError{Op: "identify", Path: f.Name(), Err: fmt.Errorf("mode %#o is not that of a regular file", st.Mode)}
	}
	return identityFrom(&st, uint32(fs.Type)), nil
}

func identityFrom(st *unix.Statx_t, filesystem uint32) Identity {
	if st.Mask&unix.STATX_BTIME == 0 {
		st.Btime = unix.StatxTimestamp{}
	}
	return Identity{
		Device: unix.Mkdev(st.Dev_major, st.Dev_minor), Inode: st.Ino, Size: st.Size,
		Changed: nanoseconds(st.Ctime), Modified: nanoseconds(st.Mtime), Born: nanoseconds(st.Btime), Filesystem: filesystem,
	}
}

// basic is what an identity is made of, beside the time of birth, which not all file systems have.
const basic = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_CTIME | unix.STATX_MTIME

// identify is statx(2), or fstat(2) on kernels before 4.11, EL7's for one, which have no time of birth to tell.
func identify(fd int, st *unix.Statx_t) error {
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, basic|unix.STATX_BTIME, st)
	if err == nil {
		if st.Mask&basic != basic {
			return fmt.Errorf("statx gave %#x, expected %#x", st.Mask&basic, basic)
		}
		return nil
	}
	if err != unix.ENOSYS && err != unix.EPERM { // EPERM: a seccomp(2) filter from before statx
		return os.NewSyscallError("statx", err)
	}
	var old unix.Stat_t
	if err := unix.Fstat(fd, &old); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	*st = unix.Statx_t{
		Mode: uint16(old.Mode), Ino: old.Ino, Size: uint64(old.Size), //nolint:gosec // st_mode has 16 bits
		Dev_major: unix.Major(uint64(old.Dev)), Dev_minor: unix.Minor(uint64(old.Dev)), //nolint:unconvert // not 64 bits everywhere
		Ctime: unix.StatxTimestamp{Sec: old.Ctim.Sec, Nsec: uint32(old.Ctim.Nsec)},
		Mtime: unix.StatxTimestamp{Sec: old.Mtim.Sec, Nsec: uint32(old.Mtim.Nsec)},
	}
	return nil
}

func nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*int64(time.Second) + int64(t.Nsec) }

// tick is more than the step in which a kernel's file times go on, which is at most 10 ms (HZ=100). Since 6.13 some file systems step in
// nanoseconds after each look (FS_MGTIME), but which do is not told.
const tick = 20 * time.Millisecond

// Proves reports whether a file that had this identity at a time, and has it again, has the same content. It has not where it was changed
// so shortly before that time that a further change would have had the same ctime, nor where something other than this kernel says what its times
// are: a server, or a program (FUSE). Whoever had the file open for writing at that time may have written on through a mapping: see HasWriter.
func (id Identity) Proves(at time.Time) bool {
	return provable[id.Filesystem] && at.UnixNano()-id.Changed > int64(tick)
}

// Local reports whether this kernel alone reads the file, so that no server and no program can keep a reader waiting.
func (id Identity) Local() bool { return provable[id.Filesystem] }

// provable are the file systems whose times this kernel alone sets, in steps of at most a tick; by the magic numbers of statfs(2).
// FAT is not among them, which steps in two seconds, nor is anything that has a server.
var provable = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.F2FS_SUPER_MAGIC: true, unix.SQUASHFS_MAGIC: true, unix.EROFS_SUPER_MAGIC_V1: true, unix.ISOFS_SUPER_MAGIC: true, unix.RAMFS_MAGIC: true,
	0x2fc12fc1: true, // ZFS
	0xca451a4e: true, // bcachefs
	0x3153464a: true, // JFS
	0x52654973: true, // reiserfs
}
