package host

import (
	"errors"
	"os"
	"slices"
	"strings"
)

// managerRow is a package manager, its program, and how it installs without asking.
type managerRow struct {
	name    string
	tool    string
	install []string
	reboot  bool
}

// managers is what there is to install packages with.
var managers = []managerRow{
	{"apt", "apt-get", []string{"apt-get", "install", "-y"}, false},
	{"dnf", "dnf", []string{"dnf", "install", "-y"}, false},
	{"yum", "yum", []string{"yum", "install", "-y"}, false},
	{"zypper", "zypper", []string{"zypper", "--non-interactive", "install"}, false},
	{"microdnf", "microdnf", []string{"microdnf", "install", "-y"}, false},
	{"tdnf", "tdnf", []string{"tdnf", "install", "-y"}, false},
	{"rpm-ostree", "rpm-ostree", []string{"rpm-ostree", "install", "--idempotent"}, true},
	{"transactional-update", "transactional-update", []string{"transactional-update", "--non-interactive", "pkg", "install"}, true},
}

func managerNamed(name string) (managerRow, bool) {
	i := slices.IndexFunc(managers, func(m managerRow) bool { return m.name == name })
	if i < 0 {
		return managerRow{}, false
	}
	return managers[i], true
}

// preferred is the order of a family: a Debian host may have rpm, dnf and zypper as tools, and is apt's all the same.
var preferred = map[Family][]string{
	Debian:        {"apt"},
	RedHat:        {"dnf", "yum", "microdnf"},
	SUSE:          {"zypper"},
	UnknownFamily: {"tdnf", "apt", "zypper", "dnf", "yum", "microdnf"},
}

// preferredImmutable is the order where package sets are images.
var preferredImmutable = map[Family][]string{
	RedHat: {"rpm-ostree"},
	SUSE:   {"transactional-update"},
}

// InstallCommand is the command that installs packages and asks nothing, as a person would type it; nil for a package
// manager that is not known.
func (m PackageManager) InstallCommand(pkgs ...string) []string {
	row, ok := managerNamed(m.Name)
	if !ok {
		return nil
	}
	return append(slices.Clone(row.install), pkgs...)
}

// errNoPackageManager says that none is there, which is a state and no failure of reading.
var errNoPackageManager = errors.New("no package manager that is known is installed")

// packageManager finds what installs packages, by the distribution's family and by the tools that are there. Where the
// distribution is not known, only a tool that is the only one tells.
func packageManager(r Root, d Reading[Distribution]) Reading[PackageManager] {
	order := preferred[d.Value.Family]
	if d.Value.Immutable {
		order = preferredImmutable[d.Value.Family]
	}
	found := managersIn(r, order)
	switch {
	case len(found) == 0:
		return NotKnown[PackageManager]("/usr/bin", errNoPackageManager)
	case len(found) > 1 && d.Err != nil:
		return NotKnown[PackageManager](d.From, d.Err)
	}
	return Read(found[0], found[0].Path)
}

// managersIn finds those of the named package managers that are installed, in that order.
func managersIn(r Root, order []string) []PackageManager {
	var found []PackageManager
	for _, name := range order {
		row, _ := managerNamed(name)
		if path, ok := FindTool(r, row.tool); ok {
			found = append(found, PackageManager{Name: name, Path: path, Reboot: row.reboot})
		}
	}
	return found
}

// proxyNames are the variables that say by which proxy what is reached (curl(1), apt-transport-http(1), dnf.conf(5), zypper(8)), in small letters; each
// is read in capitals too.
var proxyNames = []string{"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"}

// ProxyEnvironment is what this program's environment has of these. Package managers alone get it, and nothing else of the environment: without it a host
// behind a proxy has no repositories. Who may set it for a program of root's is root, or sudo by its env_keep; packages are signed whatever
// way they come. A value may hold a password, so it goes into the environment and never into the arguments, which logs and process lists show.
func ProxyEnvironment() []string {
	var environ []string
	for _, name := range proxyNames {
		for _, name := range []string{name, strings.ToUpper(name)} {
			if v := os.Getenv(name); v != "" {
				environ = append(environ, name+"="+v)
			}
		}
	}
	return environ
}
