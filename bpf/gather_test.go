package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

func btfHeader(magic uint16, version uint8, headerLen, typeOff, typeLen, strOff, strLen uint32) []byte {
	b := make([]byte, btfHeaderSize)
	binary.NativeEndian.PutUint16(b, magic)
	b[2] = version
	for i, v := range []uint32{headerLen, typeOff, typeLen, strOff, strLen} {
		binary.NativeEndian.PutUint32(b[4+4*i:], v)
	}
	return b
}

func TestKernelBTFOfAnImage(t *testing.T) {
	body := make([]byte, 100)
	for _, tt := range []struct {
		name string
		file []byte
		yes  bool
		err  string
	}{
		{"good", append(btfHeader(0xeb9f, 1, 24, 0, 60, 60, 40), body...), true, ""},
		{"magic", append(btfHeader(0x9feb, 1, 24, 0, 60, 60, 40), body...), false, "magic is 0x9feb, expected 0xeb9f"},
		{"version", append(btfHeader(0xeb9f, 2, 24, 0, 60, 60, 40), body...), false, "version is 2, expected 1"},
		{"strings beyond the end", append(btfHeader(0xeb9f, 1, 24, 0, 60, 61, 40), body...), false, "strings are bytes 61 to 101"},
		{"no types", append(btfHeader(0xeb9f, 1, 24, 0, 0, 60, 40), body...), false, "types are bytes 0 to 0"},
		{"short", []byte{0x9f, 0xeb, 1}, false, "read 3 bytes of a header of 24"},
		{"empty", []byte{}, false, "read 0 bytes of a header of 24"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, KernelBTFPath)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, tt.file, 0o644)); err != nil {
				t.Fatal(err)
			}
			got := Gather(t.Context(), host.At(root)).KernelBTF
			switch {
			case tt.yes && (!got.Known() || !got.Value):
				t.Errorf("got %+v", got)
			case !tt.yes && (got.Known() || !strings.Contains(got.Err.Error(), tt.err)):
				t.Errorf("got error %v, expected %s", got.Err, tt.err)
			}
		})
	}
}

func TestGatherOfAnImage(t *testing.T) {
	f := Gather(t.Context(), host.At(t.TempDir()))
	if !errors.Is(f.KernelBTF.Err, host.ErrNotRunning) || !errors.Is(f.Load.Err, host.ErrNotRunning) {
		t.Errorf("got %+v, expected that only the running host can tell", f)
	}
}

func TestGatherLive(t *testing.T) {
	needsBPF(t)
	f := Gather(t.Context(), host.At("/"))
	if !f.KernelBTF.Known() || !f.KernelBTF.Value {
		t.Errorf("KernelBTF: %+v", f.KernelBTF)
	}
	if !f.Load.Known() || !f.Load.Value {
		t.Errorf("Load: %+v", f.Load)
	}
}

func TestGatherCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := Gather(ctx, host.At("/")); !errors.Is(f.Load.Err, context.Canceled) {
		t.Errorf("got %+v", f.Load)
	}
}

// A process without rights is told that, and of no limit on locked memory.
func TestGatherWithoutRights(t *testing.T) {
	needsRoot(t)
	out := child(t, "gather", func(c *command) { c.uid = nobody })
	if want := unix.EPERM.Error() + ": this process has neither CAP_BPF nor CAP_SYS_ADMIN"; out != want {
		t.Errorf("got %q, expected %q", out, want)
	}
}

func FuzzBTFHeader(f *testing.F) {
	f.Add(int64(124), btfHeader(0xeb9f, 1, 24, 0, 60, 60, 40))
	f.Fuzz(func(t *testing.T, size int64, b []byte) {
		if len(b) == btfHeaderSize {
			checkBTFHeader(size, b)
		}
	})
}

func BenchmarkGather(b *testing.B) {
	needsBPF(b)
	for b.Loop() {
		Gather(b.Context(), host.At("/"))
	}
}
