package quarantine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan/verdicts"
)

const content = "what was found"

// bench is a store and a directory with one file in it.
type bench struct {
	*testing.T
	store *Store
	dir   string
	path  string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the store is root's, and files are given back to their owners")
	}
	base := t.TempDir()
	b := &bench{t, &Store{Dir: filepath.Join(base, "amp", "quarantine")}, filepath.Join(base, "home"), ""}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.path = b.make("bad", content)
	return b
}

// make makes a file with odd rights and times.
func (b *bench) make(name, content string) string {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(os.Chown(path, 1234, 2345), unix.Chmod(path, 0o4751), os.Chtimes(path, time.Unix(1000000000, 11), time.Unix(1100000000, 22))); err != nil {
		b.Fatal(err)
	}
	return path
}

// found opens a file as the scanner does.
func (b *bench) found(path string) (*os.File, Finding) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	id, err := verdicts.Identify(f)
	if err != nil {
		b.Fatal(err)
	}
	return f, Finding{Identity: id, Paths: []string{path}, Why: Why{Name: "Test.A", Event: "write", PID: 7, Process: "/usr/bin/cp"}}
}

func (b *bench) take() (Entry, error) {
	b.Helper()
	f, found := b.found(b.path)
	return b.store.Take(b.Context(), f, found)
}

func (b *bench) mustTake() Entry {
	b.Helper()
	e, err := b.take()
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func (b *bench) list() Listing {
	b.Helper()
	l, err := b.store.List()
	if err != nil {
		b.Error(err)
	}
	return l
}

// has checks a file's content, "" where it must not be there.
func (b *bench) has(path, want string) {
	b.Helper()
	got, err := os.ReadFile(path)
	if want == "" && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil || string(got) != want {
		b.Errorf("%s: %q, %v; expected %q", path, got, err, want)
	}
}

// tidyAround checks that nothing of ours is left beside the file, and that all in the store belongs to an entry.
func (b *bench) tidyAround() {
	b.Helper()
	if left, _ := filepath.Glob(filepath.Join(b.dir, ".amp-*")); len(left) > 0 {
		b.Errorf("left: %q", left)
	}
	entries, err := os.ReadDir(b.store.Dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		id, _, _ := strings.Cut(e.Name(), ".")
		_, missing := os.Stat(b.store.path(id + entrySuffix))
		switch {
		case e.Name() == lockName, e.Name() == allowedName:
		case missing != nil, !strings.HasSuffix(e.Name(), entrySuffix) && !strings.HasSuffix(e.Name(), dataSuffix):
			b.Errorf("left in the store: %s", e.Name())
		}
	}
}

func stat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return st
}

