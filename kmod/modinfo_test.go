package kmod

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

func TestModuleInfo(t *testing.T) {
	b, err := os.ReadFile("testdata/symbol.ko")
	if err != nil {
		t.Fatal(err)
	}
	info, err := ReadModuleInfo("symbol.ko", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != FileModule || !strings.HasPrefix(info.VersionMagic, "6.1.0-57-amd64 SMP preempt mod_unload modversions") || info.Signed || len(info.SourceVersion) != 23 {
		t.Errorf("%+v", info)
	}
	if !slices.Contains(info.Undefined, "amp_nowhere") || slices.Contains(info.Undefined, "init_module") || len(info.Depends) != 0 {
		t.Errorf("%+v", info)
	}
	if info, err := ReadModuleInfo("x", bytes.NewReader(append(b, signatureMark...))); err != nil || !info.Signed {
		t.Errorf("%+v, %v", info, err)
	}
	for name, damaged := range map[string][]byte{"cut off": b[:900], "text": []byte("no module"), "nothing": nil} {
		if _, err := ReadModuleInfo("x.ko", bytes.NewReader(damaged)); err == nil || !strings.HasPrefix(err.Error(), "x.ko: malformed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindLoaded(t *testing.T) {
	dir := t.TempDir()
	plantFile(t, dir, "/sys/module/ampfsm/srcversion", []byte("ABC\n"))
	plantFile(t, dir, "/sys/module/bare/refcnt", []byte("0\n"))
	plantFile(t, dir, "/lib/modules/6.1.0/modules.dep", []byte("kernel/a.ko: \nupdates/dkms/amp-fsm.ko.xz: kernel/a.ko\nupdates/ampfsm.ko.xz:\n"))
	r := host.At(dir)
	if got := FindLoaded(r, "6.1.0", "ampfsm"); got.Err != nil || *got.Value != (LoadedModule{"ampfsm", "ABC", "/lib/modules/6.1.0/updates/ampfsm.ko.xz"}) {
		t.Errorf("%+v, %v", got.Value, got.Err)
	}
	if got := FindLoaded(r, "6.1.0", "bare"); got.Err != nil || *got.Value != (LoadedModule{Name: "bare"}) {
		t.Errorf("%+v, %v", got.Value, got.Err)
	}
	if got := FindLoaded(r, "6.1.0", "amp_fsm"); got.Err != nil || got.Value != nil {
		t.Errorf("%+v, %v", got.Value, got.Err)
	}
	if got := moduleFile(r, "6.1.0", "amp_fsm"); got != "/lib/modules/6.1.0/updates/dkms/amp-fsm.ko.xz" {
		t.Errorf("%q", got)
	}
}

func FuzzModuleInfo(f *testing.F) {
	b, err := os.ReadFile("testdata/symbol.ko")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if info, err := parseModule(b); err == nil && len(info.Undefined) > maxUndefined {
			t.Errorf("%d symbols", len(info.Undefined))
		}
	})
}
