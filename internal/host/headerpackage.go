package host

import (
	"regexp"
	"slices"
	"strings"
)

// HeaderPackage names the package with the headers of exactly this kernel release, as the distribution's package manager takes it: name
// and version on distributions whose package has the release in its version, otherwise a name that has the release in it. ok is false
// where the rules do not know.
func HeaderPackage(d Distribution, release string) (pkg string, ok bool) {
	if d.Family == RedHat {
		name, version, ok := redHatKernel(release)
		if !ok {
			return "", false
		}
		return name + "-devel-" + version, true
	}
	for _, row := range headerPackages {
		if (row.family == "" || row.family == d.Family) && (row.id == "" || row.id == d.ID) && strings.Contains(release, row.mark) {
			return row.name + strings.TrimSuffix(release, row.cut), true
		}
	}
	return "", false
}

// KernelPackage names the package that brings a kernel of exactly this release, as HeaderPackage does that of its headers. ok is false where the rules do
// not know.
func KernelPackage(d Distribution, release string) (pkg string, ok bool) {
	switch flavoured, isDefault := strings.CutSuffix(release, "-default"); {
	case d.Family == Debian:
		return "linux-image-" + release, true
	case d.Family == SUSE && isDefault:
		return "kernel-default-" + flavoured, true
	case d.Family == RedHat:
		name, version, ok := redHatKernel(release)
		return name + "-" + version, ok
	}
	return "", false
}

// headerPackages is the table; the first row that fits counts. mark is what the release must have in it, cut what the package's version has not.
var headerPackages = []struct {
	family     Family
	id         string
	mark, name string
	cut        string
}{
	{Debian, "", "", "linux-headers-", ""},
	{SUSE, "", "-default", "kernel-default-devel-", "-default"}, // the build's last number, which uname -r lacks, is left open
	{"", "photon", "", "linux-devel-", ""},
}

// redHatRelease is a release of Red Hat's family: version, architecture, and a flavour behind a plus sign, before Enterprise Linux 8 and in Oracle's
// kernels behind a dot. Who builds a kernel by hand has no architecture in it.
var redHatRelease = regexp.MustCompile(`^([0-9].*\.(?:x86_64|aarch64|ppc64le|ppc64|s390x|i686|armv7hl|riscv64))([.+][A-Za-z0-9_-]+)?$`)

// redHatKernels are the packages that bring kernels, by what their versions have in them and by flavour (kernel.spec: kernel_variant_package; all of
// one source have the same version). The first mark that is in the version counts.
var redHatKernels = []struct {
	mark     *regexp.Regexp
	name     string // of the plain one; the flavour is added
	flavours []string
}{
	{regexp.MustCompile(`\.elrepo\.`), "", nil}, // kernel-lt or kernel-ml, which the release does not tell
	{regexp.MustCompile(`uek\.`), "kernel-uek", []string{".debug"}},
	{regexp.MustCompile(`\.rt[0-9]+\.`), "kernel-rt", []string{".debug", "+debug"}}, // of a source of their own, before Enterprise Linux 9
	{regexp.MustCompile(``), "kernel", []string{
		".debug", "+debug", "+16k", "+16k-debug", "+64k", "+64k-debug", "+rt", "+rt-debug", "+rt-64k", "+rt-64k-debug",
	}},
}

// redHatKernel names the package that brings a kernel, and its version with the architecture. ok is false where it is not known.
func redHatKernel(release string) (name, version string, ok bool) {
	m := redHatRelease.FindStringSubmatch(release)
	if m == nil {
		return "", "", false
	}
	for _, k := range redHatKernels {
		if !k.mark.MatchString(m[1]) {
			continue
		}
		switch {
		case k.name == "":
			return "", "", false
		case m[2] == "":
			return k.name, m[1], true
		}
		return k.name + "-" + m[2][1:], m[1], slices.Contains(k.flavours, m[2])
	}
	return "", "", false
}

// namedVersion is a version and a release behind a package's name.
var namedVersion = regexp.MustCompile(`^(.+)-([0-9][^-]*-[0-9][^-]*)$`)

// SplitNamed takes a name apart as HeaderPackage may give it, "NAME-VERSION-RELEASE". version is "" where there is none.
func SplitNamed(pkg string) (name, version string) {
	if m := namedVersion.FindStringSubmatch(pkg); m != nil {
		return m[1], m[2]
	}
	return pkg, ""
}

// IsRebuild reports whether a version with its release is that which is named, or one of its rebuilds, which SUSE counts in a last number.
func IsRebuild(version, named string) bool {
	return version == named || strings.HasPrefix(version, named+".")
}
