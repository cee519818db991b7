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

func TestHeaderPackageOfRecordedKernels(t *testing.T) {
	f, err := os.Open(shared(t, "kernel-headers.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(lines.Text(), "#") || len(fields) != 4 {
			continue
		}
		id, _, _ := strings.Cut(fields[0], "-")
		got, ok := HeaderPackage(recordedDistributions[id], fields[2])
		if !ok || got != fields[3] {
			t.Errorf("%s, %s: %q, %v; expected %q", fields[0], fields[2], got, ok, fields[3])
		}
		n++
	}
	if n < 2000 {
		t.Errorf("%d recorded kernels, expected 2000 and more", n)
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
