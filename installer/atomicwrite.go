package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// newSuffix ends the name of a file that is being written and not yet in place.
const newSuffix = ".new"

// writeAtomic puts b at path so that after a crash at any moment either the former content is there or all of b, and b once it
// has returned. The name of the file in between is always the same, so that interrupted writes leave at most one.
func writeAtomic(path string, b []byte, mode fs.FileMode) error {
	tmp := path + newSuffix
	if err := writeSynced(tmp, b, mode); err != nil {
		os.Remove(tmp)
		return err
	}
	killpoint("atomic-written")
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	killpoint("atomic-renamed")
	return syncDirectory(filepath.Dir(path))
}

func writeSynced(path string, b []byte, mode fs.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// removeSynced removes a file for good, and reports whether there was one.
func removeSynced(path string) (removed bool, err error) {
	// Looked for first: removing what is not there is EROFS on a read-only file system.
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err := os.Remove(path); err != nil {
		return false, ignoreNotExist(err)
	}
	return true, syncDirectory(filepath.Dir(path))
}

// syncDirectory makes renames and removals in a directory survive a power loss.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // file systems without such a thing
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
