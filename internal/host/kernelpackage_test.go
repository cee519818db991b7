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
	const debian, fedora = "https://snapshot.debian.org/binary/", "https://koji.fedoraproject.org/"
	for _, c := range []struct{ id, pkg, want string }{
		{"debian", "linux-headers-6.1.0-10-amd64", debian + "linux-headers-6.1.0-10-amd64/"},
		{"debian", "proxmox-headers-6.8.12-4-pve", ""},
		{"debian", "linux-headers-6.6.20+rpt-rpi-v8", ""},
		{"debian", "linux-headers-6.1.46-x64v3-xanmod1", ""},
		{"debian", "linux-headers-5.11.0-8.1-liquorix-amd64", ""},
		{"fedora", "kernel-devel-6.4.1-200.fc38.x86_64", fedora},
		{"fedora", "kernel-surface-devel-6.18.8-1.surface.fc43.x86_64", ""},
		{"amzn", "kernel-devel-4.14", ""},
	} {
		if got := Archive(Distribution{ID: c.id}, c.pkg); got != c.want {
			t.Errorf("%s of %s: %q, expected %q", c.pkg, c.id, got, c.want)
		}
	}
}
