package host

import (
	"errors"
	"slices"
	"testing"
)

func TestParseVersions(t *testing.T) {
	for _, c := range []struct {
		name, out, pkg string
		version        func([]string, string) string
		want           []string
	}{
		{"apt", "linux-image-amd64 |  6.1.192-2 | http://mirror.example/debian-security bookworm-security/main amd64 Packages\nlinux-image-amd64 |  6.1.176-1 | http://mirror.example/debian bookworm/main amd64 Packages\n",
			"linux-image-amd64", aptVersion, []string{"6.1.192-2", "6.1.176-1"}},
		{"apt, the same twice, and another", "a | 1 | x\na | 1 | y\nb | 2 | x\n", "a", aptVersion, []string{"1"}},
		{"apt, none", "", "a", aptVersion, nil},
		{"apt, what else it may say", "N: Unable to locate package a\n", "a", aptVersion, nil},
		{"dnf", "Installed Packages\nkernel.x86_64  4.18.0-147.el8  @anaconda\nAvailable Packages\nkernel.x86_64  4.18.0-553.el8_10  baseos\n", "kernel", dnfVersion, []string{"4.18.0-147.el8", "4.18.0-553.el8_10"}},
		{"dnf, by version", "Available Packages\nkernel-devel.x86_64 4.18.0-147.el8 baseos\n", "kernel-devel-4.18.0-147.el8.x86_64", dnfVersion, []string{"4.18.0-147.el8"}},
		{"dnf, with an epoch", "kernel.x86_64 1:4.18.0-147.el8 baseos\n", "kernel-4.18.0-147.el8.x86_64", dnfVersion, []string{"1:4.18.0-147.el8"}},
		{"dnf, another", "kernel-core.x86_64 4.18.0-147.el8 baseos\n", "kernel", dnfVersion, nil},
	} {
		if got := parseVersions(c.out, c.pkg, c.version); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
}

func TestAvailableVersionsThatNobodyKnows(t *testing.T) {
	if got := AvailableVersions(t.Context(), At("/"), "pacman", "linux"); !errors.Is(got.Err, errNoListing) {
		t.Errorf("%+v", got)
	}
	if got := AvailableVersions(t.Context(), At(t.TempDir()), "apt", "linux"); !errors.Is(got.Err, ErrNotRunning) {
		t.Errorf("%+v", got)
	}
}

func FuzzParseVersions(f *testing.F) {
	f.Add("linux-image-amd64 |  6.1.192-2 | http://mirror.example/debian bookworm/main amd64 Packages\n", "linux-image-amd64")
	f.Add("kernel.x86_64  4.18.0-147.el8  @anaconda\n", "kernel")
	f.Fuzz(func(t *testing.T, out, pkg string) {
		for _, version := range []func([]string, string) string{aptVersion, dnfVersion} {
			for _, v := range parseVersions(out, pkg, version) {
				Newer(v, pkg)
			}
		}
	})
}
