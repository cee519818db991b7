package host

import (
	"slices"
	"testing"
)

func TestCompilerPackages(t *testing.T) {
	for _, c := range []struct {
		d      Distribution
		wanted string
		want   []string
	}{
		{Distribution{ID: "debian", Family: Debian}, "gcc-12", []string{"gcc-12", "gcc"}},
		{Distribution{ID: "ubuntu", Family: Debian}, "gcc", []string{"gcc"}},
		{Distribution{ID: "opensuse-leap", Family: SUSE}, "gcc-13", []string{"gcc13", "gcc"}},
		{Distribution{ID: "rocky", Family: RedHat}, "gcc-11", []string{"gcc"}},
		{Distribution{ID: "debian", Family: Debian}, "clang-18", []string{"clang-18", "clang"}},
		{Distribution{ID: "photon"}, "gcc-12", []string{"gcc"}},
		{Distribution{}, "", []string{"gcc"}},
	} {
		if got := CompilerPackages(c.d, c.wanted); !slices.Equal(got, c.want) {
			t.Errorf("%s, %q: %q, expected %q", c.d.ID, c.wanted, got, c.want)
		}
	}
}
