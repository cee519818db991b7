package kmod

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/host"
)

// What is there already is not built: prebuilt ones, and those among the kernel's own, if they are of this version and for this kernel. There are no
// headers, so that building is seen by its failure.
func TestPrepare(t *testing.T) {
	const release, other = "6.1.0-1-amd64", "6.1.0-2-amd64"
	file, network := ourModule(t, FileModule, release), ourModule(t, NetworkModule, release)
	dep := []byte("updates/dkms/ampfsm.ko:\nupdates/dkms/ampnetworkflow.ko.xz:\n")
	const prebuilt, dkms = PrebuiltDir + "/" + release + "/", "/lib/modules/" + release + "/updates/dkms/"
	for name, c := range map[string]struct {
		files map[string][]byte
		ready bool
	}{
		"nothing":                  {nil, false},
		"prebuilt":                 {map[string][]byte{prebuilt + "ampfsm.ko": file, prebuilt + "ampnetworkflow.ko": network}, true},
		"one is missing":           {map[string][]byte{prebuilt + "ampfsm.ko": file}, false},
		"damaged":                  {map[string][]byte{prebuilt + "ampfsm.ko": file[:40], prebuilt + "ampnetworkflow.ko": network}, false},
		"of another kernel":        {map[string][]byte{prebuilt + "ampfsm.ko": ourModule(t, FileModule, other), prebuilt + "ampnetworkflow.ko": network}, false},
		"of another version":       {map[string][]byte{prebuilt + "ampfsm.ko": fakeModule(t, "name=ampfsm", "vermagic="+release+" SMP", "amp_sources=0123456789abcdef"), prebuilt + "ampnetworkflow.ko": network}, false},
		"another's of the name":    {map[string][]byte{prebuilt + "ampfsm.ko": fakeModule(t, "name=ampfsm", "vermagic="+release+" SMP"), prebuilt + "ampnetworkflow.ko": network}, false},
		"by DKMS":                  {map[string][]byte{"/lib/modules/" + release + "/modules.dep": dep, dkms + "ampfsm.ko": file, dkms + "ampnetworkflow.ko.xz": packed(t, "xz", network)}, true},
		"by DKMS, damaged":         {map[string][]byte{"/lib/modules/" + release + "/modules.dep": dep, dkms + "ampfsm.ko": file, dkms + "ampnetworkflow.ko.xz": network}, false},
		"by DKMS, not in the list": {map[string][]byte{dkms + "ampfsm.ko": file, dkms + "ampnetworkflow.ko.xz": packed(t, "xz", network)}, false},
		"one by each": {map[string][]byte{
			prebuilt + "ampfsm.ko": file, "/lib/modules/" + release + "/modules.dep": dep, dkms + "ampfsm.ko": {}, dkms + "ampnetworkflow.ko.xz": packed(t, "xz", network),
		}, true},
	} {
		r := host.At(t.TempDir())
		for file, content := range c.files {
			plantFile(t, r.Dir(), file, content)
		}
		built, err := Prepare(t.Context(), r, host.ReadKernel(r, release))
		var missing *layout.Error
		if built || c.ready != (err == nil) || !c.ready && (!errors.As(err, &missing) || missing.Why != layout.NoHeaders) {
			t.Errorf("%s: built %v, %v; expected ready %v", name, built, err, c.ready)
		}
	}
	if _, err := Prepare(t.Context(), host.At(t.TempDir()), host.Kernel{Release: "../x"}); !errors.Is(err, host.ErrMalformed) {
		t.Errorf("%v, expected no release", err)
	}
}

// What was kept for a kernel goes with it, and what was made of other headers or sources with the next build.
func TestLeftovers(t *testing.T) {
	list := func(r host.Root) []string {
		entries, err := os.ReadDir(filepath.Join(r.Dir(), BuiltDir))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	all := []string{
		"6.1.0-1-amd64-0123456789abcdef/ampfsm.ko", "6.1.0-1-amd64-signed/ampfsm.ko", "6.1.0-1-amd64-unpacked/ampfsm.ko", "6.1.0-1-amd64.log",
		"6.1.0-2-amd64-0123456789abcdef/ampfsm.ko", "6.1.0-2-amd64-fedcba9876543210/ampfsm.ko", "6.1.0-2-amd64-signed/ampfsm.ko", "6.1.0-2-amd64.log",
		"6.1.0-2-0123456789abcdef/ampfsm.ko", "scratch/x",
	}
	r := host.At(t.TempDir())
	if err := dropGone(r, "6.1.0-2-amd64"); err != nil {
		t.Errorf("where nothing was kept: %v", err)
	}
	for _, name := range all {
		plantFile(t, r.Dir(), filepath.Join(BuiltDir, name), nil)
	}
	plantFile(t, r.Dir(), "/lib/modules/6.1.0-1-amd64/modules.builtin", nil)
	plantFile(t, r.Dir(), "/lib/modules/6.1.0-2/updates/dkms/x.ko", nil) // what a kernel leaves that is gone
	if err := dropGone(r, "6.1.0-2-amd64"); err != nil {
		t.Fatal(err)
	}
	if got := list(r); !slices.Equal(got, []string{
		"6.1.0-1-amd64-0123456789abcdef", "6.1.0-1-amd64-signed", "6.1.0-1-amd64-unpacked", "6.1.0-1-amd64.log",
		"6.1.0-2-amd64-0123456789abcdef", "6.1.0-2-amd64-fedcba9876543210", "6.1.0-2-amd64-signed", "6.1.0-2-amd64.log", "scratch",
	}) {
		t.Errorf("kept after kernels went: %q", got)
	}
	if err := dropOthers(r, "6.1.0-2-amd64", BuiltDir+"/6.1.0-2-amd64-fedcba9876543210"); err != nil {
		t.Fatal(err)
	}
	if got := list(r); !slices.Equal(got, []string{
		"6.1.0-1-amd64-0123456789abcdef", "6.1.0-1-amd64-signed", "6.1.0-1-amd64-unpacked", "6.1.0-1-amd64.log", "6.1.0-2-amd64-fedcba9876543210", "scratch",
	}) {
		t.Errorf("kept after a build: %q", got)
	}
}
