package quarantine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// maxAllowed bounds what is remembered of files that were given back; the oldest are forgotten first.
const maxAllowed = 1024

// Allowed is a content that an administrator has given back: it is left alone wherever it is, as long as nothing else is found in it. That
// outlasts new definitions, which come several times a day and would else undo what a person decided.
type Allowed struct {
	ID     string    `json:"id"` // that its entry had
	SHA256 string    `json:"sha256"`
	Name   string    `json:"name"` // what was found
	Path   Text      `json:"path"` // where it was put
	Since  time.Time `json:"since"`
}

// allowed reads what was given back, the oldest first.
func (s *Store) allowed() ([]Allowed, error) {
	b, err := s.read(allowedName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := parseAllowed(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(allowedName), err)
	}
	return all, nil
}

func parseAllowed(b []byte) ([]Allowed, error) {
	if len(b) > maxEntry {
		return nil, fmt.Errorf("%d bytes: expected at most %d", len(b), maxEntry)
	}
	var all []Allowed
	if err := parse(b, &all); err != nil {
		return nil, err
	}
	if len(all) > maxAllowed {
		return nil, fmt.Errorf("%d files: expected at most %d", len(all), maxAllowed)
	}
	for _, a := range all {
		switch {
		case !isID(a.ID) || !isSHA256(a.SHA256):
			return nil, fmt.Errorf("id %.80q, sha256 %.80q: expected those of an entry", a.ID, a.SHA256)
		case !isPath(string(a.Path)) || len(a.Name) > maxWord:
			return nil, fmt.Errorf("path %.80q: expected a clean one from the root, of at most %d bytes", a.Path, maxPath)
		}
	}
	return all, nil
}

// permitted is an ErrAllowed where a content was given back. One that is not known yet, "", was not.
func (s *Store) permitted(sum, name string) error {
	if sum == "" {
		return nil
	}
	all, err := s.allowed()
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.SHA256 == sum && a.Name == name {
			return fmt.Errorf("%w: %s", ErrAllowed, a.ID)
		}
	}
	return nil
}

// allow remembers a content, disallow forgets it.
func (s *Store) allow(e *Entry, to string) error {
	all, err := s.allowed()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(a Allowed) bool { return a.ID == e.ID || a.SHA256 == e.SHA256 && a.Name == e.Why.Name })
	all = append(all, Allowed{e.ID, e.SHA256, e.Why.Name, Text(to), s.now().UTC()})
	for len(all) > maxAllowed || size(all) > maxEntry/2 {
		all = all[1:]
	}
	return s.writeJSON(allowedName, all)
}

// size is about what a list takes in JSON, in bytes: a path of odd bytes is written two for one.
func size(all []Allowed) (n int) {
	for _, a := range all {
		n += 2*len(a.Path) + 6*len(a.Name) + 200
	}
	return n
}

func (s *Store) disallow(id string) (was bool, err error) {
	all, err := s.allowed()
	if err != nil {
		return false, err
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(a Allowed) bool { return a.ID == id })
	if len(rest) == len(all) {
		return false, nil
	}
	return true, s.writeJSON(allowedName, rest)
}
