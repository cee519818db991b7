package installer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4Shutdown ends all work of an ext4 file system at once, and ext4NoLogFlush leaves its log in memory unwritten (fs/ext4/ext4.h,
// EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH). What is mounted afterwards is what the disk had: a power loss.
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// disk is an ext4 file system that a power loss can be made on.
type disk struct {
	image, at string
}

// newDisk mounts a file system and has the test's temporary folders, those of its hosts, made there.
func newDisk(t *testing.T) disk {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "disk")
	if err != nil {
		t.Fatal(err)
	}
	d := disk{filepath.Join(dir, "image"), filepath.Join(dir, "at")}
	t.Cleanup(func() {
		err := unix.Unmount(d.at, 0)
		if errors.Is(err, unix.EINVAL) { // not mounted
			err = nil
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	err = errors.Join(os.Mkdir(d.at, 0o755), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 256<<20))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skip(err)
	}
	t.Setenv("TMPDIR", d.at)
	return d
}

func (d disk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput(); err != nil {
		return fmt.Errorf("needs the right to mount a file system from a file: %w: %s", err, out)
	}
	return nil
}

// sync has all that was written so far survive.
func (d disk) sync(t *testing.T) {
	t.Helper()
	d.do(t, unix.Syncfs)
}

// losePower leaves what the disk had.
func (d disk) losePower(t *testing.T) {
	t.Helper()
	d.do(t, func(fd int) error {
		flags := uint32(ext4NoLogFlush)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
			return errno
		}
		return nil
	})
	d.until(t, "all tools have ended", d.ended)
	d.until(t, "it is unmounted", func() error { return unix.Unmount(d.at, 0) })
	if err := d.mount(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(d.at, "power"), 0o700), os.Remove(filepath.Join(d.at, "power"))); err != nil {
		t.Fatalf("the file system was not unmounted for good: %v", err)
	}
}

// until tries something again while the file system is busy.
func (d disk) until(t *testing.T, what string, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			t.Fatalf("%s: waiting until %s: %v", d.at, what, err)
		}
	}
}

// ended kills what is at work on the disk, tools and their keepers, and reports EBUSY while any of them is there. Their parent is gone, so
// that they are this process's to wait for: as zombies they would be taken for the holders of their locks.
func (d disk) ended() error {
	held, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return err
	}
	for _, fd := range held {
		file, err := os.Readlink(fd)
		pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
		if err == nil && pid != os.Getpid() && strings.HasPrefix(file, d.at+"/") {
			_ = syscall.Kill(pid, syscall.SIGKILL) // ESRCH: it has ended meanwhile
		}
	}
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case pid == 0:
			return unix.EBUSY
		}
	}
}

func (d disk) do(t *testing.T, what func(fd int) error) {
	t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := what(int(f.Fd())); err != nil {
		t.Fatalf("%s: %v", d.at, err)
	}
}

// The disk forgets what nobody synced, and keeps what somebody did: else the sweeps would prove nothing.
func TestPowerLossIsOne(t *testing.T) {
	if !killpoints {
		runWithKillpoints(t)
		return
	}
	d := newDisk(t)
	written := func(name string) string { return filepath.Join(d.at, name) }
	d.sync(t)
	kept, err := os.Create(written("kept"))
	if err = errors.Join(err, kept.Sync(), kept.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(written("lost"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.losePower(t)
	if _, err := os.Stat(written("kept")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(written("lost")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not synced: got error %v, want that it does not exist", err)
	}
}
