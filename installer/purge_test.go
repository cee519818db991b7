package installer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/ownmounts"
)

// A folder where another file system is mounted loses its content, and is no error; a file that cannot be removed is one. The mounts are in a namespace of their own.
func TestPurgeMounts(t *testing.T) {
	ownmounts.Run(t, func(t *testing.T) {
		s := newScratch(t)
		bind := func(name string) {
			t.Helper()
			at := filepath.Join(s.dir, name)
			if err := unix.Mount(at, at, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
		}
		purge := func(what string, do func(string) func(context.Context, *Host, *health.Facts) (bool, error), name string, did, fails bool) {
			t.Helper()
			if got, err := do(name)(t.Context(), s.host(), nil); got != did || (err != nil) != fails {
				t.Errorf("%s: %v, %v; expected %v, and an error: %v", what, got, err, did, fails)
			}
		}
		s.write(t, "/a/state/journal.json", "{}", 0o600)
		s.write(t, "/a/state/quarantine/1/content", "{}", 0o600)
		bind("/a/state")
		bind("/a/state/quarantine")
		purge("mount points with content", purgeTree, "/a/state", true, false)
		purge("and again", purgeTree, "/a/state", false, false)
		if holdsFiles(filepath.Join(s.dir, "/a/state")) {
			t.Error("content is left")
		}
		purge("a folder with a mount point", purgeEmpty, "/a", false, false)
		purge("an empty mount point", purgeEmpty, "/a/state/quarantine", false, false)
		s.write(t, "/b/held", "{}", 0o600)
		bind("/b/held")
		purge("a file that is a mount point", purgeTree, "/b", true, true)
	})
}

// What a link leads to is another's: an administrator's disk, or, where others can write to the folder that the link is in, anything.
func TestPurgeFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "srv/data/kept")
	for _, link := range []string{"/var/log/cisco", "/var/lib/cisco/amp", "/etc/exclusions.xml", "/var/lib/empty"} {
		err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o755), os.WriteFile(kept, nil, 0o644), os.MkdirAll(filepath.Join(dir, "srv/none"), 0o755),
			os.MkdirAll(filepath.Join(dir, filepath.Dir(link)), 0o755), os.Symlink("/srv/data", filepath.Join(dir, link)))
		if err != nil {
			t.Fatal(err)
		}
	}
	h := NewHost(host.At(dir), nil)
	for _, link := range []string{"/var/log/cisco", "/var/lib/cisco/amp", "/etc/exclusions.xml"} {
		if did, err := purgeTree(link)(t.Context(), h, nil); !did || err != nil {
			t.Errorf("%s: %v, %v; expected the link to be removed", link, did, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, link)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, expected fs.ErrNotExist", link, err)
		}
	}
	for _, to := range []string{"/srv/none", "/srv/data"} {
		link := filepath.Join(dir, "var/lib/empty")
		if err := errors.Join(os.Remove(link), os.Symlink(to, link)); err != nil {
			t.Fatal(err)
		}
		if did, err := purgeEmpty("/var/lib/empty")(t.Context(), h, nil); did || err != nil {
			t.Errorf("a link to %s: %v, %v; expected it to be left", to, did, err)
		}
	}
	for _, left := range []string{kept, filepath.Join(dir, "srv/none"), filepath.Join(dir, "var/lib/empty")} {
		if _, err := os.Lstat(left); err != nil {
			t.Error(err)
		}
	}
}

// The account of a root that does not run is taken away with the tool's -P, as it was made.
func TestPurgeAccount(t *testing.T) {
	for _, defs := range []string{"USERGROUPS_ENAB yes\n", "USERGROUPS_ENAB no\n"} {
		s := newScratch(t)
		s.write(t, "/etc/login.defs", defs, 0o644)
		s.wrap(t, "userdel", `echo "$@" > `+s.dir+`/userdel`+"\n"+`exec "$tool" "$@"`)
		before := map[string]string{}
		files := []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"}
		for _, f := range files {
			before[f] = s.read(t, f)
		}
		if _, err := s.apply(t); err != nil {
			t.Fatal(err)
		}
		var done []string
		for _, task := range purgeTasks {
			if !strings.Contains(task.what.EN, scanAccount) {
				continue
			}
			did, err := task.do(t.Context(), s.host(), s.facts())
			if err != nil {
				t.Errorf("%s: %v", task.what.EN, err)
			}
			if again, err := task.do(t.Context(), s.host(), s.facts()); again || err != nil {
				t.Errorf("%s, again: %v, %v", task.what.EN, again, err)
			}
			if did {
				done = append(done, task.what.EN)
			}
		}
		if want := 1 + strings.Count(defs, "no"); len(done) != want { // userdel takes the group along, or not
			t.Errorf("%q: %d taken away, %d expected: %q", defs, len(done), want, done)
		}
		for _, f := range files {
			if now := s.read(t, f); now != before[f] {
				t.Errorf("%q: %s is\n%s\n%s expected", defs, f, now, before[f])
			}
		}
		if got, want := s.read(t, "/userdel"), "-P "+s.dir+" "+scanAccount+"\n"; got != want {
			t.Errorf("userdel %q, %q expected", got, want)
		}
	}
}
