package quarantine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The digest of fs-verity is kept, and told as lost when the file is given back: whoever had signed it has to do so again.
func TestVerity(t *testing.T) {
	b := newBench(t)
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 32<<20); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mke2fs", "-q", "-t", "ext4", "-O", "verity", "-b", "4096", image}, {"mount", "-o", "loop", image, b.dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("needs a file system with fs-verity: %q: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() { unix.Unmount(b.dir, unix.MNT_DETACH) })
	b.make("bad", content)
	f, err := os.Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// include/uapi/linux/fsverity.h, struct fsverity_enable_arg
	arg := struct {
		version, algorithm, block, saltSize uint32
		salt                                uint64
		signatureSize, reserved             uint32
		signature                           uint64
		more                                [11]uint64
	}{version: 1, algorithm: 1, block: 4096}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.FS_IOC_ENABLE_VERITY, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		t.Skipf("needs fs-verity: %v", errno)
	}
	e := b.mustTake()
	if !strings.HasPrefix(e.Verity, "sha256:") || len(e.Verity) != len("sha256:")+64 {
		t.Errorf("digest %q", e.Verity)
	}
	done, err := b.store.Restore(t.Context(), e.ID, RestoreOptions{})
	if err != nil || len(done.Missed) != 1 || !strings.Contains(done.Missed[0], e.Verity) {
		t.Errorf("%+v, %v", done, err)
	}
	b.has(b.path, content)
}
