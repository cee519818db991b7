package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestDirectoryItemsLeaveToAPerson: what is in a directory's place is not changed by a step, and neither is what lies behind it.
func TestDirectoryItemsLeaveToAPerson(t *testing.T) {
	fact := func(path string, s *host.DirectoryState) host.DirectoryFact {
		return host.DirectoryFact{Want: host.Directory{Path: path, Mode: 0o755, Owner: "root", Group: "root"}, State: host.Read(s, path)}
	}
	wide := &host.DirectoryState{Mode: 0o777, IsDir: true}
	for name, c := range map[string]struct {
		state    *host.DirectoryState
		words    string
		commands []string
	}{
		"link to a directory": {&host.DirectoryState{Mode: 0o755, IsDir: true, Symlink: true}, "/opt/cisco is a symbolic link", []string{"ls -ld /opt/cisco", "rm /opt/cisco", "amp-remediate 5"}},
		"link to nothing":     {&host.DirectoryState{Symlink: true}, "/opt/cisco is a symbolic link", []string{"ls -ld /opt/cisco", "rm /opt/cisco", "amp-remediate 5"}},
		"file":                {&host.DirectoryState{Mode: 0o644}, "/opt/cisco is not a directory", []string{"mv -n /opt/cisco /opt/cisco.aside", "amp-remediate 5"}},
	} {
		f := &health.Facts{Host: host.Facts{Directories: []host.DirectoryFact{
			fact("/opt/cisco", c.state), fact("/opt/cisco/amp", wide), fact("/opt/cisco/amp/bin", nil), fact("/var/log/cisco", wide),
		}}}
		items := DirectoryItems(f)
		if len(items) != 2 || items[0].Step != nil || items[1].Step == nil {
			t.Errorf("%s: %d items; a manual one and a step for /var/log/cisco expected: %+v", name, len(items), items)
			continue
		}
		if !strings.HasPrefix(items[0].Manual.EN, c.words) || items[0].Manual.JA == "" || !slices.Equal(items[0].Commands, c.commands) {
			t.Errorf("%s: %q, %q; want %q, %q", name, items[0].Manual.EN, items[0].Commands, c.words, c.commands)
		}
	}
}
