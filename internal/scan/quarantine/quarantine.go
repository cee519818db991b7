// Package quarantine keeps files in which something was found out of reach: it copies one by the descriptor that was scanned, takes its
// name away, and puts it back when an administrator says so. What enters: open files, and the names that they may have. What leaves: entries.
//
// No path is trusted. A name is taken away only if it is found to be that of the scanned file, from its directory's descriptor, and again
// once it stands where only root comes; another file that has got there meanwhile goes back to its place. A program that is killed, and a
// power loss, leave a file where it was or in the store: never in neither, and what is stored is never executable.
package quarantine

import (
	"context"
	"errors"
	"time"

	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Dir is where the store of a host is.
const Dir = "/var/lib/cisco/amp/quarantine"

// Bounds of a store, where its fields are zero.
const (
	defaultBytes   = 2 << 30 // of stored files
	defaultEntries = 4096
	defaultWait    = 30 * time.Second
)

// Store is the quarantine of a host. Its methods may be called side by side, and by several programs; those that change something take turns.
// Only root may use it.
type Store struct {
	Dir     string
	Program string        // that others are shown as the holder of the lock
	Bytes   int64         // that the stored files may have together; 0: 2 GiB
	Entries int           // that there may be; 0: 4096
	Wait    time.Duration // for another program that changes the store; 0: 30 s
	Roots   []string      // directories that are the host's root, in the order in which they are tried; none: "/"
	Now     func() time.Time
}

// Why a file was not taken, or not given back. The errors around them have the words for a person.
var (
	ErrNamed    = errors.New("no name of the file is known any more") // deleted, replaced, or seen by another mount view only
	ErrChanged  = errors.New("the file was changed after it was scanned")
	ErrAllowed  = errors.New("an administrator has given this file back")
	ErrFull     = errors.New("the quarantine is full")
	ErrNoEntry  = errors.New("no such entry in the quarantine")
	ErrOccupied = errors.New("something stands there already")
	ErrNoParent = errors.New("the folder is not there")
	ErrDamaged  = errors.New("the stored file is not the one that was taken")
	ErrLocked   = errors.New("another program is changing the quarantine")
	ErrView     = errors.New("the file was in another view of the file system")
)

// Root is a directory by which paths are resolved.
type Root struct {
	Dir  string // such as /proc/4711/root
	View string // whose view of the file system that is; "": the host's own
}

// Finding is a file to be taken.
type Finding struct {
	Identity verdicts.Identity // as it was before it was scanned
	SHA256   string            // of the content, in hexadecimal; "" where it was not made
	Paths    []string          // names that it may have, from the host's root or from one of Roots
	Roots    []Root            // further ones than the host's
	Why      Why
	// Permit is asked, once the name is known and before anything is changed, whether the file may be taken; its error is the answer. It
	// may be nil.
	Permit func(context.Context, Root, string) error
}

// hostRoots are the ways to the host's own root.
func (s *Store) hostRoots() []string {
	if len(s.Roots) == 0 {
		return []string{"/"}
	}
	return s.Roots
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
