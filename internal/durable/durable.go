// Package durable writes and removes small files so that they are whole after a crash or a power loss at any moment. It knows nothing of
// what stands in them.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// NewSuffix ends the name of a file that is being written and not yet in place. It is always the same, so that interrupted programs leave
// at most one of each file.
const NewSuffix = ".new"

// Points of Write, which tests kill a program at.
const (
	Written = "file-written" // under its other name, and on the disk
	Renamed = "file-renamed" // in place; the directory may not be on the disk yet
)

// Write puts b at path, with mode whatever the umask: after a crash at any moment either the former content is there or all of b, and b once
// it has returned. A link at path is replaced, not followed. reached, where it is not nil, is told of the points.
func Write(path string, b []byte, mode fs.FileMode, reached func(point string)) error {
	if reached == nil {
		reached = func(string) {}
	}
	tmp := path + NewSuffix
	if err := WriteNew(tmp, b, mode); err != nil {
		os.Remove(tmp)
		return err
	}
	reached(Written)
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	reached(Renamed)
	return SyncDirectory(filepath.Dir(path))
}

// WriteNew writes a file that takes no other's place: one that is there is removed first. Its name is on the disk only after SyncDirectory.
func WriteNew(path string, b []byte, mode fs.FileMode) error {
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

// MakeFolder makes a folder, and those above it, unless it is there. It gets the mode whatever the umask; one that is there stays as it is.
func MakeFolder(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		return os.MkdirAll(path, mode) // no error where it is there, and a folder
	}
	return os.Chmod(path, mode)
}

// Remove removes a file for good, and reports whether there was one.
func Remove(path string) (removed bool, err error) {
	// Looked for first: removing what is not there is EROFS on a read-only file system.
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, SyncDirectory(filepath.Dir(path))
}

// SyncDirectory makes renames and removals in a directory survive a power loss.
func SyncDirectory(dir string) error {
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
