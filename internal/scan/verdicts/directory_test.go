package verdicts

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file has one identity, whichever way it is looked at; and what is no regular file has none.
func TestIdentityByName(t *testing.T) {
	dir := t.TempDir()
	f := openFileAt(t, filepath.Join(dir, "f"), os.O_RDWR|os.O_CREATE)
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Symlink("f", filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Mkdir(filepath.Join(dir, "d"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	in, err := InDirectory(int(openFileAt(t, dir, os.O_RDONLY).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	id, ok := in.Identify("f")
	if want := identityOf(t, f); !ok || id != want {
		t.Errorf("%+v %v, expected %+v", id, ok, want)
	}
	for _, name := range []string{"link", "fifo", "d", "none"} {
		if id, ok := in.Identify(name); ok {
			t.Errorf("%s: %+v", name, id)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	other := filepath.Join(dir, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", other, "tmpfs", 0, ""); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(other, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(other, "g"), []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(other, "g"), filepath.Join(dir, "f"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(dir, "f"), unix.MNT_DETACH) })
	if id, ok := in.Identify("f"); ok {
		t.Errorf("a file of another file system is told with this one's: %+v", id)
	}
}
