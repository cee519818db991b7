package host

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// folder makes a root with /log in it and opens that.
func folder(t *testing.T) (f *Folder, dir string) {
	t.Helper()
	root := t.TempDir()
	dir = filepath.Join(root, "log")
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"shadow": "secret", "log/a.log": "0123456789", "log/below/b.log": "b", "log/c.txt": "c"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := At(root).OpenFolder("/log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, dir
}

func TestFolder(t *testing.T) {
	f, _ := folder(t)
	for deep, want := range []string{"a.log", "a.log below/b.log", "a.log below/b.log"} {
		names, err := f.Names(deep, func(p string) bool { return strings.HasSuffix(p, ".log") })
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%d: %v, %v", deep, names, err)
		}
	}
	for limit, want := range map[int64]string{4: "6789", 10: "0123456789", 99: "0123456789", 0: ""} {
		end, err := f.ReadEnd("a.log", limit)
		if err != nil || string(end.Content) != want || end.Size != 10 || end.Modified.IsZero() {
			t.Errorf("%d: %q, %d, %v", limit, end.Content, end.Size, err)
		}
	}
	if _, err := f.ReadEnd("none.log", 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := At(t.TempDir()).OpenFolder("/log"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// Nothing in a folder leads out of it, and nothing in it is waited for.
func TestFolderHolds(t *testing.T) {
	f, dir := folder(t)
	for name, make := range map[string]func(path string) error{
		"link out":           func(p string) error { return os.Symlink("../shadow", p) },
		"absolute link":      func(p string) error { return os.Symlink("/etc/passwd", p) },
		"link to a folder":   func(p string) error { return os.Symlink("..", p) },
		"link that is a way": func(p string) error { return os.Symlink("../log/a.log", p) },
		"fifo":               func(p string) error { return unix.Mkfifo(p, 0o600) },
		"fifo.gz":            func(p string) error { return unix.Mkfifo(p, 0o600) },
		"folder":             func(p string) error { return os.Mkdir(p, 0o700) },
		"not packed.gz":      func(p string) error { return os.WriteFile(p, []byte("plain"), 0o600) },
	} {
		if err := make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if end, err := f.ReadEnd(name, 99); err == nil {
			t.Errorf("%s: %q", name, end.Content)
		}
	}
	for _, name := range []string{"../shadow", "/etc/passwd", "link to a folder/shadow", "fifo"} {
		if end, err := f.ReadEnd(name, 99); err == nil {
			t.Errorf("%s: %q", name, end.Content)
		}
	}
	if _, err := f.ReadEnd("fifo", 9); !errors.Is(err, ErrNotRegular) {
		t.Errorf("%v", err)
	}
	if err := os.Symlink("a.log", filepath.Join(dir, "current.log")); err != nil {
		t.Fatal(err)
	}
	if end, err := f.ReadEnd("current.log", 99); err != nil || string(end.Content) != "0123456789" {
		t.Errorf("a link inside: %q, %v", end.Content, err)
	}
}

func TestFolderUnpacks(t *testing.T) {
	f, dir := folder(t)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	whole := strings.Repeat("0123456789abcde\n", 100000)
	if _, err := z.Write([]byte(whole)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.log.2.gz"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{1, 100, 70000, 1 << 20, 1 << 24} {
		end, err := f.ReadEnd("a.log.2.gz", limit)
		want := whole[max(0, int64(len(whole))-limit):]
		if err != nil || string(end.Content) != want || end.Size != int64(len(whole)) {
			t.Errorf("%d: %d bytes of %d, %v", limit, len(end.Content), end.Size, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "torn.gz"), b.Bytes()[:b.Len()/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadEnd("torn.gz", 9); err == nil {
		t.Error("half of a file was taken for the whole")
	}
}
