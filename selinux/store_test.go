package selinux

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ampconnector/amp/internal/host"
)

const modulesDir = "/var/lib/selinux/targeted/active/modules/"

// stored is a root with a module store made of plain files.
func stored(t *testing.T, files map[string]string) host.Root {
	root := t.TempDir()
	write(t, filepath.Join(root, modulesDir, "100/base/cil"), "(block base)")
	for name, content := range files {
		write(t, filepath.Join(root, name), content)
	}
	return host.At(root)
}

func at(priority, cil string) map[string]string {
	dir := modulesDir + priority + "/" + ModuleName
	return map[string]string{dir + "/lang_ext": "cil", dir + "/cil": cil}
}

func merge(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func TestStoreStates(t *testing.T) {
	off := map[string]string{modulesDir + "disabled/" + ModuleName: ""}
	for name, c := range map[string]struct {
		files   map[string]string
		want    Store
		current bool
	}{
		"absent":           {nil, Store{State: ModuleAbsent}, false},
		"absent, disabled": {off, Store{State: ModuleAbsent}, false},
		"present":          {at("400", Packaged), Store{State: ModulePresent, Priority: 400}, true},
		"outdated":         {at("400", "old"), Store{State: ModulePresent, Priority: 400}, false},
		"a distribution's": {at("200", Packaged), Store{State: ModulePresent, Priority: 200}, true},
		"disabled":         {merge(at("400", Packaged), off), Store{State: ModuleDisabled, Priority: 400}, true},
		"shadowed":         {merge(at("400", Packaged), at("500", "other")), Store{State: ModuleShadowed, Priority: 400, Shadow: 500}, false},
		"only a higher":    {at("900", "other"), Store{State: ModuleShadowed, Shadow: 900}, false},
		"higher and equal": {merge(at("400", "old"), at("500", Packaged)), Store{State: ModulePresent, Priority: 500}, true},
		"shadowed and disabled": {merge(at("400", Packaged), at("500", "other"), off),
			Store{State: ModuleDisabled, Priority: 400, Shadow: 500}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadStore(stored(t, c.files), "targeted", Packaged)
			must(t, err)
			if got.Current.Value != c.current || got.Current.Err != nil {
				t.Errorf("current %v (%v), want %v", got.Current.Value, got.Current.Err, c.current)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Store{}, "Path", "Entries", "Current", "Built")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestStoreTrouble(t *testing.T) {
	typ := host.Read("targeted", configPath)
	if got := readStore(host.At(t.TempDir()), typ, ""); !HasNoStore(got.Err) || !errors.Is(got.Err, fs.ErrNotExist) {
		t.Errorf("no store: %v", got.Err)
	}
	empty := t.TempDir()
	must(t, os.MkdirAll(empty+modulesDir, 0o700))
	if got := readStore(host.At(empty), typ, ""); !HasNoStore(got.Err) {
		t.Errorf("a store without modules: %v", got.Err)
	}
	r := stored(t, at("400", strings.Repeat("x", maxModule+1)))
	if got := readStore(r, typ, Packaged); got.Err != nil || got.Value.State != ModulePresent || got.Value.Current.Err == nil {
		t.Errorf("a huge module: %+v, want present and not known whether it is current", got)
	}
	r = stored(t, at("400", "BZh9 this is no bzip2"))
	if got := readStore(r, typ, Packaged); got.Err != nil || got.Value.Current.Err == nil {
		t.Errorf("a damaged module: %+v", got)
	}
	r = stored(t, map[string]string{modulesDir + "400/" + ModuleName + "/lang_ext": "../x"})
	if got := readStore(r, typ, Packaged); got.Err == nil {
		t.Errorf("a language that is a path: %+v", got)
	}
	if got := readStore(r, host.NotKnown[string](configPath, fs.ErrPermission), ""); !errors.Is(got.Err, fs.ErrPermission) {
		t.Errorf("no type: %+v", got)
	}
}

// TestStoreNotRoot has an ordinary user look at a store that belongs to root: that is don't know, and not absent.
func TestStoreNotRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot become an ordinary user")
	}
	r := stored(t, at("400", Packaged))
	must(t, os.Chmod(filepath.Join(r.Dir(), "var/lib/selinux/targeted"), 0o700))
	for d := r.Dir(); d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	asNobody(t, func() {
		if got := readStore(r, host.Read("targeted", configPath), ""); !errors.Is(got.Err, fs.ErrPermission) {
			t.Errorf("as nobody: %+v, want permission denied", got)
		}
	})
}

func TestStorePlaces(t *testing.T) {
	put := func(root, dir string) host.Root {
		write(t, filepath.Join(root, dir, "400", ModuleName, "lang_ext"), "cil")
		return host.At(root)
	}
	for name, c := range map[string]struct{ conf, dir, want string }{
		"usual":              {"", "/var/lib/selinux/targeted/active/modules", "/var/lib/selinux/targeted/active/modules"},
		"enterprise linux 7": {"", "/etc/selinux/targeted/active/modules", "/etc/selinux/targeted/active/modules"},
		"configured":         {"# x\nstore-root = /srv/selinux\n", "/srv/selinux/targeted/active/modules", "/srv/selinux/targeted/active/modules"},
		"killed change":      {"", "/var/lib/selinux/targeted/previous/modules", "/var/lib/selinux/targeted/previous/modules"},
	} {
		root := t.TempDir()
		if c.conf != "" {
			write(t, root+"/etc/selinux/semanage.conf", c.conf)
		}
		got, err := ReadStore(put(root, c.dir), "targeted", "")
		if err != nil || got.Path != c.want || got.State != ModulePresent {
			t.Errorf("%s: %+v (%v)", name, got, err)
		}
	}
	old := t.TempDir()
	write(t, old+"/etc/selinux/targeted/modules/active/modules/"+ModuleName+".pp", "x")
	if got, err := ReadStore(host.At(old), "targeted", ""); err != nil || got.State != ModulePresent {
		t.Errorf("before libsemanage 2.4: %+v (%v)", got, err)
	}
	write(t, old+"/etc/selinux/targeted/modules/active/modules/"+ModuleName+".pp.disabled", "")
	if got, err := ReadStore(host.At(old), "targeted", ""); err != nil || got.State != ModuleDisabled {
		t.Errorf("before libsemanage 2.4, disabled: %+v (%v)", got, err)
	}
	if err := Apply(t.Context(), host.At(old), "targeted", Change{Rebuild: true}, wait); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("before libsemanage 2.4, change: %v", err)
	}
}

func TestUnpack(t *testing.T) {
	// printf '(allow a self (bpf (map_read)))\n' | bzip2 | base64
	packed, err := base64.StdEncoding.DecodeString(packedModule)
	must(t, err)
	got, err := unpack("cil", packed)
	if err != nil || string(got) != "(allow a self (bpf (map_read)))\n" {
		t.Errorf("%q (%v)", got, err)
	}
}

func FuzzUnpack(f *testing.F) {
	packed, _ := base64.StdEncoding.DecodeString(packedModule)
	f.Add(packed)
	f.Add([]byte("BZh9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := unpack("cil", b); err == nil && len(out) > max(maxModule, len(b)) {
			t.Errorf("%d bytes unpacked", len(out))
		}
	})
}

const packedModule = "QlpoOTFBWSZTWZ9wdbEAAALTgAAQQGAAALcG2IAgACImmmmagekKGmmABglRh0dB5tjqyaMw7ZW5Oq+LuSKcKEhPuDrYgA=="

// What is looked at each minute is unpacked once: a reader of bzip2 takes 4 MB.
func TestUnpackedOnce(t *testing.T) {
	packed, err := base64.StdEncoding.DecodeString(packedModule)
	must(t, err)
	first, err := unpack("cil", packed)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() {
		if again, err := unpack("cil", packed); err != nil || !bytes.Equal(again, first) {
			t.Errorf("unpacked again: %q, error %v, expected %q", again, err, first)
		}
	}); n != 0 {
		t.Errorf("%v allocations to unpack the same again, expected none", n)
	}
	other := bytes.Clone(packed)
	other[len(other)/2] ^= 1
	if out, err := unpack("cil", other); err == nil {
		t.Errorf("damaged: %q, expected an error", out)
	}
}
