package quarantine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Usage is how full a store is.
type Usage struct {
	Files      int   `json:"files"`
	Bytes      int64 `json:"bytes"`
	MaxFiles   int   `json:"max_files"`
	MaxBytes   int64 `json:"max_bytes"`
	Unfinished int   `json:"unfinished"` // that a killed program has left; the next change deals with them
}

// Listing is all that a store holds.
type Listing struct {
	Entries []Entry   `json:"entries"` // the oldest first
	Allowed []Allowed `json:"allowed"` // given back, and left alone since; likewise
	Usage   Usage     `json:"usage"`
}

// List reads what the store holds; what cannot be read is in the error, and the rest is there.
func (s *Store) List() (Listing, error) {
	l := Listing{Entries: []Entry{}, Allowed: []Allowed{}}
	ids, err := s.names(entrySuffix)
	errs := []error{err}
	for _, id := range ids {
		e, err := s.entry(id, entrySuffix)
		switch {
		case errors.Is(err, ErrNoEntry): // gone meanwhile
		case err != nil:
			errs = append(errs, err)
		default:
			l.Entries = append(l.Entries, e)
		}
	}
	slices.SortFunc(l.Entries, func(a, b Entry) int {
		if c := a.Taken.Compare(b.Taken); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	allowed, err := s.allowed()
	l.Allowed = append(l.Allowed, allowed...)
	errs = append(errs, err)
	l.Usage, err = s.Usage()
	return l, errors.Join(append(errs, err)...)
}

// Usage counts the stored files; what cannot be read is in the error. It needs no lock.
func (s *Store) Usage() (Usage, error) {
	u := Usage{MaxFiles: orDefault(s.Entries, defaultEntries), MaxBytes: orDefault(s.Bytes, defaultBytes)}
	ids, err := s.names(dataSuffix)
	for _, id := range ids {
		if st, err := os.Lstat(s.path(id + dataSuffix)); err == nil {
			u.Files++
			u.Bytes += st.Size()
		}
	}
	for _, suffix := range []string{takingSuffix, restoreSuffix} {
		unfinished, uerr := s.names(suffix)
		u.Unfinished += len(unfinished)
		err = errors.Join(err, uerr)
	}
	return u, err
}

// Delete deletes a stored file for good, or forgets that one was given back.
func (s *Store) Delete(ctx context.Context, id string) error {
	if !isID(id) {
		return fmt.Errorf("%w: %.80q", ErrNoEntry, id)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(s.path(id + entrySuffix)); err == nil {
		return s.drop(id)
	}
	was, err := s.disallow(id)
	if err == nil && !was {
		err = fmt.Errorf("%w: %s", ErrNoEntry, id)
	}
	return err
}

// drop takes an entry away before its content: content that belongs to no entry is cleared away, and an entry without would promise something.
func (s *Store) drop(id string) error {
	return errors.Join(s.remove(id+entrySuffix), s.remove(id+dataSuffix))
}
