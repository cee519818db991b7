package host

import (
	"regexp"
	"strings"
)

// KernelOffer is a kernel that the host's repositories have.
type KernelOffer struct{ Package, Version string }

// kernelPackages is which packages bring a distribution's kernels, the first row that fits counts. FLAVOUR is the end of the release in letters
// ("cloud-amd64", "generic"), VERSION the distribution's, KERNEL the package of Red Hat's kernel that runs ("kernel-64k"), or else of the plain one.
//
// btf is the first version that offers BTF: Debian by its bug 973870, the others by the lists of BTFHub (docs/supported-distros.md), where Ubuntu's
// 5.8 is left out, which has it in one release and not in the other. Where none is known, no kernel is named.
var kernelPackages = []struct {
	family Family
	id     string
	mark   string // in the release
	names  []string
	btf    string
}{
	{Debian, "debian", "", []string{"linux-image-FLAVOUR"}, "5.10.5"},
	{Debian, "ubuntu", "", []string{"linux-image-FLAVOUR", "linux-image-FLAVOUR-hwe-VERSION"}, "5.11"},
	{RedHat, "fedora", "", []string{"KERNEL"}, "5.6"},
	{RedHat, "ol", "uek", nil, ""},
	{RedHat, "amzn", "", nil, ""},
	{RedHat, "", "", []string{"KERNEL"}, "4.18.0-193"},
}

var releaseFlavour = regexp.MustCompile(`-((?:[a-z][a-z0-9]*-)*[a-z][a-z0-9]*)$`)

// KernelPackages names the packages that bring the newest kernels of the kind that runs, and the first version that offers BTF. There are none
// where the table does not know.
func KernelPackages(d Distribution, release string) (names []string, btf string) {
	flavour := ""
	if m := releaseFlavour.FindStringSubmatch(release); m != nil {
		flavour = m[1]
	}
	redHat, _, ok := redHatKernel(release)
	if !ok {
		redHat = "kernel"
	}
	for _, row := range kernelPackages {
		if row.family != d.Family || row.id != "" && row.id != d.ID || !strings.Contains(release, row.mark) {
			continue
		}
		for _, name := range row.names {
			if strings.Contains(name, "FLAVOUR") && flavour == "" {
				continue
			}
			names = append(names, strings.NewReplacer("FLAVOUR", flavour, "VERSION", d.VersionID, "KERNEL", redHat).Replace(name))
		}
		return names, row.btf
	}
	return nil, ""
}

// Newer reports whether a version of a kernel, or of its package, is newer than another; see CompareReleases. An epoch is left out.
func Newer(a, b string) bool { return CompareReleases(withoutEpoch(a), withoutEpoch(b)) > 0 }

func withoutEpoch(version string) string {
	if epoch, rest, ok := strings.Cut(version, ":"); ok && len(epoch) < 4 {
		return rest
	}
	return version
}

// archives are where distributions keep what their repositories no longer have, by ID. PACKAGE is that of the headers.
var archives = map[string]string{
	"debian":        "https://snapshot.debian.org/binary/PACKAGE/",
	"ubuntu":        "https://launchpad.net/ubuntu/+source/linux/+publishinghistory",
	"fedora":        "https://koji.fedoraproject.org/",
	"centos":        "https://vault.centos.org/",
	"rocky":         "https://dl.rockylinux.org/vault/rocky/",
	"almalinux":     "https://vault.almalinux.org/",
	"ol":            "https://yum.oracle.com/",
	"opensuse-leap": "https://download.opensuse.org/history/",
}

// foreignKernel is in the names of packages that others publish for a distribution, whose archive has none of them.
var foreignKernel = regexp.MustCompile(`-pve$|-rpi-|-xanmod|-liquorix-|-surface-`)

// Archive is where the packages are that a distribution's repositories no longer have; "" where that is not known.
func Archive(d Distribution, pkg string) string {
	if foreignKernel.MatchString(pkg) {
		return ""
	}
	return strings.ReplaceAll(archives[d.ID], "PACKAGE", pkg)
}
