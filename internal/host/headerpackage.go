package host

import (
	"regexp"
	"strings"
)

// HeaderPackage names the package with the headers of exactly this kernel release, as the distribution's package manager takes it: name
// and version on distributions whose package has the release in its version, otherwise a name that has the release in it. ok is false
// where the table does not know.
func HeaderPackage(d Distribution, release string) (pkg string, ok bool) {
	for _, row := range headerPackages {
		if (row.family == "" || row.family == d.Family) && (row.id == "" || row.id == d.ID) && strings.Contains(release, row.mark) {
			return row.name + strings.TrimSuffix(release, row.cut), true
		}
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
	{RedHat, "ol", "uek", "kernel-uek-devel-", ""},
	{RedHat, "", "", "kernel-devel-", ""},
	{Debian, "", "", "linux-headers-", ""},
	{SUSE, "", "-default", "kernel-default-devel-", "-default"}, // the build's last number, which uname -r lacks, is left open
	{"", "photon", "", "linux-devel-", ""},
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
