package host

import (
	"slices"
	"strconv"
	"strings"
)

// EnginePackage is where a distribution has the library of the scan engine.
type EnginePackage struct {
	Name       string   // the package, as the package manager takes it
	Instead    []string // what it was called before, in the same release: ClamAV's soname changes with security updates
	Repository string   // part of the name of a repository that is not the distribution's own, "" if it is
	Enable     []string // what sets that repository up, commands to be typed in order
}

// engineRow is a row of the table. From and To are major versions of VERSION_ID between which it holds, 0 where there is no such bound; a
// version that is not known (rolling releases) counts as the newest.
type engineRow struct {
	family   Family
	id       string
	from, to int
	source   EnginePackage
}

var (
	clamav9     = EnginePackage{Name: "libclamav9"}
	clamav12    = EnginePackage{Name: "libclamav12"}
	clamav12or9 = EnginePackage{Name: "libclamav12", Instead: []string{"libclamav11", "libclamav9"}}
	clamavLib   = EnginePackage{Name: "clamav-lib"}
)

// epel is the engine from Extra Packages for Enterprise Linux. %d stands for the major version.
func epel(enable string) EnginePackage {
	return EnginePackage{Name: "clamav-lib", Repository: "epel", Enable: []string{enable}}
}

// engineRows is the table; the first row that fits counts. Security updates moved Debian 12 and Ubuntu 20.04 to 24.04 to ClamAV 1.4.
var engineRows = []engineRow{
	{Debian, "debian", 0, 10, clamav9},
	{Debian, "debian", 11, 12, clamav12or9},
	{Debian, "debian", 13, 0, clamav12},
	{Debian, "raspbian", 0, 10, clamav9},
	{Debian, "raspbian", 11, 12, clamav12or9},
	{Debian, "raspbian", 13, 0, clamav12},
	{Debian, "devuan", 0, 3, clamav9},
	{Debian, "devuan", 4, 5, clamav12or9},
	{Debian, "devuan", 6, 0, clamav12},
	{Debian, "ubuntu", 0, 18, clamav9},
	{Debian, "ubuntu", 24, 24, EnginePackage{Name: "libclamav12", Instead: []string{"libclamav11t64"}}},
	{Debian, "ubuntu", 25, 0, clamav12},
	{Debian, "linuxmint", 0, 19, clamav9},
	{Debian, "linuxmint", 22, 0, EnginePackage{Name: "libclamav12", Instead: []string{"libclamav11t64"}}},
	{Debian, "kali", 0, 0, clamav12or9},
	{Debian, "", 0, 0, EnginePackage{Name: "libclamav12", Instead: []string{"libclamav11t64", "libclamav11", "libclamav9"}}},

	{RedHat, "fedora", 0, 0, clamavLib},
	{RedHat, "nobara", 0, 0, clamavLib},
	{RedHat, "amzn", 0, 2, epel("amazon-linux-extras install -y epel")},
	{RedHat, "amzn", 0, 0, EnginePackage{Name: "clamav1.4-lib", Instead: []string{"clamav-lib"}}},
	{RedHat, "ol", 0, 7, epel("yum install -y oracle-epel-release-el%d")},
	{RedHat, "ol", 0, 0, epel("dnf install -y oracle-epel-release-el%d")},
	{RedHat, "rhel", 0, 7, epel("yum install -y https://archives.fedoraproject.org/pub/archive/epel/epel-release-latest-%d.noarch.rpm")},
	{RedHat, "rhel", 0, 0, epel("dnf install -y https://dl.fedoraproject.org/pub/epel/epel-release-latest-%d.noarch.rpm")},
	{RedHat, "centos", 0, 7, epel("yum install -y epel-release")},
	{RedHat, "scientific", 0, 7, epel("yum install -y epel-release")},
	{RedHat, "centos", 0, 0, epel("dnf install -y epel-release")},
	{RedHat, "rocky", 0, 0, epel("dnf install -y epel-release")},
	{RedHat, "almalinux", 0, 0, epel("dnf install -y epel-release")},
	{RedHat, "miraclelinux", 0, 0, epel("dnf install -y epel-release")},
	{RedHat, "cloudlinux", 0, 0, epel("dnf install -y epel-release")},
	{RedHat, "eurolinux", 0, 0, epel("dnf install -y epel-release")},

	{SUSE, "", 15, 0, clamav12or9}, // service packs that are no longer maintained have ClamAV 0.103
	{SUSE, "", 12, 12, clamav12or9},
}

// EngineSource says which package has the scan engine's library on a distribution; ok is false where the table does not know.
func EngineSource(d Distribution) (source EnginePackage, ok bool) {
	i := slices.IndexFunc(engineRows, func(row engineRow) bool { return row.fits(d) })
	if i < 0 {
		return EnginePackage{}, false
	}
	source = engineRows[i].source
	source.Enable = slices.Clone(source.Enable)
	for i, command := range source.Enable {
		source.Enable[i] = strings.ReplaceAll(command, "%d", strconv.Itoa(d.Major()))
	}
	return source, true
}

// fits: a repository that is not the distribution's own goes by the version, so that one that is not known fits no row that has one.
func (row engineRow) fits(d Distribution) bool {
	if row.family != d.Family || row.id != "" && row.id != d.ID {
		return false
	}
	major := d.Major()
	return major == 0 && row.to == 0 && row.source.Repository == "" || major != 0 && major >= row.from && (row.to == 0 || major <= row.to)
}