func TestTakeAndRestore(t *testing.T) {
	b := newBench(t)
	attributes := unix.Setxattr(b.path, "user.note", []byte("a\x00b"), 0) == nil && unix.Setxattr(b.path, "user.empty", nil, 0) == nil
	before := stat(t, b.path)
	e := b.mustTake()
	b.has(b.path, "")
	b.tidyAround()
	if e.Path != Text(b.path) || e.Mode != 0o4751 || e.UID != 1234 || e.GID != 2345 || e.Size != int64(len(content)) || e.Why.Name != "Test.A" || e.Names != 0 {
		t.Errorf("%+v", e)
	}
	if st := stat(t, b.store.path(e.ID+dataSuffix)); st.Mode&0o7777 != 0o400 || st.Uid != 0 {
		t.Errorf("stored with mode %#o, owner %d", st.Mode, st.Uid)
	}
	if st := stat(t, b.store.Dir); st.Mode&0o7777 != 0o700 {
		t.Errorf("store has mode %#o", st.Mode)
	}
	if l := b.list(); len(l.Entries) != 1 || l.Entries[0].ID != e.ID || l.Usage.Files != 1 || l.Usage.Bytes != int64(len(content)) {
		t.Errorf("%+v", l)
	}

	done, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{})
	if err != nil || done.Path != b.path || len(done.Missed) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	after := stat(t, b.path) // before it is read
	b.has(b.path, content)
	b.tidyAround()
	if after.Mode != before.Mode || after.Uid != before.Uid || after.Gid != before.Gid || after.Mtim != before.Mtim || after.Atim != before.Atim {
		t.Errorf("%+v\nbefore %+v", after, before)
	}
	value := make([]byte, 10)
	if n, err := unix.Getxattr(b.path, "user.note", value); attributes && (err != nil || string(value[:n]) != "a\x00b") {
		t.Errorf("user.note: %q, %v", value[:max(0, n)], err)
	}
	if _, err := unix.Getxattr(b.path, "user.empty", value); attributes && err != nil {
		t.Errorf("user.empty: %v", err)
	}

	// It does not go straight back, whatever its name and wherever it is, until somebody takes that back.
	l := b.list()
	if len(l.Entries) != 0 || len(l.Allowed) != 1 || l.Allowed[0].ID != e.ID {
		t.Fatalf("%+v", l)
	}
	if _, err := b.take(); !errors.Is(err, ErrAllowed) {
		t.Errorf("%v, expected that it is allowed", err)
	}
	b.has(b.path, content)
	f, other := b.found(b.path)
	other.Why.Name = "Test.B"
	if other, err := b.store.Take(t.Context(), f, other); err != nil || b.store.Delete(t.Context(), other.ID) != nil {
		t.Errorf("%v: something else was found in it", err)
	}
	if err := b.store.Delete(t.Context(), e.ID); err != nil {
		t.Error(err)
	}
	b.make("bad", content)
	e = b.mustTake()
	if err := b.store.Delete(t.Context(), e.ID); err != nil {
		t.Error(err)
	}
	if l := b.list(); len(l.Entries)+len(l.Allowed)+l.Usage.Files != 0 {
		t.Errorf("%+v", l)
	}
	if err := b.store.Delete(t.Context(), e.ID); !errors.Is(err, ErrNoEntry) {
		t.Errorf("%v, expected that there is no such entry", err)
	}
	b.tidyAround()
}

func TestRestoreElsewhere(t *testing.T) {
	b := newBench(t)
	e := b.mustTake()
	to := b.make("in the way", "mine")
	if err := os.Symlink(b.dir, filepath.Join(b.dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		to   string
		want error
	}{
		"something stands there": {to, ErrOccupied},
		"no folder":              {filepath.Join(b.dir, "none", "x"), ErrNoParent},
		"a link on the way":      {filepath.Join(b.dir, "link", "x"), unix.ENOTDIR},
		"a detour":               {b.dir + "/../x", nil},
		"relative":               {"x", nil},
		"a folder":               {b.dir, ErrOccupied},
	} {
		if done, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{To: tt.to}); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v; expected %v", name, done, err, tt.want)
		}
	}
	b.has(to, "mine")
	if l := b.list(); len(l.Entries) != 1 || len(l.Allowed) != 0 {
		t.Errorf("%+v", l)
	}
	done, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{To: to, Force: true})
	if err != nil || done.Path != to {
		t.Fatalf("%+v, %v", done, err)
	}
	b.has(to, content)
	b.has(done.Moved, "mine")
	b.tidyAround()
}

