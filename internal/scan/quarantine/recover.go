package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
)

// Recover finishes or undoes what a killed program, or a power loss, has interrupted. Whatever changes the store does so too.
func (s *Store) Recover(ctx context.Context) error {
	if _, err := os.Lstat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever taken
	}
	unlock, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return s.tidy()
}

// tidy does that. What one file comes to keeps nothing from being done with the others.
func (s *Store) tidy() error {
	taking, err := s.names(takingSuffix)
	errs := []error{err}
	for _, id := range taking {
		e, err := s.entry(id, takingSuffix)
		if err == nil { // else the disk has lost it, since only whole ones get that name; the content stays
			err = s.finishTaking(&e)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, which was being taken: %w", id, err))
		}
	}
	restoring, err := s.names(restoreSuffix)
	errs = append(errs, err)
	for _, id := range restoring {
		if err := s.finishRestore(id); err != nil {
			errs = append(errs, fmt.Errorf("%s, which was being given back: %w", id, err))
		}
	}
	return errors.Join(append(errs, s.clearAway())...)
}

// finishTaking decides about a file whose name was about to go. If it still has it, it is where it was, and what is stored is forgotten. A file of
// another view cannot be looked for any more: what is stored is kept, so that it is not lost.
func (s *Store) finishTaking(e *Entry) error {
	if e.View == "" {
		p, err := s.atHost(string(e.Path))
		if err == nil {
			defer p.close()
			there, err := s.lookTaking(e, p)
			if err != nil {
				return err
			}
			if there {
				if err := p.sync(); err != nil { // before it leaves the store
					return err
				}
				return errors.Join(s.remove(e.ID+takingSuffix), s.remove(e.ID+dataSuffix))
			}
		}
	}
	return s.rename(e.ID+takingSuffix, e.ID+entrySuffix)
}

// lookTaking reports whether the file is still in its place, after what has been moved was dealt with.
func (s *Store) lookTaking(e *Entry, p *place) (there bool, err error) {
	if err := s.finishStaged(e, p); err != nil {
		return false, err
	}
	st, err := p.stat()
	return err == nil && e.isAs(&st), nil
}

// isAs compares a file with an entry. The device may have another number since the machine was started.
func (e *Entry) isAs(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Ino == e.Inode && st.Size == e.Size && momentOf(st.Mtim) == e.Modified
}

// finishStaged deletes the file that was moved, and puts another one back.
func (s *Store) finishStaged(e *Entry, p *place) error {
	g, err := p.staged(e.ID)
	if err != nil {
		return nil // there is none, or it is nobody's that we know
	}
	defer g.close()
	st, err := g.file()
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(g.remove(), g.sync())
	}
	if err != nil {
		return err
	}
	if e.isAs(&st) && contentIs(g.in, inside, e.SHA256) {
		if err := g.empty(); err != nil {
			return err
		}
		_ = g.remove()
		return g.sync()
	}
	return g.back(e.ID)
}

// contentIs reports whether a regular file has a content.
func contentIs(dir int, name, sum string) bool {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return false
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == sum
}

// finishRestore decides about a file that was about to be put to its place: if it is there, it has left the store.
func (s *Store) finishRestore(id string) error {
	b, err := s.read(id + restoreSuffix)
	if err != nil {
		return err
	}
	r, err := parseRestoring(s.path(id+restoreSuffix), b)
	if err != nil {
		return s.remove(id + restoreSuffix) // nothing was put anywhere before it was whole
	}
	p, err := s.atHost(string(r.To))
	if err != nil {
		return s.undoRestore(id, nil)
	}
	defer p.close()
	e, err := s.entry(id, entrySuffix)
	if errors.Is(err, ErrNoEntry) { // it was through but for this
		return errors.Join(s.remove(id+dataSuffix), s.clearStaged(id, p), s.remove(id+restoreSuffix))
	}
	if err == nil && contentIs(p.dir, p.name, e.SHA256) {
		if err := errors.Join(s.clearStaged(id, p), p.sync()); err != nil { // before it leaves the store
			return err
		}
		return errors.Join(s.drop(id), s.remove(id+restoreSuffix))
	}
	return s.undoRestore(id, p)
}

// undoRestore keeps the file in the store, and what stood in its place there. p is nil where there is no such folder any more.
func (s *Store) undoRestore(id string, p *place) error {
	var errs []error
	if p != nil {
		errs = append(errs, s.clearStaged(id, p))
		if _, err := p.stat(); errors.Is(err, fs.ErrNotExist) {
			if err := renameNew(p.dir, "before-"+id, p.dir, p.name); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, &os.PathError{Op: "rename back to", Path: p.path, Err: err})
			}
		}
		errs = append(errs, p.sync())
	}
	_, err := s.disallow(id)
	return errors.Join(append(errs, err, s.remove(id+restoreSuffix))...)
}

// clearStaged deletes what was made to be put to a place.
func (s *Store) clearStaged(id string, p *place) error {
	g, err := p.staged(id)
	if err != nil {
		return nil // there is none
	}
	defer g.close()
	return errors.Join(g.empty(), g.remove())
}

// clearAway deletes what belongs to no entry: copies that were not finished, and content whose entry is gone.
func (s *Store) clearAway() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	for name := range there {
		id, isData := strings.CutSuffix(name, dataSuffix)
		orphan := isData && isID(id) && !there[id+entrySuffix] && !there[id+takingSuffix]
		if !orphan && path.Ext(name) != durable.NewSuffix {
			continue
		}
		if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
