package host

import (
	"slices"
	"strings"
	"testing"
)

func TestCompareReleases(t *testing.T) {
	ordered := []string{
		"3.10.0-1160.el7.x86_64", "4.18.0-80.el8.x86_64", "4.18.0-348.el8.x86_64", "4.18.0-348.2.1.el8.x86_64", "4.18.0-348.7.1.el8_5.x86_64",
		"5.10.0-9-amd64", "5.10.0-30-amd64", "6.1.0-9-amd64", "6.1.0-049-amd64", "6.12~rc6-amd64", "6.12-amd64", "6.12.9+deb13-amd64", "6.12.43+deb13-amd64",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := CompareReleases(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s beside %s: %d", a, b, got)
			}
		}
	}
}

func FuzzCompareReleases(f *testing.F) {
	f.Add("6.1.0-49-amd64", "6.1.0-049-amd64")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y := CompareReleases(a, b), CompareReleases(b, a); (x < 0) != (y > 0) || (x == 0) != (y == 0) {
			t.Errorf("%q beside %q: %d, the other way %d", a, b, x, y)
		}
	})
}

func TestInstalledKernels(t *testing.T) {
	h := tree{
		"usr/lib/modules/6.1.0-9-amd64/kernel/": "", "boot/config-6.1.0-9-amd64": "# CONFIG_DEBUG_INFO_BTF is not set\n",
		"usr/lib/modules/6.1.0-49-amd64/kernel/": "", "boot/config-6.1.0-49-amd64": "CONFIG_DEBUG_INFO_BTF=y\n",
		"usr/lib/modules/6.1.0-50-amd64/updates/": "",
		"usr/lib/modules/custom/vmlinuz":          "x",
	}
	r := InstalledKernels(h.root(t))
	var got []string
	for _, k := range r.Value {
		word := k.Release
		switch {
		case k.BTF.Err != nil:
			word += " ?"
		case k.BTF.Value:
			word += " BTF"
		}
		got = append(got, word)
	}
	if want := []string{"6.1.0-49-amd64 BTF", "6.1.0-9-amd64", "custom ?"}; r.Err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; expected %v", strings.Join(got, ", "), r.Err, want)
	}
	if r := InstalledKernels(tree{"etc/": ""}.root(t)); r.Err != nil || len(r.Value) != 0 {
		t.Errorf("without kernels: %v", r)
	}
}
