package quarantine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/durable/killsweep"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

func TestMain(m *testing.M) {
	killsweep.Main(m, &reached, func(what, dir string) error { return deeds[what].do(sweepStore(dir), sweepFile(dir)) })
}

func sweepStore(dir string) *Store { return &Store{Dir: filepath.Join(dir, "store")} }
func sweepFile(dir string) string  { return filepath.Join(dir, "home", "bad") }

// sweepTake takes the file, sweepOnly is the ID of the only entry.
func sweepTake(s *Store, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := verdicts.Identify(f)
	if err != nil {
		return err
	}
	_, err = s.Take(context.Background(), f, Finding{Identity: id, Paths: []string{path}, Why: Why{Name: "Test.A"}})
	return err
}

func sweepOnly(s *Store) (string, error) {
	l, err := s.List()
	if err == nil && len(l.Entries) != 1 {
		err = fmt.Errorf("%d entries", len(l.Entries))
	}
	if err != nil {
		return "", err
	}
	return l.Entries[0].ID, nil
}

// deed is what the sweep interrupts.
type deed struct {
	prepare func(s *Store, path string) error // beside the file, which is there
	do      func(s *Store, path string) error
	other   string // what stands at the path when the file is in the store
	deletes bool   // the file may be gone
}

var deeds = map[string]deed{
	"take": {do: sweepTake},
	"restore": {prepare: sweepTake, do: func(s *Store, _ string) error {
		id, err := sweepOnly(s)
		if err != nil {
			return err
		}
		_, err = s.Restore(context.Background(), id, RestoreOptions{})
		return err
	}},
	"restore by force": {other: "mine", prepare: func(s *Store, path string) error {
		return errors.Join(sweepTake(s, path), os.WriteFile(path, []byte("mine"), 0o644))
	}, do: func(s *Store, _ string) error {
		id, err := sweepOnly(s)
		if err != nil {
			return err
		}
		_, err = s.Restore(context.Background(), id, RestoreOptions{Force: true})
		return err
	}},
	"delete": {deletes: true, prepare: sweepTake, do: func(s *Store, _ string) error {
		id, err := sweepOnly(s)
		if err != nil {
			return err
		}
		return s.Delete(context.Background(), id)
	}},
	"refused": {prepare: func(s *Store, path string) error { // what was taken before is allowed: all is undone
		if err := sweepTake(s, path); err != nil {
			return err
		}
		id, err := sweepOnly(s)
		if err == nil {
			_, err = s.Restore(context.Background(), id, RestoreOptions{})
		}
		return err
	}, do: func(s *Store, path string) error {
		if err := sweepTake(s, path); !errors.Is(err, ErrAllowed) {
			return fmt.Errorf("%w, expected that it is allowed", err)
		}
		return nil
	}},
}

// sweepHost makes the host of a deed.
func sweepHost(t *testing.T, d deed) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the store is root's")
	}
	dir = t.TempDir()
	path := sweepFile(dir)
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755), os.Chown(path, 1234, 2345)); err != nil {
		t.Fatal(err)
	}
	if d.prepare != nil {
		if err := d.prepare(sweepStore(dir), path); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// look looks at the host: the file is whole, either where it was or in the store, and nothing is left over.
func (d deed) look(t *testing.T, dir string) (where string) {
	t.Helper()
	s, path := sweepStore(dir), sweepFile(dir)
	b := &bench{t, s, filepath.Dir(path), path}
	if err := s.Recover(t.Context()); err != nil {
		t.Error(err)
	}
	b.tidyAround()
	l := b.list()
	if l.Usage.Unfinished != 0 || l.Usage.Files != len(l.Entries) {
		t.Errorf("%+v", l.Usage)
	}
	got, err := os.ReadFile(path)
	there := err == nil && string(got) == content
	switch {
	case there && len(l.Entries) == 0:
		if st := stat(t, path); st.Mode&0o7777 != 0o755 || st.Uid != 1234 || st.Gid != 2345 {
			t.Errorf("mode %#o, owner %d:%d", st.Mode, st.Uid, st.Gid)
		}
		if d.other != "" {
			aside, _ := filepath.Glob(filepath.Join(b.dir, "before-*"))
			if len(aside) != 1 {
				t.Errorf("what stood there: %q", aside)
				return "lost"
			}
			b.has(aside[0], d.other)
		}
		return "there"
	case !there && len(l.Entries) == 1 && len(l.Allowed) == 0:
		e := l.Entries[0]
		b.has(path, d.other)
		b.has(s.path(e.ID+dataSuffix), content)
		if st := stat(t, s.path(e.ID+dataSuffix)); st.Mode&0o7777 != 0o400 || e.Mode != 0o755 || e.UID != 1234 || string(e.Path) != path {
			t.Errorf("stored with mode %#o: %+v", st.Mode, e)
		}
		return "stored"
	case d.deletes && !there && len(l.Entries) == 0:
		return "gone"
	}
	t.Errorf("at the path %q, %v; in the store %+v", got, err, l)
	return "lost"
}

// before is that the file has not been lost by the kill itself, before anybody recovers anything.
func (d deed) before(t *testing.T, dir string) {
	t.Helper()
	if d.deletes {
		return
	}
	path := sweepFile(dir)
	stored, _ := filepath.Glob(filepath.Join(dir, "store", "*"+dataSuffix))
	for _, place := range append(stored, path) {
		if got, err := os.ReadFile(place); err == nil && string(got) == content {
			return
		}
	}
	t.Error("the content is neither at the path nor in the store")
}

func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("the sweep starts two programs for each kill point: not with -short")
	}
	for what, d := range deeds {
		t.Run(what, func(t *testing.T) {
			dir := sweepHost(t, d)
			points := killsweep.Run(t, what, dir, "")
			end := d.look(t, dir)
			if len(points) < 2 {
				t.Fatalf("points: %q", points)
			}
			t.Logf("%d kill points: %s", len(points), strings.Join(points, " "))
			for _, point := range points {
				t.Run(point, func(t *testing.T) {
					dir := sweepHost(t, d)
					killsweep.Run(t, what, dir, point)
					d.before(t, dir)
					if where := d.look(t, dir); where == end {
						return
					}
					killsweep.Run(t, what, dir, "")
					if where := d.look(t, dir); where != end {
						t.Errorf("done again, it is %s: expected %s", where, end)
					}
				})
			}
		})
	}
}
