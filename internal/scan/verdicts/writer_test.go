package verdicts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHasWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	expect := func(when string, want bool) {
		t.Helper()
		if got, err := HasWriter(f); got != want || err != nil {
			t.Errorf("%s: %t, %v, expected %t", when, got, err, want)
		}
	}
	expect("nobody else has it", false)
	writer, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0) // with O_NONBLOCK it would fail if the lease were still there
	if err != nil {
		t.Fatal(err)
	}
	expect("open for writing", true)
	writer.Close()
	if writer, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	mapping, err := unix.Mmap(int(writer.Fd()), 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()
	expect("mapped for writing, by a descriptor that is closed", true)
	if err := unix.Munmap(mapping); err != nil {
		t.Fatal(err)
	}
	expect("not mapped any more", false)
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	expect("open for reading", false)
}

// What has no leases, a directory for one, leaves it open.
func TestHasWriterThatCannotBeTold(t *testing.T) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := HasWriter(f); got || !errors.Is(err, unix.EINVAL) {
		t.Errorf("%t, %v", got, err)
	}
}
