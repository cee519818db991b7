package layout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/bpf/layout/debiankernel"
	"github.com/ampconnector/amp/internal/host"
)

// debianTypes is the BTF of a kernel itself, read as that of an external file, and kept by the kernel's release.
func debianTypes(t testing.TB, k debiankernel.Kernel) *btf.Spec {
	t.Helper()
	kept := filepath.Join(debiankernel.CacheDir(t), "btf-"+k.Release)
	if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
		put(t, kept+".new", imageBTF(t, k))
		if err := os.Rename(kept+".new", kept); err != nil {
			t.Fatal(err)
		}
	}
	types, err := parse(mustRead(t, kept))
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func imageBTF(t testing.TB, k debiankernel.Kernel) []byte {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "boot/vmlinux-"+k.Release), k.Image(t))
	r := host.At(dir)
	found := Store{Dir: Dir}.Find(r, k.Release, nil)
	if !found.Known() || found.Value.Origin != External {
		t.Fatalf("the kernel was not taken for one: %+v", found)
	}
	b, err := readExternal(r, found.Value.From, k.Release)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readExternal(r, found.Value.From, k.Release+"1"); err == nil {
		t.Error("the kernel was taken for another")
	}
	return b
}

// TestDerivedIsTheKernels derives the layouts of real kernels from their header packages, and relocates every object with them: each field is
// where the kernel itself says.
func TestDerivedIsTheKernels(t *testing.T) {
	for _, suite := range debiankernel.Suites() {
		t.Run(suite, func(t *testing.T) {
			k := debiankernel.Open(t, suite)
			types := debianTypes(t, k)
			s := Store{Dir: Dir}
			p, err := s.find(k.Root, k.Release, k.Headers)
			if err != nil || p.Origin != Derived {
				t.Fatalf("found %+v (%v), expected %s", p, err, Derived)
			}
			spec, err := s.open(context.Background(), k.Root, k.Release, p)
			if err != nil {
				t.Fatal(err)
			}
			if p.Unkept != nil {
				t.Error(p.Unkept)
			}
			n, differ := differences(t, spec, types, "_x86_bpfel.o")
			for _, d := range differ {
				t.Error(d)
			}
			t.Logf("%s by %s, which asks for %s: %d relocations", k.Release, p.tools.compiler, p.tools.wanted, n)
			if n < 1000 {
				t.Errorf("%d relocations, expected more than 1000", n)
			}
			again, err := s.find(k.Root, k.Release, k.Headers)
			if err != nil || again.Origin != Cached {
				t.Fatalf("found %+v (%v) after that, expected %s", again, err, Cached)
			}
			if spec, err = s.open(context.Background(), k.Root, k.Release, again); err != nil {
				t.Fatal(err)
			}
			if _, differ := differences(t, spec, types, "_x86_bpfel.o"); len(differ) > 0 {
				t.Errorf("what was kept differs: %v", differ)
			}
		})
	}
}
