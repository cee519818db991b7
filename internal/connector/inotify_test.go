package connector

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

// TestPathsThatChangeAreSeen makes each change and waits for word of it.
func TestPathsThatChangeAreSeen(t *testing.T) {
	dir := t.TempDir()
	passwd, folder, absent := filepath.Join(dir, "passwd"), filepath.Join(dir, "cisco"), filepath.Join(dir, "a", "b", "policy.xml")
	os.WriteFile(passwd, []byte("root"), 0o644)
	os.Mkdir(folder, 0o755)
	seen := make(chan string, 100)
	follow, err := watchPaths(t.Context(), func(what string) { seen <- what })
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{passwd, folder, absent}
	follow(paths)
	for _, change := range []struct {
		name string
		do   func() error
		want string
	}{
		{"written", func() error { return os.WriteFile(passwd, []byte("x"), 0o644) }, passwd},
		{"replaced", func() error {
			os.WriteFile(filepath.Join(dir, "passwd+"), nil, 0o644)
			return os.Rename(filepath.Join(dir, "passwd+"), passwd)
		}, passwd},
		{"mode of a folder", func() error { return os.Chmod(folder, 0o777) }, folder},
		{"removed", func() error { return os.Remove(passwd) }, passwd},
		{"folder above appears", func() error { return os.MkdirAll(filepath.Dir(absent), 0o755) }, absent},
		{"and the file in it", func() error { follow(paths); return os.WriteFile(absent, nil, 0o644) }, absent},
		{"its folder goes", func() error { return os.RemoveAll(filepath.Join(dir, "a")) }, absent},
	} {
		for len(seen) > 0 {
			<-seen
		}
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		if !await(seen, change.want) {
			t.Errorf("%s: no word of %s", change.name, change.want)
		}
	}
}

func await(seen <-chan string, want string) bool {
	deadline := time.After(5 * time.Second)
	for {
		select {
		case what := <-seen:
			if what == want {
				return true
			}
		case <-deadline:
			return false
		}
	}
}

func TestOtherNamesAndReadingAreNotSeen(t *testing.T) {
	dir := t.TempDir()
	passwd := filepath.Join(dir, "passwd")
	os.WriteFile(passwd, []byte("root"), 0o644)
	seen := make(chan string, 100)
	follow, err := watchPaths(t.Context(), func(what string) { seen <- what })
	if err != nil {
		t.Fatal(err)
	}
	follow([]string{passwd})
	os.ReadFile(passwd)
	os.WriteFile(filepath.Join(dir, "mtab"), []byte("x"), 0o644)
	os.ReadDir(dir)
	os.Remove(passwd) // which is seen, and comes after what would have been
	if what := <-seen; what != passwd || len(seen) != 0 {
		t.Errorf("seen %q and %d more", what, len(seen))
	}
}

// A directory to which two paths lead is one watch of the kernel's, by which both are told.
func TestTwoPathsToADirectoryAreWatched(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 100)
	follow, err := watchPaths(t.Context(), func(what string) { seen <- what })
	if err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(real, "first"), filepath.Join(link, "second")
	follow([]string{first, second})
	for _, path := range []string{first, second} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if !await(seen, path) {
			t.Errorf("%s was made, and nothing is told", path)
		}
	}
}

// record is an inotify_event as the kernel writes it.
func record(wd int32, mask uint32, name string) []byte {
	b := make([]byte, unix.SizeofInotifyEvent+len(name))
	binary.NativeEndian.PutUint32(b, uint32(wd))
	binary.NativeEndian.PutUint32(b[4:], mask)
	binary.NativeEndian.PutUint32(b[12:], uint32(len(name)))
	copy(b[unix.SizeofInotifyEvent:], name)
	return b
}

func TestOverflowAndIgnoredRecords(t *testing.T) {
	w := &pathWatch{names: map[int32]map[string]string{1: {"passwd": "/etc/passwd"}}}
	for _, c := range []struct {
		name  string
		bytes []byte
		want  bool
	}{
		{"overflow", record(-1, unix.IN_Q_OVERFLOW, ""), true},
		{"ignored", record(1, unix.IN_IGNORED, ""), false},
		{"unknown watch", record(2, unix.IN_CREATE, "passwd\x00\x00"), false},
		{"ours after another", append(record(1, unix.IN_CREATE, "x\x00"), record(1, unix.IN_ATTRIB, "passwd\x00\x00")...), true},
		{"folder went", record(1, unix.IN_DELETE_SELF, ""), true},
		{"cut off", record(1, unix.IN_CREATE, "passwd\x00\x00")[:20], true},
	} {
		if got := w.relevant(c.bytes); (got != "") != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func FuzzInotifyRecords(f *testing.F) {
	f.Add(record(1, unix.IN_ATTRIB, "passwd\x00\x00"))
	f.Add(append(record(1, unix.IN_CREATE, "x\x00"), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &pathWatch{names: map[int32]map[string]string{1: {"passwd": "/etc/passwd"}}}
		w.relevant(b)
	})
}

// BTF is used as soon as it is there, the kernel's own or a file's in whichever folder, and not a minute later.
func TestPlacesOfBTFAreWatched(t *testing.T) {
	f := &health.Facts{Policy: host.Read(policy.Policy{BTFFolder: "/srv/btf"}, "policy.xml")}
	f.Host.Kernel = host.Read(host.Kernel{Release: "6.1.0-56-amd64"}, "uname(2)")
	f.BPF.Layouts.Value.Stamp = "none"
	paths := pathsOf(f)
	for _, want := range []string{bpf.KernelBTFPath, "/srv/btf/6.1.0-56-amd64.btf", "/srv/btf/6.1.0-56-amd64.btf.tar.xz", layout.ExternalDir + "/6.1.0-56-amd64.btf"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%q lacks %s", paths, want)
		}
	}
}
