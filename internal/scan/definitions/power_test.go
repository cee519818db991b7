package definitions

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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

// loseable is an ext4 file system in a file, on which a power loss can be made.
type loseable struct{ image, at string }

func newLoseable(t *testing.T) loseable {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts a file system for each kill point: not with -short")
	}
	dir := t.TempDir()
	d := loseable{filepath.Join(dir, "image"), filepath.Join(dir, "at")}
	if err := errors.Join(os.Mkdir(d.at, 0o755), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", d.image).CombinedOutput(); err != nil {
		t.Skipf("needs mke2fs: %v: %s", err, out)
	}
	d.mount(t)
	t.Cleanup(func() { unix.Unmount(d.at, unix.MNT_DETACH) })
	t.Setenv("TMPDIR", d.at)
	return d
}

func (d loseable) mount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput(); err != nil {
		t.Skipf("needs the right to mount a file system from a file: %v: %s", err, out)
	}
}

func (d loseable) do(t *testing.T, what func(fd int) error) {
	t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := what(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

// lose leaves what the disk had.
func (d loseable) lose(t *testing.T) {
	t.Helper()
	d.do(t, func(fd int) error {
		flags := uint32(ext4NoLogFlush)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
			return errno
		}
		return nil
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Unmount(d.at, 0)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	d.mount(t)
}

// TestPowerLost loses all that nobody has synchronized at each kill point, and after the deed.
func TestPowerLost(t *testing.T) {
	for what, d := range deeds {
		t.Run(what, func(t *testing.T) {
			disk := newLoseable(t)
			dir, _ := sweepHost(t, d)
			for _, point := range append(sweepRun(t, dir, what, ""), "") {
				t.Run(point, func(t *testing.T) {
					dir, s := sweepHost(t, d)
					disk.do(t, unix.Syncfs)
					sweepRun(t, dir, what, point)
					disk.lose(t)
					mayBeLive(t, s, d)
					if point == "" {
						expectLive(t, s, d.live[len(d.live)-1])
					}
					sweepRun(t, dir, what, "")
					expectLive(t, s, d.live[len(d.live)-1])
				})
			}
		})
	}
}
