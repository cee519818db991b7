package host

import (
	"slices"
	"testing"
)

func TestKernelPackages(t *testing.T) {
	for _, c := range []struct {
		d       Distribution
		release string
		names   []string
		btf     string
	}{
		{Distribution{ID: "debian", Family: Debian}, "4.19.0-27-amd64", []string{"linux-image-amd64"}, "5.10.5"},
		{Distribution{ID: "debian", Family: Debian}, "6.1.0-0.deb11.5-cloud-amd64", []string{"linux-image-cloud-amd64"}, "5.10.5"},
		{Distribution{ID: "debian", Family: Debian}, "5.4.1", nil, "5.10.5"}, // built by hand
		{Distribution{ID: "ubuntu", VersionID: "20.04", Family: Debian}, "5.4.0-91-generic", []string{"linux-image-generic", "linux-image-generic-hwe-20.04"}, "5.11"},
		{Distribution{ID: "centos", Family: RedHat}, "4.18.0-147.el8.x86_64", []string{"kernel"}, "4.18.0-193"},
		{Distribution{ID: "centos", Family: RedHat}, "4.18.0-147.el8.x86_64+debug", []string{"kernel-debug"}, "4.18.0-193"},
		{Distribution{ID: "rhel", Family: RedHat}, "5.14.0-316.el9.aarch64+64k", []string{"kernel-64k"}, "4.18.0-193"},
		{Distribution{ID: "rhel", Family: RedHat}, "5.4.1-1.el8.elrepo.x86_64", []string{"kernel"}, "4.18.0-193"}, // the distribution's own
		{Distribution{ID: "fedora", Family: RedHat}, "5.3.7-301.fc31.x86_64", []string{"kernel"}, "5.6"},
		{Distribution{ID: "ol", Family: RedHat}, "4.14.35-1902.el7uek.x86_64", nil, ""},
		{Distribution{ID: "ol", Family: RedHat}, "4.18.0-147.el8.x86_64", []string{"kernel"}, "4.18.0-193"},
		{Distribution{ID: "alpine"}, "6.6.1-0-lts", nil, ""},
	} {
		if names, btf := KernelPackages(c.d, c.release); !slices.Equal(names, c.names) || btf != c.btf {
			t.Errorf("%s, %s: %q, %q; expected %q, %q", c.d.ID, c.release, names, btf, c.names, c.btf)
		}
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"5.10.5", "4.19.0-27-amd64", true}, {"4.18.0-193.el8", "4.18.0-147.el8.x86_64", true}, {"4.18.0-147", "4.18.0-193", false},
		{"5.4.0.216.209", "5.11", false}, {"5.15.0.139.149~20.04.1", "5.11", true}, {"1:5.2", "5.3", false}, {"6.1.192-2", "6.1.192-2", false}, {"", "1", false}, {"1", "", true},
	} {
		if got := Newer(c.a, c.b); got != c.want {
			t.Errorf("Newer(%q, %q) is %v", c.a, c.b, got)
		}
	}
}

func TestArchive(t *testing.T) {
	if got := Archive(Distribution{ID: "debian"}, "linux-headers-6.1.0-10-amd64"); got != "https://snapshot.debian.org/binary/linux-headers-6.1.0-10-amd64/" {
		t.Error(got)
	}
	if got := Archive(Distribution{ID: "amzn"}, "kernel-devel-4.14"); got != "" {
		t.Error(got)
	}
}
