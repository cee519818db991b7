package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

func TestDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: directories are given to root")
	}
	ctx := context.Background()
	table := []struct {
		name    string
		prepare func(dir string) error
		err     error
	}{
		{"nothing there", func(string) error { return nil }, nil},
		{"mode", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/opt/cisco/amp", 0o755), os.Chmod(dir+"/opt/cisco/amp", 0o777))
		}, nil},
		{"owner", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/opt/cisco/amp", 0o755), os.Chown(dir+"/opt/cisco/amp", 7, 8))
		}, nil},
		{"setgid", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/opt/cisco/amp", 0o755), syscall.Chmod(dir+"/opt/cisco/amp", 0o2755))
		}, nil},
		{"/opt is the distribution's link", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/var/opt", 0o755), os.Symlink("/var/opt", dir+"/opt"))
		}, nil},
		{"link in the path", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/opt", 0o755), os.Mkdir(dir+"/elsewhere", 0o700), os.Symlink("../elsewhere", dir+"/opt/cisco"))
		}, ErrSymlink},
		{"link at the end", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/opt/cisco", 0o755), os.Symlink("/etc", dir+"/opt/cisco/amp"))
		}, ErrSymlink},
		{"a file", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/opt/cisco", 0o755), os.WriteFile(dir+"/opt/cisco/amp", nil, 0o644))
		}, syscall.ENOTDIR},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := row.prepare(dir); err != nil {
				t.Fatal(err)
			}
			h := NewHost(host.At(dir), nil)
			before := modes(t, dir)
			s := &Directory{Path: "/opt/cisco/amp", Mode: 0o755, Owner: "root", Group: "root"}
			needed, err := s.Needed(ctx, h)
			if row.err != nil {
				if !errors.Is(err, row.err) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || !needed {
				t.Fatalf("needed %v, %v", needed, err)
			}
			if err := errors.Join(s.Prepare(ctx, h), s.Apply(ctx, h)); err != nil {
				t.Fatal(err)
			}
			if needed, err := s.Needed(ctx, h); err != nil || needed {
				t.Errorf("afterwards: needed %v, %v", needed, err)
			}
			for range 2 {
				if err := s.Undo(ctx, h); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(before, modes(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func modes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path := range tree(t, dir) {
		fi, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		st := fi.Sys().(*syscall.Stat_t)
		all[path] = fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid)
	}
	return all
}

func TestDirectoryUndoKeepsWhatSomebodyPutThere(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	h := NewHost(host.At(dir), nil)
	s := &Directory{Path: "/var/log/cisco", Mode: 0o755, Owner: "root", Group: "root"}
	if err := errors.Join(s.Prepare(ctx, h), s.Apply(ctx, h), os.WriteFile(filepath.Join(dir, "var/log/cisco/x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Undo(ctx, h); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "var/log/cisco/x")); err != nil {
		t.Error(err)
	}
}

func TestDirectoryOwnerMissing(t *testing.T) {
	s := newScratch(t)
	d := &Directory{Path: "/var/lib/cisco", Mode: 0o750, Owner: "nobody-of-that-name", Group: "root"}
	if err := d.Apply(context.Background(), s.host()); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(s.dir, "var/lib/cisco")); err == nil {
		t.Error("made without its owner")
	}
}

func TestDirectoryItems(t *testing.T) {
	want := host.Directory{Path: "/opt/cisco", Mode: 0o755, Owner: "root", Group: "root"}
	state := func(mode fs.FileMode, uid uint32, link bool) host.Reading[*host.DirectoryState] {
		return host.Read(&host.DirectoryState{Mode: mode, UID: uid, IsDir: true, Symlink: link}, want.Path)
	}
	table := []struct {
		name  string
		state host.Reading[*host.DirectoryState]
		items int
	}{
		{"as packaged", state(0o755, 0, false), 0},
		{"mode", state(0o777, 0, false), 1},
		{"owner", state(0o755, 1, false), 1},
		{"link", state(0o755, 0, true), 1},
		{"missing", host.Read[*host.DirectoryState](nil, want.Path), 1},
		{"not known", host.NotKnown[*host.DirectoryState](want.Path, fs.ErrPermission), 1},
	}
	for _, row := range table {
		f := &health.Facts{Host: host.Facts{Directories: []host.DirectoryFact{{Want: want, State: row.state}}}}
		if n := len(DirectoryItems(f)); n != row.items {
			t.Errorf("%s: %d items, %d expected", row.name, n, row.items)
		}
	}
}
