package host

import "strings"

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