func TestRestoreDamaged(t *testing.T) {
	b := newBench(t)
	e := b.mustTake()
	if err := os.WriteFile(b.store.path(e.ID+dataSuffix), []byte("what is this"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, expected that it is damaged", err)
	}
	b.has(b.path, "")
	b.tidyAround()
	if l := b.list(); len(l.Entries) != 1 || len(l.Allowed) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestTakeRefuses(t *testing.T) {
	denied := errors.New("denied")
	for name, tt := range map[string]struct {
		before func(*bench)           // before it is opened
		after  func(*bench, *Finding) // and scanned
		want   error
		text   string
	}{
		"changed":         {after: func(b *bench, _ *Finding) { b.make("bad", "other content") }, want: ErrChanged},
		"touched":         {after: func(b *bench, _ *Finding) { unix.Chmod(b.path, 0o600) }, want: ErrChanged},
		"another content": {after: func(_ *bench, f *Finding) { f.SHA256 = strings.Repeat("0", 64) }, want: ErrChanged},
		"deleted":         {after: func(b *bench, _ *Finding) { os.Remove(b.path) }, want: ErrNamed},
		"replaced":        {after: func(b *bench, _ *Finding) { os.Rename(b.make("new", "mine"), b.path) }, want: ErrNamed, text: "another file is"},
		"a link":          {after: func(b *bench, _ *Finding) { os.Remove(b.path); os.Symlink("/etc/passwd", b.path) }, want: ErrNamed},
		"not permitted": {after: func(_ *bench, f *Finding) {
			f.Permit = func(context.Context, Root, string) error { return denied }
		}, want: denied},
		"full":     {before: func(b *bench) { b.store.Bytes = int64(len(content)) - 1 }, want: ErrFull, text: "ampcli quarantine delete"},
		"too many": {before: func(b *bench) { b.store.Entries = -1 }, want: ErrFull},
		"a full disk": {before: func(b *bench) {
			if err := errors.Join(os.MkdirAll(b.store.Dir, 0o700), unix.Mount("none", b.store.Dir, "tmpfs", 0, "size=8m,mode=0700")); err != nil {
				b.Skipf("needs the right to mount: %v", err)
			}
			b.Cleanup(func() { unix.Unmount(b.store.Dir, unix.MNT_DETACH) })
		}, want: ErrFull, text: "its disk has"},
		"foreign store": {before: func(b *bench) { os.MkdirAll(b.store.Dir, 0o700); os.Chown(b.store.Dir, 7, 7) }, text: "owner 7"},
		"a locked store": {before: func(b *bench) {
			unlock, err := b.store.acquire(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.store.Wait = time.Millisecond
			b.Cleanup(unlock)
		}, want: ErrLocked},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if tt.before != nil {
				tt.before(b)
			}
			f, found := b.found(b.path)
			if tt.after != nil {
				tt.after(b, &found)
			}
			names, _ := os.ReadDir(b.dir)
			e, err := b.store.Take(t.Context(), f, found)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%+v, %v; expected %v with %q", e, err, tt.want, tt.text)
			}
			after, _ := os.ReadDir(b.dir)
			if !slices.EqualFunc(names, after, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() && a.Type() == b.Type() }) {
				t.Errorf("%v, before %v", after, names)
			}
			if l, err := b.store.List(); err != nil || len(l.Entries)+l.Usage.Files+l.Usage.Unfinished != 0 {
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
}

// What keeps a name from being taken away is said in words, and undone.
func TestTakeHindered(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*bench) error
		text string
	}{
		"immutable": {func(b *bench) error { return flag(b.T, b.path, immutable) }, "it is immutable"},
		"folder":    {func(b *bench) error { return flag(b.T, b.dir, immutable) }, "its folder is immutable"},
		"read-only": {func(b *bench) error {
			if err := unix.Mount(b.dir, b.dir, "", unix.MS_BIND, ""); err != nil {
				return err
			}
			b.Cleanup(func() { unix.Unmount(b.dir, unix.MNT_DETACH) })
			return unix.Mount("", b.dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}, "its file system is read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if err := tt.set(b); err != nil {
				t.Skipf("needs the right to make it so: %v", err)
			}
			if e, err := b.take(); err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%+v, %v; expected %q", e, err, tt.text)
			}
			b.has(b.path, content)
			b.tidyAround()
		})
	}
}

// flag sets a flag of ioctl_iflags(2) until the end of the test.
func flag(t *testing.T, path string, flag int) error {
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	old, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, old)
		unix.Close(fd)
	})
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, old|flag)
}

