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
		if row.family != "" && row.family != d.Family || row.id != "" && row.id != d.ID {
			continue
		}
		if m := row.release.FindStringSubmatchIndex(release); m != nil {
			return string(row.release.ExpandString(nil, row.name, release, m)), row.name != ""
		}
	}
	return "", false
}

// KernelPackage names the package that brings a kernel of exactly this release, as HeaderPackage does that of its headers. ok is false where the rules do
// not know.
func KernelPackage(d Distribution, release string) (pkg string, ok bool) {
	switch flavoured, isDefault := strings.CutSuffix(release, "-default"); {
	case d.Family == Debian:
		headers, known := HeaderPackage(d, release)
		rest, named := strings.CutPrefix(headers, "linux-headers-") // others call their kernels otherwise
		return "linux-image-" + rest, known && named
	case d.Family == SUSE && isDefault:
		return "kernel-default-" + flavoured, true
	case d.Family == RedHat:
		name, version, ok := redHatKernel(release)
		return name + "-" + version, ok
	}
	return "", false
}

// headerPackages is the table; the first row that fits counts. The name is made of the groups of the release; "" is one that is not known, as where no row fits:
// of Debian's family many releases are of kernels that a person, a board's maker or a cloud built, whose packages have other names if there are any.
var headerPackages = []struct {
	family  Family
	id      string
	release *regexp.Regexp
	name    string
}{
	// Proxmox, which is "debian" in os-release; its packages got another name with 6.2.16-6.
	{Debian, "", regexp.MustCompile(`^(?:[2-5]\.|6\.[01]\.|6\.2\.(?:[0-9]|1[0-5])-|6\.2\.16-[1-5]-).*pve$`), "pve-headers-$0"},
	{Debian, "", regexp.MustCompile(`^[0-9.]+-[0-9]+-pve$`), "proxmox-headers-$0"},
	{Debian, "", regexp.MustCompile(`-pve`), ""},
	// Raspberry Pi OS since Debian 12; before, one package has the headers of several kernels, and no release in its name or version.
	{Debian, "", regexp.MustCompile(`^[0-9.]+(?:-rpi[0-9]+|\+rpt)-rpi-[a-z0-9-]+$`), "linux-headers-$0"},
	// XanMod and linux-surface.
	{Debian, "", regexp.MustCompile(`^[0-9.]+-(?:x64v[1-4]-xanmod|surface-)[0-9]+$`), "linux-headers-$0"},
	// The number of an ABI and a flavour: Ubuntu, Debian up to 12, and most that derive from them; Liquorix too.
	{Debian, "", regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+-[0-9][a-z0-9.]*-[a-z0-9][a-z0-9-]*$`), "linux-headers-$0"},
	// Debian since 13, and Kali: an architecture.
	{Debian, "", regexp.MustCompile(`^[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-rc[0-9]+|-trunk|-kali[0-9]+|\+kali[0-9]*|\+deb[0-9]+(?:\+[0-9]+)?|\+bpo)?-(?:cloud-|rt-)?` +
		`(?:amd64|arm64|arm64-16k|686|686-pae|armmp|armmp-lpae|marvell|rpi|powerpc64le|powerpc64le-64k|s390x|riscv64|loong64)$`), "linux-headers-$0"},
	// The build's last number, which uname -r lacks, is left open.
	{SUSE, "", regexp.MustCompile(`^(.*)-default$`), "kernel-default-devel-$1"},
	// Flavours of Photon have a source each (SPECS/linux); the real-time kernel's release names its patch too. Photon 1 had "linux-dev" for a time.
	{"", "photon", regexp.MustCompile(`\.ph1\b`), ""},
	{"", "photon", regexp.MustCompile(`^([^-]+-[^-]+\.ph[0-9]+)-(esx|secure|aws)$`), "linux-$2-devel-$1"},
	{"", "photon", regexp.MustCompile(`^([^-]+)-rt[0-9]+(-[^-]+\.ph[0-9]+)-rt$`), "linux-rt-devel-$1$2"},
	{"", "photon", regexp.MustCompile(`^[^-]+-[^-]+$`), "linux-devel-$0"},
}

// redHatRelease is a release of Red Hat's family: version, architecture, and a flavour behind a plus sign, before Enterprise Linux 8 and in Oracle's
// kernels behind a dot. Who builds a kernel by hand has no architecture in it.
var redHatRelease = regexp.MustCompile(`^([0-9].*\.(?:x86_64|aarch64|ppc64le|ppc64|s390x|i686|armv7hl|riscv64))([.+][A-Za-z0-9_-]+)?$`)

// redHatKernels are the packages that bring kernels, by what their versions have in them and by flavour (kernel.spec: kernel_variant_package; all of
// one source have the same version). The first mark that is in the version counts. A version with a word that no mark knows is one of somebody else's kernels,
// of which some are called "kernel" and some are not.
var redHatKernels = []struct {
	mark     *regexp.Regexp
	name     string // of the plain one; the flavour is added
	flavours []string
}{
	{regexp.MustCompile(`\.elrepo\.`), "", nil}, // kernel-lt or kernel-ml, which the release does not tell
	{regexp.MustCompile(`uek\.`), "kernel-uek", []string{".debug"}},
	{regexp.MustCompile(`\.rt[0-9]+\.`), "kernel-rt", []string{".debug", "+debug"}}, // of a source of their own, before Enterprise Linux 9
	{regexp.MustCompile(`\.surface\.fc[0-9]+\.`), "kernel-surface", nil},
	{regexp.MustCompile(`\.centos\.plus\.`), "kernel-plus", nil},
	{regexp.MustCompile(`\.el[0-9]+iv\.`), "kernel-automotive", []string{"+debug"}},
	{regexp.MustCompile(`^6\.1\..*\.amzn2023\.`), "kernel", nil}, // later series have their number in their names
	{regexp.MustCompile(`^6\.12\..*\.amzn2023\.`), "kernel6.12", nil},
	{regexp.MustCompile(`^6\.18\..*\.amzn2023\.`), "kernel6.18", nil},
	{regexp.MustCompile(`\.amzn2023\.`), "", nil},
	{regexp.MustCompile(`^[0-9.]+-(?:[0-9]+\.|rc[0-9]+\.|[0-9]+git[0-9a-f]+\.|asahi\.)*[a-z]+[0-9]+[a-z]?[0-9]*(?:_[0-9]+)?\.(?:[0-9]+\.)*[a-z0-9_]+$`), "kernel", []string{
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
