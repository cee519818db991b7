package definitions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Config is what a store is opened with.
type Config struct {
	Dir     string // Dir of this package, except in tests
	BuiltIn string // BuiltInDir
	Program string // that others are shown as the holder of the lock
	Prove   Prove  // nil: nothing can be tried, so nothing new goes live

	Unsigned bool   // the policy allows definitions without a signature
	Level    uint32 // functionality level of the engine (cl_retflevel); 0: not known
	FIPS     bool   // the host is in FIPS mode

	Wait time.Duration // for another program that changes the store; 0: a minute
	Now  func() time.Time
}

// Store is the definitions of a host. Its methods may be called side by side, and by several programs; those that change something take turns.
type Store struct {
	config Config
}

// Open returns the store of a host. It reads and makes nothing yet.
func Open(c Config) *Store {
	if c.Wait == 0 {
		c.Wait = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{config: c}
}

// Names below the store's directory.
const (
	currentName  = "current"
	previousName = "previous"
	setsName     = "sets"
	incomingName = "incoming"
	rejectedName = "rejected"
	stagingName  = "staging"
	seenName     = "seen.json"
	lockName     = "lock"
)

func (s *Store) path(name string) string { return filepath.Join(s.config.Dir, name) }
func (s *Store) sets() string            { return s.path(setsName) }

// IncomingDir is the directory for updaters to fill.
func (s *Store) IncomingDir() string { return s.path(incomingName) }

// Current returns the set that is live, by its name alone: whether it is whole, Start finds out. Where no set has been taken in, that is the built-in one.
// It needs no lock: a set that was live a moment ago stays until the next one has gone live.
func (s *Store) Current() (Set, error) {
	set, err := s.named(currentName)
	if isMissing(err) {
		if _, lerr := os.Lstat(s.path(currentName)); isMissing(lerr) {
			return s.builtIn()
		}
	}
	return set, err
}

// Previous returns the set that was live before; an error that is fs.ErrNotExist means that there is none, and that the built-in set was.
func (s *Store) Previous() (Set, error) { return s.named(previousName) }

// named returns the set that a link names.
func (s *Store) named(name string) (Set, error) {
	id, err := s.target(name)
	if err != nil {
		return Set{}, err
	}
	set, err := s.readSet(id)
	if err != nil {
		return Set{}, fmt.Errorf("%s: %w", s.path(name), err)
	}
	return set, nil
}

// target is the ID that a link names; fs.ErrNotExist where there is no link.
func (s *Store) target(name string) (string, error) {
	to, err := os.Readlink(s.path(name))
	if errors.Is(err, syscall.ENOTDIR) {
		err = os.ErrNotExist
	}
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(to, setsName+"/")
	if !ok || !isID(id) {
		return "", fmt.Errorf("%s: link to %.80q: expected one to %s/ID", s.path(name), to, setsName)
	}
	return id, nil
}

// targetOrNone is the ID that a link names, "" where there is none that can be used.
func (s *Store) targetOrNone(name string) string {
	id, err := s.target(name)
	if err != nil {
		return ""
	}
	return id
}
