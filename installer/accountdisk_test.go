package installer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mountTmpfs mounts an empty file system of size bytes at dir of the scratch root, with what was there copied into it.
func (s scratch) mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	path := filepath.Join(s.dir, dir)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			files[e.Name()] = s.read(t, filepath.Join(dir, e.Name()))
		}
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "size="+size+",mode=755"); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	for name, text := range files {
		s.write(t, filepath.Join(dir, name), text, 0o644)
	}
}

// fill writes until the disk takes no more.
func (s scratch) fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(s.dir, dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func (s scratch) readOnly(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("", filepath.Join(s.dir, dir), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// A host that takes no changes gets a plain error, and stays as it is, journal and all.
func TestAccountOnAHostThatTakesNoChanges(t *testing.T) {
	table := []struct {
		name    string
		prepare func(t *testing.T, s scratch)
		is      error
		says    string
	}{
		{"full /etc", func(t *testing.T, s scratch) { s.mountTmpfs(t, "etc", "64k"); s.fill(t, "etc") }, syscall.ENOSPC, "etc: the disk is full"},
		{"full /var", func(t *testing.T, s scratch) { s.mountTmpfs(t, "var", "64k"); s.fill(t, "var") }, syscall.ENOSPC, "nothing was changed, since the journal cannot be written: the disk is full"},
		{"read-only /etc", func(t *testing.T, s scratch) { s.mountTmpfs(t, "etc", "1m"); s.readOnly(t, "etc") }, syscall.EROFS, "etc: the file system is mounted read-only"},
		{"read-only /var", func(t *testing.T, s scratch) { s.mountTmpfs(t, "var", "1m"); s.readOnly(t, "var") }, syscall.EROFS, "journal cannot be written: the file system is mounted read-only"},
		{"immutable passwd", func(t *testing.T, s scratch) { setFlag(t, filepath.Join(s.dir, "etc/passwd"), immutableFlag) }, ErrImmutable, "chattr -i"},
		{"immutable /etc", func(t *testing.T, s scratch) { setFlag(t, filepath.Join(s.dir, "etc"), immutableFlag) }, ErrImmutable, "chattr -i"},
		{"append-only shadow", func(t *testing.T, s scratch) { setFlag(t, filepath.Join(s.dir, "etc/shadow"), appendOnlyFlag) }, ErrImmutable, "chattr -a"},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			s := newScratch(t)
			row.prepare(t, s)
			before := tree(t, filepath.Join(s.dir, "etc"))
			_, err := s.apply(t)
			if !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("error: %v", err)
			}
			after := tree(t, filepath.Join(s.dir, "etc"))
			if len(before) != len(after) {
				t.Errorf("%d names in /etc before, %d after", len(before), len(after))
			}
			if err := leftovers(s.dir); err != nil {
				t.Error(err)
			}
			if _, err := Recover(context.Background(), s.host()); err != nil {
				t.Errorf("Recover: %v", err)
			}
		})
	}
}

func setFlag(t *testing.T, path string, flag uint32) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		t.Cleanup(func() { unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)) })
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|flag))
	}
	if err != nil {
		t.Skipf("%s: the file system does not take such flags: %v", path, err)
	}
}
