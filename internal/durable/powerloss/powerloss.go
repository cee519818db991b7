// Package powerloss makes a power loss in tests: an ext4 file system in a file, whose work ends at once, and of which is left what the disk
// had. Only tests import it.
package powerloss

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ends all work of an ext4 file system without writing its log (fs/ext4/ext4.h, EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH).
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// patience bounds the wait for what keeps the file system busy.
const patience = time.Minute

// Disk is a file system that a power loss can be made on.
type Disk struct {
	At    string // where it is mounted
	image string
}

// aloneEnv is set in the process that Alone makes.
const aloneEnv = "AMP_TEST_POWERLOSS"

// spare is what a process that Alone makes leaves of the time, to tell of itself.
const spare = 5 * time.Second

// Alone runs the calling test again in a process with mounts of its own, and reports whether this is that process: in a mount namespace that
// anybody else makes meanwhile, a copy of the mount would keep the file system from being unmounted for good, and what is mounted next would be the
// same again, without power.
func Alone(t *testing.T) bool {
	t.Helper()
	switch {
	case os.Getenv(aloneEnv) != "":
		return true
	case testing.Short():
		t.Skip("mounts a file system for each kill point: not with -short")
	case os.Geteuid() != 0:
		t.Skip("needs root: file systems are mounted")
	}
	// Its own deadline ends before this one's, so that it tells where it was.
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.v", "-test.timeout", "0"}
	if deadline, ok := t.Deadline(); ok {
		args[len(args)-1] = (time.Until(deadline) - spare).String()
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), aloneEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Fatalf("it did not run:\n%s", out)
	}
	return false
}

// New mounts a file system of so many bytes and has the test's temporary folders made there. Where nothing may be mounted, the test is skipped.
func New(t *testing.T, size int64) Disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk")
	if err != nil {
		t.Fatal(err)
	}
	d := Disk{filepath.Join(dir, "at"), filepath.Join(dir, "image")}
	t.Cleanup(func() {
		err := unix.Unmount(d.At, 0)
		if errors.Is(err, unix.EINVAL) { // not mounted
			err = nil
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Mkdir(d.At, 0o755), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, size)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skip(err)
	}
	t.Setenv("TMPDIR", d.At)
	return d
}

func (d Disk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.At).CombinedOutput(); err != nil {
		return fmt.Errorf("needs the right to mount a file system from a file: %w: %s", err, out)
	}
	return nil
}

// Sync has all that was written so far survive.
func (d Disk) Sync(t *testing.T) {
	t.Helper()
	d.do(t, unix.Syncfs)
}

// Lose leaves what the disk had. Before it is unmounted, each of ended is tried until it is no more EBUSY.
func (d Disk) Lose(t *testing.T, ended ...func() error) {
	t.Helper()
	d.do(t, func(fd int) error {
		flags := uint32(ext4NoLogFlush)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
			return errno
		}
		return nil
	})
	for _, try := range append(ended, func() error { return unix.Unmount(d.At, 0) }) {
		d.until(t, try)
	}
	if err := d.mount(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(d.At, "power"), 0o700), os.Remove(filepath.Join(d.At, "power"))); err != nil {
		t.Fatalf("the file system was not unmounted for good: %v", err)
	}
}

// until tries something again while the file system is busy.
func (d Disk) until(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			t.Fatalf("%s: waiting until it is at rest: %v", d.At, err)
		}
	}
}

func (d Disk) do(t *testing.T, what func(fd int) error) {
	t.Helper()
	f, err := os.Open(d.At)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := what(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}
