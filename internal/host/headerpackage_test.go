package host

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// recordedDistributions are the distributions of the recorded listings.
var recordedDistributions = map[string]Distribution{
	"amzn": {ID: "amzn", Family: RedHat}, "centos": {ID: "centos", Family: RedHat}, "fedora": {ID: "fedora", Family: RedHat},
	"ol": {ID: "ol", Family: RedHat}, "photon": {ID: "photon"}, "ubuntu": {ID: "ubuntu", Family: Debian},
}

// recordedKernel is a kernel that a repository of a distribution has, and the package with its headers.
type recordedKernel struct {
	distribution    Distribution
	release, header string
}

// recordedKernels are all of the recorded listings.
func recordedKernels(t *testing.T) (all []recordedKernel) {
	t.Helper()
	f, err := os.Open(shared(t, "kernel-headers.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(lines.Text(), "#") || len(fields) != 4 {
			continue
		}
		id, version, _ := strings.Cut(fields[0], "-")
		d := recordedDistributions[id]
		d.VersionID = version
		all = append(all, recordedKernel{d, fields[2], fields[3]})
	}
	if err := lines.Err(); err != nil || len(all) < 2000 {
		t.Fatalf("%d recorded kernels, expected 2000 and more (error %v)", len(all), err)
	}
	return all
}

func TestHeaderPackageOfRecordedKernels(t *testing.T) {
	for _, k := range recordedKernels(t) {
		got, ok := HeaderPackage(k.distribution, k.release)
		if !ok || got != k.header {
			t.Errorf("%s %s, %s: %q, %v; expected %q", k.distribution.ID, k.distribution.VersionID, k.release, got, ok, k.header)
		}
	}
}

func TestHeaderPackage(t *testing.T) {
	if got, _ := HeaderPackage(Distribution{ID: "sles", Family: SUSE}, "5.14.21-150500.55.68-default"); got != "kernel-default-devel-5.14.21-150500.55.68" {
		t.Errorf("SUSE: %q", got)
	}
	if got, ok := HeaderPackage(Distribution{ID: "alpine"}, "6.6.1-0-lts"); ok {
		t.Errorf("an unknown distribution: %q", got)
	}
}
