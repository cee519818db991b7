package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrImmutable is in the chain of errors about a file that chattr(1) protects from changes.
var ErrImmutable = errors.New("immutable")

// Flags of FS_IOC_GETFLAGS (linux/fs.h), which chattr(1) sets.
const (
	immutableFlag  = 0x10
	appendOnlyFlag = 0x20
)

// writable reports why one of names cannot be replaced: a read-only file system, an immutable file or folder. Names that do not
// exist are passed over.
func writable(h *Host, names ...string) error {
	var errs []error
	for _, name := range names {
		path, err := h.Root.Path(name)
		if err == nil {
			err = replaceable(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			if errors.Is(err, syscall.EROFS) {
				break // the rest is the same
			}
		}
	}
	return errors.Join(errs...)
}

func replaceable(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("%s: the file system is mounted read-only: %w", path, syscall.EROFS)
	}
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil { // a file system without such flags
		return nil
	}
	switch {
	case flags&immutableFlag != 0:
		return fmt.Errorf("%s: %w, by chattr +i: somebody wants it to stay as it is; chattr -i %s lets it be changed", path, ErrImmutable, path)
	case flags&appendOnlyFlag != 0:
		return fmt.Errorf("%s: %w, by chattr +a: it can only grow; chattr -a %s lets it be changed", path, ErrImmutable, path)
	}
	return nil
}

// room reports that there is not enough of it to write a second copy of each of names, and a lock for each.
func room(h *Host, dir string, names ...string) error {
	path, err := h.Root.Path(dir)
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if st.Blocks == 0 { // a file system that does not count
		return nil
	}
	block := uint64(st.Bsize)
	need := uint64(0)
	for _, name := range names {
		if fi, err := h.Root.Stat(name); err == nil {
			need += (uint64(fi.Size())/block + 2) * block
		}
	}
	switch free := st.Bfree * block; { // root may use the reserved blocks
	case free < need:
		return fmt.Errorf("%s: the disk is full: %d bytes free, %d needed: %w", path, free, need, syscall.ENOSPC)
	case st.Files > 0 && st.Ffree < uint64(len(names)):
		return fmt.Errorf("%s: the file system has no free inodes: %w", path, syscall.ENOSPC)
	}
	return nil
}
