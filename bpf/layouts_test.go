package bpf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/host"
)

func put(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path+".new", []byte(text), 0o644), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func TestFindLayouts(t *testing.T) {
	const release = "6.1.0-56-amd64"
	yes, no, unknown := host.Read(true, "config"), host.Read(false, "config"), host.NotKnown[bool]("config", errors.New("denied"))
	btf := string(append(btfHeader(0xeb9f, 1, 24, 0, 60, 60, 40), make([]byte, 100)...))
	none := host.Read[*host.Headers](nil, "build")
	unread := host.NotKnown[*host.Headers]("build", errors.New("utsrelease.h: no line"))
	for _, c := range []struct {
		name    string
		own     host.Reading[bool] // of an image, by its configuration
		headers host.Reading[*host.Headers]
		file    bool
		origin  layout.Origin
		err     string
	}{
		{"its own", yes, none, true, "", ""},
		{"a file", no, none, true, layout.External, ""},
		{"a file, and headers that cannot be read", no, unread, true, layout.External, ""},
		{"nothing", no, none, false, layout.None, ""},
		{"its own is not known, and a file", unknown, none, true, layout.External, ""},
		{"headers that cannot be read", no, unread, false, "", "no line"},
	} {
		root := t.TempDir()
		if c.file {
			put(t, root, layout.ExternalDir+"/"+release+".btf", btf)
		}
		// What the kernel that runs the test offers is of no matter for an image.
		got := FindLayouts(host.At(root), LayoutStore(""), host.Read(true, KernelBTFPath), host.Read(host.Kernel{Release: release, BTF: c.own, Headers: c.headers}, "--kernel"))
		if got.Value.Origin != c.origin || (got.Err != nil) != (c.err != "") || c.err != "" && !strings.Contains(got.Err.Error(), c.err) {
			t.Errorf("%s: %+v, expected %q, error %q", c.name, got, c.origin, c.err)
		}
		if (got.Value.Stamp != "") != (c.origin != "") {
			t.Errorf("%s: the stamp is %q", c.name, got.Value.Stamp)
		}
	}
	if got := FindLayouts(host.At(t.TempDir()), LayoutStore(""), no, host.NotKnown[host.Kernel]("/lib/modules", host.ErrSeveralKernels)); !errors.Is(got.Err, host.ErrSeveralKernels) {
		t.Errorf("several kernels: %+v", got)
	}
}

// The stamp tells a tree that changed, a compiler that came, and a package manager that is done.
func TestLayoutStamp(t *testing.T) {
	const release = "6.1.0-56-amd64"
	root := t.TempDir()
	build := "/lib/modules/" + release + "/build/"
	put(t, root, build+"Makefile", "")
	put(t, root, "/usr/bin/make", "")
	put(t, root, "/var/lib/dpkg/status", "")
	f := layout.Found{Origin: layout.Derived, From: build}
	before := stamp(host.At(root), release, f)
	if again := stamp(host.At(root), release, f); again != before {
		t.Errorf("%q, then %q, and nothing happened", before, again)
	}
	if cached := stamp(host.At(root), release, layout.Found{Origin: layout.Cached, From: build}); cached != before {
		t.Errorf("%q, and once it is derived %q", before, cached)
	}
	for _, change := range []func(){
		func() { put(t, root, build+"Makefile", "") },
		func() { put(t, root, build+"include/generated/autoconf.h", "") },
		func() { put(t, root, "/usr/bin/gcc-12", "") },
		func() { put(t, root, "/var/lib/dpkg/status", "") },
	} {
		change()
		after := stamp(host.At(root), release, f)
		if after == before {
			t.Errorf("%q is the same after a change", after)
		}
		before = after
	}
}
