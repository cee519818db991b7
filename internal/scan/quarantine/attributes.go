package quarantine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// describe reads what Restore puts back, from the descriptor.
func (e *Entry) describe(f *os.File) error {
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	e.Size, e.Mode, e.UID, e.GID = st.Size, uint32(st.Mode)&0o7777, st.Uid, st.Gid
	e.Device, e.Inode = uint64(st.Dev), st.Ino //nolint:unconvert // not 64 bits everywhere
	e.Accessed, e.Modified, e.Changed = momentOf(st.Atim), momentOf(st.Mtim), momentOf(st.Ctim)
	if st.Nlink > 1 {
		e.Names = uint64(st.Nlink) - 1 //nolint:unconvert // not 64 bits everywhere
	}
	e.Verity = verityOf(fd)
	var err error
	if e.Attributes, err = readAttributes(fd); err != nil {
		return &os.PathError{Op: "read the extended attributes of", Path: f.Name(), Err: err}
	}
	return nil
}

func momentOf(t unix.Timespec) Moment { return Moment{int64(t.Sec), int64(t.Nsec)} } //nolint:unconvert // not 64 bits everywhere

func (m Moment) timespec() unix.Timespec {
	return unix.Timespec{Sec: m.Seconds, Nsec: m.Nanoseconds}
}

// readAttributes reads all extended attributes: labels, capabilities, access control lists, and those of users.
func readAttributes(fd int) (all []Attribute, err error) {
	list, err := grow(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			continue // gone meanwhile; or listed by a file system that has no handler for it
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, Attribute{Text(name), value})
	}
	return all, checkAttributes(all)
}

// grow calls get with as much room as it says that it needs, as far as extended attributes go (XATTR_SIZE_MAX).
func grow(get func([]byte) (int, error)) ([]byte, error) {
	for range 8 {
		n, err := get(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		n, err = get(b)
		if errors.Is(err, unix.ERANGE) {
			continue // more has come meanwhile
		}
		return b[:max(n, 0)], err
	}
	return nil, unix.ERANGE
}

// apply gives a file what an entry has of it. What the file system, or the rights of this process, do not allow is returned in words: the content
// is there all the same. The owner comes first, since a change of it takes setuid and capabilities away.
func (e *Entry) apply(f *os.File) (missed []string, err error) {
	fd := int(f.Fd())
	if err := unix.Fchown(fd, int(e.UID), int(e.GID)); err != nil {
		return nil, &os.PathError{Op: "chown", Path: f.Name(), Err: err}
	}
	if err := unix.Fchmod(fd, e.Mode); err != nil {
		return nil, &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	for _, a := range e.Attributes {
		if err := unix.Fsetxattr(fd, string(a.Name), a.Value, 0); err != nil {
			missed = append(missed, fmt.Sprintf("extended attribute %.80q: %v", string(a.Name), err))
		}
	}
	if e.Verity != "" {
		missed = append(missed, "fs-verity, with the digest "+e.Verity)
	}
	times := [2]unix.Timespec{e.Accessed.timespec(), e.Modified.timespec()}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), times[:], 0); err != nil {
		return missed, &os.PathError{Op: "set the times of", Path: f.Name(), Err: err}
	}
	return missed, nil
}

// verityOf is the fs-verity digest of a file, "" where it has none. include/uapi/linux/fsverity.h, struct fsverity_digest.
func verityOf(fd int) string {
	var d struct {
		algorithm, size uint16
		digest          [64]byte
	}
	d.size = uint16(len(d.digest))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_MEASURE_VERITY, uintptr(unsafe.Pointer(&d))); errno != 0 || int(d.size) > len(d.digest) {
		return ""
	}
	name, ok := map[uint16]string{1: "sha256", 2: "sha512"}[d.algorithm]
	if !ok {
		name = fmt.Sprint(d.algorithm)
	}
	return fmt.Sprintf("%s:%x", name, d.digest[:d.size])
}

// Flags of ioctl_iflags(2).
const (
	appendOnly = 0x20
	immutable  = 0x10
)

// fixed says whether the flags of a file or a directory keep names from being changed.
func fixed(fd int) string {
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	switch {
	case err != nil:
		return ""
	case flags&immutable != 0:
		return "immutable (chattr +i)"
	case flags&appendOnly != 0:
		return "append-only (chattr +a)"
	}
	return ""
}
