package quarantine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/filelock"
)

// reached is called where tests kill the program. In a released one it does nothing.
var reached = func(string) {}

// Names in the store's directory: of an entry ID.json, ID.data and, while it is taken or given back, ID.taking or ID.restoring in addition.
const (
	entrySuffix   = ".json"
	dataSuffix    = ".data"
	takingSuffix  = ".taking"    // the entry to be; the file may still have its name
	restoreSuffix = ".restoring" // where the file is about to be put
	lockName      = "lock"
	allowedName   = "allowed.json"
)

func (s *Store) path(name string) string { return filepath.Join(s.Dir, name) }

// makeDirectory makes the store, and closes one that somebody has opened to others.
func (s *Store) makeDirectory() error {
	if err := os.MkdirAll(filepath.Dir(s.Dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.checkDirectory()
}

func (s *Store) checkDirectory() error {
	fd, err := unix.Open(s.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: s.Dir, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: s.Dir, Err: err}
	}
	if st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s: owner %d: expected %d; what is in there cannot be relied on", s.Dir, st.Uid, os.Geteuid())
	}
	if st.Mode&0o7777 != 0o700 {
		if err := unix.Fchmod(fd, 0o700); err != nil {
			return &os.PathError{Op: "chmod", Path: s.Dir, Err: err}
		}
	}
	return nil
}

// lock is acquire, and clears away what a killed program has left. What of that cannot be done now keeps nothing else from being done; Recover
// says it, and the next one tries again.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = s.acquire(ctx)
	if err == nil {
		_ = s.tidy()
	}
	return unlock, err
}

// acquire makes those who change the store take turns.
func (s *Store) acquire(ctx context.Context) (unlock func(), err error) {
	if err := s.makeDirectory(); err != nil {
		return nil, err
	}
	lock, err := filelock.Acquire(ctx, s.path(lockName), s.Program, orDefault(s.Wait, defaultWait), s.now())
	if held := (*filelock.HeldError)(nil); errors.As(err, &held) {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Release() }, nil // the kernel takes it back whatever close(2) says
}

// newID is a name that no entry has.
func (s *Store) newID() (string, error) {
	for range 100 {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		id := s.now().UTC().Format(idDate) + "-" + hex.EncodeToString(b[:])
		if taken, err := filepath.Glob(s.path(id + ".*")); err != nil || len(taken) == 0 {
			return id, err
		}
	}
	return "", fmt.Errorf("%s: no free name", s.Dir)
}

// writeJSON replaces a small file of the store: readers see the old or the new one, after a power loss too.
func (s *Store) writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) >= maxEntry {
		return fmt.Errorf("%s: %d bytes: expected at most %d", s.path(name), len(b), maxEntry)
	}
	return durable.Write(s.path(name), append(b, '\n'), 0o600, reached)
}

// create makes a file of the store that only root reads, in the place of what a killed program has left.
func (s *Store) create(name string) (*os.File, error) {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(s.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
}

// rename and remove last over a power loss.
func (s *Store) rename(from, to string) error {
	if err := os.Rename(s.path(from), s.path(to)); err != nil {
		return err
	}
	reached("renamed")
	return durable.SyncDirectory(s.Dir)
}

func (s *Store) remove(name string) error {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	reached("removed")
	return durable.SyncDirectory(s.Dir)
}

// read reads a small file of the store.
func (s *Store) read(name string) ([]byte, error) {
	f, err := os.OpenFile(s.path(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxEntry+1))
}

// entry reads the entry of an ID from one of its files.
func (s *Store) entry(id, suffix string) (Entry, error) {
	b, err := s.read(id + suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, fmt.Errorf("%w: %s", ErrNoEntry, id)
	}
	if err != nil {
		return Entry{}, err
	}
	e, err := ParseEntry(s.path(id+suffix), b)
	if err == nil && e.ID != id {
		err = fmt.Errorf("%s: id %s: expected that of its name", s.path(id+suffix), e.ID)
	}
	return e, err
}

// names are those of the store's files with a suffix, without it, that are IDs.
func (s *Store) names(suffix string) (ids []string, err error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok && isID(id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}
