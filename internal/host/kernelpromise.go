package host

import (
	"slices"
	"strings"
)

// Expectation is what a kernel is expected to let the connector do. It is a promise and no more: what the kernel answers decides.
type Expectation string

const (
	// FullSource is BTF of its own and eBPF programs that hang on functions (fentry).
	FullSource Expectation = "full"
	// NoPrograms is no ring buffer (Linux 5.8), so that the programs are refused: fault 16, and the degraded source.
	NoPrograms Expectation = "no-programs"
	// NotPromised is a kernel into which its distribution puts parts of newer ones, or of which it is not known whether it offers BTF.
	NotPromised Expectation = "not-promised"
)

// KernelPromise is what this version promises of kernels of a distribution.
type KernelPromise struct {
	Name     string // of the distribution, for people
	ID       string // of os-release
	Version  string // how its VERSION_ID begins, up to a dot; "" stands for all, and for those that have none
	Series   []string
	Mark     string // in the release; "" where it is not looked at
	Expected Expectation
	// Guests are those of the lab (vagrant/matrix.yaml) that boot such a kernel. Without any, the promise follows from the version alone: nothing of it
	// was run.
	Guests  []string
	Modules bool // the kernel modules were built and loaded there too
}

// KernelPromises is the table; docs/kernels.md is made of it. The first row that fits counts. Series that were not run are those of recorded listings of
// repositories.
var KernelPromises = []KernelPromise{
	{Name: "Debian 11", ID: "debian", Version: "11", Series: []string{"5.10"}, Expected: FullSource, Guests: []string{"debian11-plain"}},
	{
		Name: "Debian 12", ID: "debian", Version: "12", Series: []string{"6.1"}, Expected: FullSource,
		Guests: []string{"debian12-enforcing-el", "debian12-plain", "debian12-headers", "debian12-upgrade", "debian12-secureboot"}, Modules: true,
	},
	{Name: "Debian 13", ID: "debian", Version: "13", Series: []string{"6.12"}, Expected: FullSource, Guests: []string{"debian13-plain"}, Modules: true},
	{Name: "Debian sid", ID: "debian", Series: []string{"7.2"}, Expected: FullSource, Guests: []string{"sid-plain"}},

	{Name: "Amazon Linux", ID: "amzn", Version: "2018", Series: []string{"4.9", "4.14"}, Expected: NoPrograms},
	{Name: "Amazon Linux 2", ID: "amzn", Version: "2", Series: []string{"4.9", "4.14", "5.4"}, Expected: NoPrograms},
	{Name: "Amazon Linux 2", ID: "amzn", Version: "2", Series: []string{"5.10"}, Expected: NotPromised},
	{Name: "CentOS", ID: "centos", Series: []string{"2.6", "3.10"}, Expected: NoPrograms},
	{Name: "CentOS 8", ID: "centos", Series: []string{"4.18"}, Expected: NotPromised},
	{Name: "CentOS Stream 9", ID: "centos", Series: []string{"5.14"}, Expected: FullSource},
	{Name: "Fedora", ID: "fedora", Series: []string{"5.11", "5.17", "5.19"}, Expected: FullSource},
	{Name: "Oracle Linux, UEK", ID: "ol", Series: []string{"2.6", "3.8", "4.1", "4.14"}, Mark: "uek", Expected: NoPrograms},
	{Name: "Oracle Linux, UEK", ID: "ol", Series: []string{"5.4"}, Mark: "uek", Expected: NotPromised},
	{Name: "Oracle Linux 6 and 7", ID: "ol", Series: []string{"2.6", "3.10"}, Expected: NoPrograms},
	{Name: "Oracle Linux 8", ID: "ol", Series: []string{"4.18"}, Expected: NotPromised},
	{Name: "Photon OS", ID: "photon", Series: []string{"4.19"}, Expected: NoPrograms},
	{Name: "Photon OS", ID: "photon", Series: []string{"5.10"}, Expected: NotPromised},
	{Name: "Ubuntu", ID: "ubuntu", Series: []string{"3.13", "4.4", "4.11", "4.13", "4.15", "4.18", "5.0", "5.4"}, Expected: NoPrograms},
	{Name: "Ubuntu", ID: "ubuntu", Series: []string{"5.15", "5.19"}, Expected: FullSource},
}

// PromiseOf is what is promised of a kernel; false where the table has nothing of it.
func PromiseOf(d Distribution, release string) (KernelPromise, bool) {
	for _, row := range KernelPromises {
		if row.fits(d, release) {
			return row, true
		}
	}
	return KernelPromise{}, false
}

// fits reports whether a kernel is one of the row. What was run is the kernel of one version of a distribution, and not one that another has backported.
func (p *KernelPromise) fits(d Distribution, release string) bool {
	version := begins(d.VersionID, p.Version)
	if len(p.Guests) > 0 {
		version = d.VersionID == p.Version
	}
	return d.ID == p.ID && version && strings.Contains(release, p.Mark) && slices.ContainsFunc(p.Series, func(series string) bool { return begins(release, series) })
}

// TestedKernels are the rows of a distribution that were run.
func TestedKernels(d Distribution) (rows []KernelPromise) {
	for _, row := range KernelPromises {
		if row.ID == d.ID && len(row.Guests) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// begins reports whether a version begins with another one, number by number.
func begins(version, with string) bool {
	rest, ok := strings.CutPrefix(version, with)
	return ok && (with == "" || rest == "" || rest[0] == '.' || rest[0] == '-')
}
