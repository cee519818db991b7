package host

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
)

func TestKernelOfAnImage(t *testing.T) {
	for name, c := range map[string]struct {
		tree    tree
		asked   string
		release string
		from    string
		err     string
	}{
		"one":            {tree{"usr/lib/modules/6.1.0-18-amd64/modules.builtin": ""}, "", "6.1.0-18-amd64", "/usr/lib/modules", ""},
		"before usr":     {tree{"lib/modules/3.10.0-1160.el7.x86_64/kernel/": ""}, "", "3.10.0-1160.el7.x86_64", "/lib/modules", ""},
		"merged":         {tree{"lib": "-> usr/lib", "usr/lib/modules/6.1.0/vmlinuz": ""}, "", "6.1.0", "/usr/lib/modules", ""},
		"leftover":       {tree{"usr/lib/modules/6.1.0/kernel/": "", "usr/lib/modules/5.10.0/updates/": ""}, "", "6.1.0", "/usr/lib/modules", ""},
		"asked":          {tree{"usr/lib/modules/6.1.0/kernel/": ""}, "5.14.0-1.el9", "5.14.0-1.el9", "--kernel", ""},
		"several":        {tree{"usr/lib/modules/6.1.0/kernel/": "", "usr/lib/modules/6.2.0/kernel/": ""}, "", "", "/usr/lib/modules", "2 kernels (6.1.0, 6.2.0): choose one with --kernel"},
		"several, asked": {tree{"usr/lib/modules/6.1.0/kernel/": "", "usr/lib/modules/6.2.0/kernel/": ""}, "6.2.0", "6.2.0", "--kernel", ""},
		"none":           {tree{"usr/lib/": ""}, "", "", "/usr/lib/modules", "--kernel"},
		"a path":         {tree{"usr/": ""}, "../../etc", "", "--kernel", `kernel release "../../etc": malformed`},
		"too long":       {tree{"usr/": ""}, strings.Repeat("6", 65), "", "--kernel", "64 at most"},
		"modules a file": {tree{"usr/lib/modules": "x"}, "", "", "/usr/lib/modules", "not a directory"},
	} {
		k := kernel(c.tree.root(t), c.asked)
		if k.Value.Release != c.release || k.From != c.from || (k.Err == nil) != (c.err == "") || k.Err != nil && !strings.Contains(k.Err.Error(), c.err) {
			t.Errorf("%s: %q from %s, %v", name, k.Value.Release, k.From, k.Err)
		}
		if errors.Is(k.Err, ErrSeveralKernels) != (name == "several") {
			t.Errorf("%s: %v is or is not ErrSeveralKernels", name, k.Err)
		}
	}
	if k := kernel(At("/"), ""); k.Err != nil || k.Value.Release == "" || k.From != "uname -r" {
		t.Errorf("the running kernel: %+v", k)
	}
}

func TestKernelBTF(t *testing.T) {
	const release = "6.1.0"
	for name, c := range map[string]struct {
		tree tree
		btf  bool
		from string
		err  error
	}{
		"on":           {tree{"boot/config-6.1.0": "CONFIG_X=y\nCONFIG_DEBUG_INFO_BTF=y\n"}, true, "/boot/config-6.1.0", nil},
		"off":          {tree{"boot/config-6.1.0": "# CONFIG_DEBUG_INFO_BTF is not set\n"}, false, "/boot/config-6.1.0", nil},
		"older":        {tree{"boot/config-6.1.0": "CONFIG_X=y\n"}, false, "/boot/config-6.1.0", nil},
		"other option": {tree{"boot/config-6.1.0": "XCONFIG_DEBUG_INFO_BTF=y\nCONFIG_DEBUG_INFO_BTF_MODULES=y\n"}, false, "/boot/config-6.1.0", nil},
		"last line":    {tree{"boot/config-6.1.0": "CONFIG_DEBUG_INFO_BTF=y"}, true, "/boot/config-6.1.0", nil},
		"fedora":       {tree{"lib/modules/6.1.0/config": "CONFIG_DEBUG_INFO_BTF=y\n"}, true, "/lib/modules/6.1.0/config", nil},
		"headers": {tree{"usr/src/h/.config": "CONFIG_DEBUG_INFO_BTF=y\n", "lib/modules/6.1.0/build": "-> /usr/src/h"}, true,
			"/lib/modules/6.1.0/build/.config", nil},
		"nowhere":   {tree{"boot/": ""}, false, "/boot/config-6.1.0", errNoConfig},
		"directory": {tree{"boot/config-6.1.0/": ""}, false, "/boot/config-6.1.0", ErrNotRegular},
	} {
		k := kernel(c.tree.root(t), release).Value
		if k.BTF.Value != c.btf || k.BTF.From != c.from || !errors.Is(k.BTF.Err, c.err) {
			t.Errorf("%s: %+v", name, k.BTF)
		}
	}
}

func TestKernelConfigPacked(t *testing.T) {
	pack := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(s))
		w.Close()
		return b.String()
	}
	r := tree{"a.gz": pack("CONFIG_A=m\n"), "bad.gz": "x", "bomb.gz": pack(strings.Repeat("#", maxKernelConfig+1))}.root(t)
	if b, err := readConfig(r, "/a.gz"); err != nil || ParseKernelConfig(b, "CONFIG_A")["CONFIG_A"] != "m" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := readConfig(r, "/bad.gz"); err == nil || !strings.Contains(err.Error(), "/bad.gz") {
		t.Error(err)
	}
	if _, err := readConfig(r, "/bomb.gz"); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestUpstream(t *testing.T) {
	for release, want := range map[string]string{
		"6.1.0-18-amd64": "6.1.0", "5.14.0-427.el9.x86_64": "5.14.0", "6.18.44-x": "6.18.44", "7.2-rc1": "7.2.0", "4.12.14-122.37-default": "4.12.14",
		"6": "", "x": "", "6.": "",
	} {
		v, err := Kernel{Release: release}.Upstream()
		switch {
		case want == "" && !errors.Is(err, ErrMalformed):
			t.Errorf("%s: %v, %v", release, v, err)
		case want != "" && (err != nil || v.String() != want):
			t.Errorf("%s: %v, %v; want %s", release, v, err, want)
		}
	}
}

func FuzzKernelConfig(f *testing.F) {
	f.Add([]byte("CONFIG_A=y\n# CONFIG_B is not set\n"), "CONFIG_A")
	f.Add([]byte("XCONFIG_A=yCONFIG_A=n"), "CONFIG_A")
	f.Fuzz(func(t *testing.T, b []byte, option string) {
		if got := configValue(b, option); strings.Contains(got, "\n") {
			t.Errorf("%q", got)
		}
	})
}

func FuzzRelease(f *testing.F) {
	f.Add("6.1.0-18-amd64")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, s string) {
		if CheckRelease(s) == nil && (strings.ContainsAny(s, "/\x00") || s == "" || s[0] == '.') {
			t.Errorf("%q passes", s)
		}
		Kernel{Release: s}.Upstream()
	})
}
