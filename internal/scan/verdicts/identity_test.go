package verdicts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openFileAt(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func identityOf(t *testing.T, f *os.File) Identity {
	t.Helper()
	id, err := Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentityChangesWithTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	f := openFileAt(t, path, os.O_RDWR|os.O_CREATE)
	before := identityOf(t, f)
	if before != identityOf(t, f) {
		t.Error("a file that nobody touched has two identities")
	}
	if before.Device == 0 || before.Inode == 0 || before.Changed == 0 || before.Filesystem == 0 {
		t.Errorf("identity %+v lacks something", before)
	}
	for _, tt := range []struct {
		name   string
		change func() error
	}{
		{"written", func() error { _, err := f.WriteString("x"); return err }},
		{"written in place", func() error { _, err := f.WriteAt([]byte("y"), 0); return err }},
		{"written in place, mtime put back", func() error {
			if _, err := f.WriteAt([]byte("z"), 0); err != nil {
				return err
			}
			old := time.Unix(0, before.Modified)
			return os.Chtimes(path, old, old)
		}},
		{"truncated", func() error { return f.Truncate(0) }},
	} {
		time.Sleep(2 * tick) // ctime goes on in ticks
		before := identityOf(t, f)
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		if before == identityOf(t, f) {
			t.Errorf("%s: the identity is as before", tt.name)
		}
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if identityOf(t, openFileAt(t, other, os.O_RDONLY)).Inode == identityOf(t, f).Inode {
		t.Error("two files have one inode")
	}
}

func TestOnlyRegularFilesHaveAnIdentity(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, "/dev/null"} {
		f := openFileAt(t, path, os.O_RDONLY|unix.O_NONBLOCK)
		if _, err := Identify(f); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, expected one with the path", path, err)
		}
		f.Close()
		if _, err := Identify(f); err == nil {
			t.Errorf("%s: closed, and identified", path)
		}
	}
}

func TestProves(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		name       string
		filesystem uint32
		age        time.Duration
		want       bool
	}{
		{"old file", unix.EXT4_SUPER_MAGIC, time.Hour, true},
		{"changed in this tick", unix.EXT4_SUPER_MAGIC, 3 * time.Millisecond, false},
		{"changed two ticks ago", unix.EXT4_SUPER_MAGIC, 21 * time.Millisecond, true},
		{"changed in the future: the clock was set back", unix.XFS_SUPER_MAGIC, -time.Hour, false},
		{"a program says what its times are", unix.FUSE_SUPER_MAGIC, time.Hour, false},
		{"a server says", unix.NFS_SUPER_MAGIC, time.Hour, false},
		{"two-second steps", unix.MSDOS_SUPER_MAGIC, time.Hour, false},
	} {
		id := Identity{Filesystem: tt.filesystem, Changed: now.Add(-tt.age).UnixNano()}
		if got := id.Proves(now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A file that is written to twice in one tick may have one ctime for two contents: such an identity must prove nothing.
func TestWhatProvesIsNeverTwoContents(t *testing.T) {
	f := openFileAt(t, filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE)
	same := 0
	for i := range 2000 {
		if _, err := f.WriteAt([]byte{byte(i)}, 0); err != nil {
			t.Fatal(err)
		}
		looked := time.Now()
		before := identityOf(t, f)
		if _, err := f.WriteAt([]byte{byte(i + 1)}, 0); err != nil {
			t.Fatal(err)
		}
		if before == identityOf(t, f) {
			same++
			if before.Proves(looked) {
				t.Fatalf("turn %d: %+v has two contents and proves one", i, before)
			}
		}
	}
	t.Logf("%d of 2000 changes left the identity as it was", same)
}

func BenchmarkIdentify(b *testing.B) {
	f, err := os.Open("identity_test.go")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Identify(f); err != nil {
			b.Fatal(err)
		}
	}
}
