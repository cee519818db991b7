package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/kmod"
)

// bzImage is the beginning of one, with its version's text at 0x300.
func bzImage(text string) []byte {
	b := make([]byte, 0x400)
	copy(b[0x202:], "HdrS")
	b[0x20f] = 0x01
	copy(b[0x300:], text)
	return b
}

func TestKernelRelease(t *testing.T) {
	beyond := bzImage("")
	beyond[0x20f] = 0x7f
	for _, c := range []struct {
		name          string
		b             []byte
		release, says string
	}{
		{name: "Debian's", b: bzImage("6.12.118+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP\x00"), release: "6.12.118+deb13-amd64"},
		{name: "no kernel", b: []byte("\x7fELF"), says: `expected "HdrS" at 0x202`},
		{name: "no version", b: bzImage(""), says: "expected a release and a blank"},
		{name: "a version that is not in it", b: beyond, says: "the kernel's version is at 0x8100"},
	} {
		name := filepath.Join(t.TempDir(), "vmlinuz")
		if err := os.WriteFile(name, c.b, 0o644); err != nil {
			t.Fatal(err)
		}
		release, err := kernelRelease(name)
		if release != c.release || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v, expected %q, %q", c.name, release, err, c.release, c.says)
		}
	}
}

// What an image has built before is not built again; what stands in its folder under another name is of other sources.
func TestModulesAreKept(t *testing.T) {
	img := Image{Guest: Guest{Name: "x", Modules: true}, Dir: t.TempDir()}
	var log strings.Builder
	if err := writeFile(filepath.Join(img.Dir, "modules-0123456789abcdef", "ampfsm.ko"), "old", 0o644); err != nil {
		t.Fatal(err)
	}
	if files, err := img.Modules(t.Context(), &log); err == nil || !strings.Contains(err.Error(), "has no packages") {
		t.Errorf("%v, %v, expected that there are no headers to build in", files, err)
	}
	kept := filepath.Join(img.Dir, "modules-"+kmod.Made(), "ampfsm.ko")
	if err := writeFile(kept, "new", 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := img.Modules(t.Context(), &log)
	if err != nil || len(files) != 1 || files["kmod/ampfsm.ko"] != kept {
		t.Errorf("%v, %v, expected %s", files, err, kept)
	}
}

// Modules of another image are taken for the very same kernel only, and the error says which images differ.
func TestModulesOf(t *testing.T) {
	image := func(name, release string) Image {
		img := Image{Guest: Guest{Name: name, Modules: true}, Dir: t.TempDir()}
		img.Kernel = filepath.Join(img.Dir, "vmlinuz")
		if err := writeFile(img.Kernel, string(bzImage(release+" (x) #1\x00")), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(img.Dir, "modules-"+kmod.Made(), "ampfsm.ko"), release, 0o644); err != nil {
			t.Fatal(err)
		}
		return img
	}
	one, same, other := image("one", "6.1.0-57-amd64"), image("same", "6.1.0-57-amd64"), image("other", "6.1.0-58-amd64")
	var log strings.Builder
	if files, err := one.ModulesOf(t.Context(), same, &log); err != nil || filepath.Dir(filepath.Dir(files["kmod/ampfsm.ko"])) != same.Dir {
		t.Errorf("%v, %v, expected the file below %s", files, err, same.Dir)
	}
	_, err := one.ModulesOf(t.Context(), other, &log)
	for _, want := range []string{"one are those of other", "6.1.0-57-amd64 and 6.1.0-58-amd64", one.Dir, other.Dir} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q in it", err, want)
		}
	}
}
