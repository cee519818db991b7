package definitions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// Bounds of what is set aside. Where they are reached, the oldest contents go first and the oldest records last.
const (
	maxRejected      = 200       // records
	maxRejectedBytes = 512 << 20 // of contents
	maxLog           = 16 << 10  // bytes of the engine's words in one record
)

// Rejected says why a file or a set was set aside. While its record stands, the same content is not tried again, unless that is forced.
type Rejected struct {
	Key    string    `json:"key"`              // of a set its ID, of a file 16 digits made of its kind and its SHA-256
	Name   string    `json:"name,omitempty"`   // of the file; empty: a set
	SHA256 string    `json:"sha256,omitempty"` // of the file
	Size   int64     `json:"size,omitempty"`   // bytes
	When   time.Time `json:"when"`
	From   string    `json:"from,omitempty"` // the directory that it came from
	Check  Check     `json:"check"`          // that failed
	Log    string    `json:"log,omitempty"`  // what the engine said at the trial load
	Engine string    `json:"engine,omitempty"`
	Missed bool      `json:"missed,omitempty"` // it had passed the checks and was live: they let it through
	Kept   string    `json:"kept,omitempty"`   // where its content is; empty: it is not kept
}

// Final reports whether it is for its content that it was set aside, or by a person's word: the same is not tried again.
func (r Rejected) Final() bool { return r.Check.ofContent() || r.Check.Step == StepWithdraw }

// Rejected lists what was set aside, the newest first. Records that cannot be read are passed over and told in the error.
func (s *Store) Rejected() ([]Rejected, error) {
	entries, err := os.ReadDir(s.path(rejectedName))
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Rejected
	var errs []error
	for _, e := range entries {
		key, ok := strings.CutSuffix(e.Name(), manifestSuffix)
		if !ok || !isID(key) {
			continue
		}
		r, err := s.rejected(key)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b Rejected) int { return b.When.Compare(a.When) })
	return all, errors.Join(errs...)
}

// rejected reads the record of a key; fs.ErrNotExist where there is none.
func (s *Store) rejected(key string) (Rejected, error) {
	path := s.recordPath(key)
	b, err := readBounded(path, maxManifest)
	if err != nil {
		return Rejected{}, err
	}
	var r Rejected
	if err := json.Unmarshal(b, &r); err != nil {
		return Rejected{}, fmt.Errorf("%s: %w", path, err)
	}
	r.Key = key
	if _, err := os.Lstat(s.contentPath(key)); err == nil {
		r.Kept = s.contentPath(key)
	}
	return r, nil
}

func (s *Store) recordPath(key string) string {
	return filepath.Join(s.path(rejectedName), key+manifestSuffix)
}
func (s *Store) contentPath(key string) string { return filepath.Join(s.path(rejectedName), key) }

// refused is the record that keeps a content from being tried again, if there is one.
func (s *Store) refused(key string) (Rejected, bool) {
	r, err := s.rejected(key)
	return r, err == nil && r.Final()
}

// keyOf is what a file is remembered by: its kind and its content. A .cud that was refused because it called itself .cvd may be a good one.
func keyOf(f File) string {
	sum := sha256.Sum256([]byte(extension(f.Name) + " " + f.SHA256))
	return hex.EncodeToString(sum[:8])
}

// setFileAside records a file and keeps its content by a second link: where it came from nothing changes.
func (s *Store) setFileAside(dir string, f File, r Rejected) (Rejected, error) {
	r.Name, r.SHA256, r.Size = f.Name, f.SHA256, f.Size
	r.Key = keyOf(f)
	return s.setAside(r, dir, []File{f})
}

// setSetAside records a set and keeps its files.
func (s *Store) setSetAside(set Set, r Rejected) (Rejected, error) {
	r.Key = set.ID
	for _, f := range set.Files {
		r.Size += f.Size
	}
	return s.setAside(r, set.Dir, set.Files)
}

// setAside writes the record, which is what counts, and then keeps the content as far as there is room.
func (s *Store) setAside(r Rejected, dir string, files []File) (Rejected, error) {
	r.When = s.config.Now().UTC().Truncate(time.Second)
	r.Log = clip(r.Log, maxLog)
	r.Check.Read = clip(r.Check.Read, maxLog)
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return r, err
	}
	if err := durable.Write(s.recordPath(r.Key), append(b, '\n'), 0o644, reached); err != nil {
		return r, err
	}
	if r.Size <= maxRejectedBytes && len(files) > 0 {
		r.Kept = s.keep(r.Key, dir, files)
	}
	return r, s.bound()
}

// keep links files into the folder of a record, and returns the folder, "" where there is nothing in it.
func (s *Store) keep(key, dir string, files []File) string {
	to := s.contentPath(key)
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return ""
	}
	kept := false
	for _, f := range files {
		err := os.Link(filepath.Join(dir, f.Name), filepath.Join(to, f.Name))
		kept = kept || err == nil || errors.Is(err, fs.ErrExist)
	}
	if !kept {
		os.Remove(to)
		return ""
	}
	reached("content-kept")
	// What is lost in a power loss here is a copy of what its owner still has.
	_ = durable.SyncDirectory(to)
	return to
}

// bound holds the bounds: contents first, then records, the oldest of each.
func (s *Store) bound() error {
	all, err := s.Rejected()
	var bytes int64
	for i, r := range all {
		if r.Kept != "" {
			bytes += r.Size
		}
		if bytes > maxRejectedBytes && r.Kept != "" {
			err = errors.Join(err, os.RemoveAll(r.Kept))
			bytes -= r.Size
		}
		if i >= maxRejected {
			err = errors.Join(err, s.forget(r.Key))
		}
	}
	return err
}

// forget removes a record and what is kept with it.
func (s *Store) forget(key string) error {
	err := os.Remove(s.recordPath(key))
	if isMissing(err) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(s.contentPath(key)))
}

// clip cuts a text that is too long for a record.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-4], "") + " …"
}