func TestOtherNamesAreTold(t *testing.T) {
	b := newBench(t)
	if err := os.Link(b.path, filepath.Join(b.dir, "again")); err != nil {
		t.Fatal(err)
	}
	if e := b.mustTake(); e.Names != 1 {
		t.Errorf("%d other names", e.Names)
	}
	b.has(b.path, "")
	b.has(filepath.Join(b.dir, "again"), content)
}

// A file that was moved after it was opened is found by its descriptor; one of another mount view by that view's root.
func TestNames(t *testing.T) {
	b := newBench(t)
	f, found := b.found(b.path)
	moved := filepath.Join(b.dir, "moved")
	if err := os.Rename(b.path, moved); err != nil {
		t.Fatal(err)
	}
	found.Identity, _ = verdicts.Identify(f)
	if e, err := b.store.Take(t.Context(), f, found); err != nil || e.Path != Text(moved) {
		t.Errorf("%+v, %v", e, err)
	}

	b.make("bad", content)
	f, found = b.found(b.path)
	b.store.Roots = []string{filepath.Join(b.dir, "none")}
	found.Paths, found.Roots = []string{"/bad"}, []Root{{b.dir, "c1"}}
	e, err := b.store.Take(t.Context(), f, found)
	if err != nil || e.Path != "/bad" || e.View != "c1" {
		t.Fatalf("%+v, %v", e, err)
	}
	b.has(b.path, "")
	b.store.Roots = nil
	if _, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{}); !errors.Is(err, ErrView) {
		t.Errorf("%v, expected that it was in another view", err)
	}
	if _, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{To: b.path}); err != nil {
		t.Error(err)
	}
	b.has(b.path, content)
}

func TestOpenedStoreIsClosed(t *testing.T) {
	b := newBench(t)
	if err := errors.Join(os.MkdirAll(b.store.Dir, 0o755), os.Chmod(b.store.Dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	b.mustTake()
	if st := stat(t, b.store.Dir); st.Mode&0o7777 != 0o700 {
		t.Errorf("mode %#o", st.Mode)
	}
}

func TestAllowedIsBounded(t *testing.T) {
	b := newBench(t)
	if err := b.store.makeDirectory(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		e := Entry{ID: "20261129-0000" + string("0123456789abcdef"[i>>8&15]) + string("0123456789abcdef"[i>>4&15]) + string("0123456789abcdef"[i&15]) + "0", SHA256: strings.Repeat("a", 64)}
		e.Why.Name = e.ID
		if err := b.store.allow(&e, "/"+strings.Repeat("\xff", 4000)); err != nil {
			t.Fatal(err)
		}
	}
	l := b.list()
	if n := len(l.Allowed); n == 0 || n >= 100 || l.Allowed[n-1].Name != "20261129-00000630" {
		t.Errorf("%d files", n)
	}
}

// Several files are taken at once, and the same file by two: one of them has it.
func TestTogether(t *testing.T) {
	b := newBench(t)
	const files = 8
	var taking sync.WaitGroup
	var taken atomic.Int32
	for i := range files {
		path := b.make(strconv.Itoa(i), content+strconv.Itoa(i))
		for range 2 {
			f, found := b.found(path)
			taking.Go(func() {
				e, err := b.store.Take(t.Context(), f, found)
				switch {
				case err == nil && string(e.Path) == path:
					taken.Add(1)
				case !errors.Is(err, ErrNamed) && !errors.Is(err, ErrChanged):
					t.Errorf("%+v, %v", e, err)
				}
			})
		}
	}
	taking.Wait()
	if l := b.list(); taken.Load() != files || len(l.Entries) != files || l.Usage.Files != files {
		t.Errorf("%d taken, %d entries, %+v", taken.Load(), len(l.Entries), l.Usage)
	}
	b.tidyAround()
}
