package definitions

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
)

// reached is called where tests kill the program. In a released one it does nothing.
var reached = func(string) {}

// makeDirectories makes those that the store needs. The scan user reads them, whatever the umask; who owns one that is there already, the admin has decided.
func (s *Store) makeDirectories() error {
	if err := os.MkdirAll(filepath.Dir(s.config.Dir), 0o755); err != nil {
		return err
	}
	for _, dir := range []string{s.config.Dir, s.sets(), s.IncomingDir(), s.path(rejectedName)} {
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// point makes a link name a set, by one rename.
func (s *Store) point(name, id string) error {
	if s.targetOrNone(name) == id {
		return nil
	}
	tmp := s.path(name + durable.NewSuffix)
	if err := os.Remove(tmp); err != nil && !isMissing(err) {
		return err
	}
	if err := os.Symlink(setsName+"/"+id, tmp); err != nil {
		return err
	}
	reached(name + "-linked")
	if err := os.Rename(tmp, s.path(name)); err != nil {
		return err
	}
	reached(name + "-renamed")
	return durable.SyncDirectory(s.config.Dir)
}

// renameLink makes one link's name the other's, which replaces it.
func (s *Store) renameLink(from, to string) error {
	if err := os.Rename(s.path(from), s.path(to)); err != nil {
		return err
	}
	reached(from + "-to-" + to)
	return durable.SyncDirectory(s.config.Dir)
}

// swapLinks exchanges current and previous in one step. Where the file system cannot, current comes first, and a program that is killed
// between the two leaves both names with the set that was asked for.
func (s *Store) swapLinks() error {
	current, err := s.target(currentName)
	if err != nil {
		return err
	}
	previous, err := s.target(previousName)
	if err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, s.path(currentName), unix.AT_FDCWD, s.path(previousName), unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.Join(s.point(currentName, previous), s.point(previousName, current))
	}
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: s.path(currentName), New: s.path(previousName), Err: err}
	}
	reached("links-exchanged")
	return durable.SyncDirectory(s.config.Dir)
}

// removeLink removes a link for good, if it is there.
func (s *Store) removeLink(name string) error {
	if err := os.Remove(s.path(name)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	reached(name + "-removed")
	return durable.SyncDirectory(s.config.Dir)
}
