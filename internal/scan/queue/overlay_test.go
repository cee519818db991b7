package queue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Events have the device of the file system as the kernel knows it, which on overlayfs need not be the one that stat(2) gives.
func TestOnOverlayfsTheInodeDecides(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	w := newWorld(t, nil)
	for _, dir := range []string{"upper", "merged"} {
		os.Mkdir(filepath.Join(w.dir, dir), 0o755)
	}
	if err := unix.Mount("tmpfs", filepath.Join(w.dir, "upper"), "tmpfs", 0, ""); err != nil {
		t.Skip("tmpfs cannot be mounted here:", err)
	}
	t.Cleanup(func() { unix.Unmount(filepath.Join(w.dir, "upper"), unix.MNT_DETACH) })
	for _, dir := range []string{"lower", "upper/up", "upper/work"} {
		os.Mkdir(filepath.Join(w.dir, dir), 0o755)
	}
	w.file("lower/f", "lower")
	options := "lowerdir=" + w.dir + "/lower,upperdir=" + w.dir + "/upper/up,workdir=" + w.dir + "/upper/work"
	merged := filepath.Join(w.dir, "merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Skip("overlayfs cannot be mounted here:", err)
	}
	t.Cleanup(func() { unix.Unmount(merged, unix.MNT_DETACH) })
	w.file("merged/g", "upper")
	for name, want := range map[string]string{"f": "lower", "g": "upper"} {
		e := wrote(w.look(filepath.Join(merged, name)))
		e.File.Device++ // as the mount has it, and not the layer
		if got, err := opened(t, e, false); err != nil || got != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
		e.File.Inode++
		if _, err := opened(t, e, false); !errors.Is(err, errReplaced) {
			t.Errorf("%s, another inode: %v", name, err)
		}
	}
}
