package verdicts

import (
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Bounds of what is set aside.
const (
	maxAside     = 256
	maxAsidePath = 1 << 10 // bytes; longer ones lose their beginning
)

// aside is a file on which the scan service ended twice.
type aside struct {
	file   file
	record record // identity; the result is none
	path   string
}

// SetAside remembers that a file is not to be scanned in this epoch. The oldest is forgotten where there are too many.
func (s *Store) SetAside(epoch Epoch, id Identity, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.epoch || s.asideIndex(&id) >= 0 {
		return
	}
	f := id.file()
	s.aside = slices.DeleteFunc(s.aside, func(a aside) bool { return a.file == f })
	if len(s.aside) >= maxAside {
		s.aside = slices.Delete(s.aside, 0, 1)
	}
	path = path[max(0, len(path)-maxAsidePath):]
	s.aside = append(s.aside, aside{f, newRecord(&id, &Verdict{Time: s.Now()}), strings.Clone(path)})
	s.asideChanged = true
	s.kick()
}

// Aside reports whether a file was set aside in this epoch, and has not changed since.
func (s *Store) Aside(id Identity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asideIndex(&id) >= 0
}

// AsidePaths names what is set aside, oldest first.
func (s *Store) AsidePaths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := make([]string, len(s.aside))
	for i := range s.aside {
		paths[i] = s.aside[i].path
	}
	return paths
}

func (s *Store) asideIndex(id *Identity) int {
	f := id.file()
	return slices.IndexFunc(s.aside, func(a aside) bool { return a.file == f && a.record.is(id) })
}

// is reports whether both are the same file with the same content.
func (a *aside) is(b *aside) bool { return a.file == b.file && a.record == b.record }

// readAside reads what was set aside. What is damaged is passed over: it is set aside again when the service has ended on it again.
func readAside(b *bolt.Bucket) (kept []aside) {
	c := b.Cursor()
	for k, v := c.First(); k != nil && len(kept) < maxAside; k, v = c.Next() {
		f, ok := parseKey(k)
		r, path, sound := unseal(k, v)
		if ok && sound {
			kept = append(kept, aside{f, r, string(path)})
		}
	}
	slices.SortStableFunc(kept, func(a, b aside) int { return int(a.record.time - b.record.time) })
	return kept
}

// writeAside makes the store have these.
func writeAside(tx *bolt.Tx, asides []aside) error {
	if err := tx.DeleteBucket(asideBucket); err != nil {
		return err
	}
	b, err := tx.CreateBucket(asideBucket)
	if err != nil {
		return err
	}
	for _, a := range asides {
		key := a.file.key()
		if err := b.Put(key, seal(key, append(a.record.appendFixed(nil), a.path...))); err != nil {
			return err
		}
	}
	return nil
}
