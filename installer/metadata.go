package installer

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyMetadata gives to the mode, owner and extended attributes of from: the SELinux label and ACLs are such attributes. Those by
// which the kernel seals content (security.ima, security.evm) are not copied: the content is another.
func copyMetadata(to, from *os.File) error {
	fi, err := from.Stat()
	if err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	if err := to.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(to.Fd()), st.Mode&0o7777); err != nil {
		return &os.PathError{Op: "chmod", Path: to.Name(), Err: err}
	}
	names, err := attributes(from)
	for _, name := range names {
		err = errors.Join(err, copyAttribute(to, from, name))
	}
	return err
}

func attributes(f *os.File) ([]string, error) {
	size, err := unix.Flistxattr(int(f.Fd()), nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil, nil
	}
	buf := make([]byte, size)
	if err == nil {
		size, err = unix.Flistxattr(int(f.Fd()), buf)
	}
	if err != nil {
		return nil, fmt.Errorf("extended attributes of %s: %w", f.Name(), err)
	}
	return strings.FieldsFunc(string(buf[:size]), func(r rune) bool { return r == 0 }), nil
}

func copyAttribute(to, from *os.File, name string) error {
	if name == "security.ima" || name == "security.evm" {
		return nil
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Fgetxattr(int(from.Fd()), name, value)
	if err == nil {
		err = unix.Fsetxattr(int(to.Fd()), name, value[:n], 0)
	}
	if err != nil {
		return fmt.Errorf("extended attribute %s of %s: %w", name, from.Name(), err)
	}
	return nil
}

// writeLike makes a new file at path with the content b and the metadata of like, synced. What is at path is replaced.
func writeLike(path string, b []byte, like *os.File) (err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := copyMetadata(f, like); err != nil {
		return err
	}
	return f.Sync()
}
