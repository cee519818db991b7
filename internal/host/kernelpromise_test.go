package host

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestPromiseOf(t *testing.T) {
	debian := func(version string) Distribution { return Distribution{ID: "debian", VersionID: version} }
	for _, c := range []struct {
		d       Distribution
		release string
		name    string // "" where nothing is promised
		guests  bool
		want    Expectation
	}{
		{debian("11"), "5.10.0-33-amd64", "Debian 11", true, FullSource},
		{debian("12"), "6.1.0-57-cloud-amd64", "Debian 12", true, FullSource},
		{debian("13"), "6.12.48+deb13-amd64", "Debian 13", true, FullSource},
		{debian(""), "7.2.2-amd64", "Debian sid", true, FullSource},
		{debian("13"), "7.2.2-amd64", "", false, ""},
		{debian("11"), "6.1.0-0.deb11.5-amd64", "", false, ""}, // backported: another build than the one that was run
		{debian("12"), "6.10.1-amd64", "", false, ""},
		{debian("1"), "5.10.0-33-amd64", "", false, ""},
		{Distribution{ID: "amzn", VersionID: "2"}, "4.14.101-91.76.amzn2.aarch64", "Amazon Linux 2", false, NoPrograms},
		{Distribution{ID: "amzn", VersionID: "2018.03"}, "4.14.33-51.34.amzn1.x86_64", "Amazon Linux", false, NoPrograms},
		{Distribution{ID: "amzn", VersionID: "2023"}, "5.10.1", "", false, ""},
		{Distribution{ID: "ol", VersionID: "8.5"}, "5.4.17-2136.309.5.1.el8uek.x86_64", "Oracle Linux, UEK", false, NotPromised},
		{Distribution{ID: "ol", VersionID: "8.5"}, "5.4.17-1.el8.x86_64", "", false, ""},
		{Distribution{ID: "ubuntu", VersionID: "22.04"}, "5.15.0-91-generic", "Ubuntu", false, FullSource},
		{Distribution{ID: "alpine", VersionID: "3.18"}, "6.1.55-0-lts", "", false, ""},
	} {
		got, ok := PromiseOf(c.d, c.release)
		if got.Name != c.name || ok != (c.name != "") || (len(got.Guests) > 0) != c.guests || got.Expected != c.want {
			t.Errorf("%s %s, %s: %+v, %v; expected %q, run %v, %s", c.d.ID, c.d.VersionID, c.release, got, ok, c.name, c.guests, c.want)
		}
	}
	if rows := TestedKernels(debian("10")); len(rows) != 4 {
		t.Errorf("%d rows of Debian were run, expected 4", len(rows))
	}
	if rows := TestedKernels(Distribution{ID: "ubuntu"}); rows != nil {
		t.Errorf("%+v", rows)
	}
}

// Of each recorded kernel something is said, and nothing that its version contradicts: what has no ring buffer is promised no programs, unless the
// distribution is one that puts parts of newer kernels into older ones.
func TestPromisesOfRecordedKernels(t *testing.T) {
	for _, k := range recordedKernels(t) {
		got, ok := PromiseOf(k.distribution, k.release)
		_, btf := KernelPackages(k.distribution, k.release)
		var wrong string
		switch {
		case !ok:
			wrong = "nothing is said of it"
		case len(got.Guests) > 0:
			wrong = "it was not run"
		case got.Expected == NoPrograms && !Newer("5.8", k.release), got.Expected == FullSource && (btf == "" || Newer(btf, k.release) || Newer("5.8", k.release)):
			wrong = fmt.Sprintf("%s is expected; programs need 5.8, and BTF is there from %q on", got.Expected, btf)
		}
		if wrong != "" {
			t.Errorf("%s %s, %s: %s", k.distribution.ID, k.distribution.VersionID, k.release, wrong)
		}
	}
}

var guestLine = regexp.MustCompile(`(?m)^  - name: (\S+)\n(?:    .*\n)*?    suite: (\S+)$`)

// What is said to have been run is booted by a guest of the lab, of that suite; and no suite of the lab is missing.
func TestPromisesOfTheLab(t *testing.T) {
	b, err := os.ReadFile("../../vagrant/matrix.yaml")
	if err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	suites := map[string]string{}
	for _, m := range guestLine.FindAllStringSubmatch(string(b), -1) {
		suites[m[1]] = m[2]
	}
	names := map[string]string{"bullseye": "Debian 11", "bookworm": "Debian 12", "trixie": "Debian 13", "sid": "Debian sid"}
	var run []string
	for _, row := range KernelPromises {
		for _, guest := range row.Guests {
			if suite := suites[guest]; names[suite] != row.Name {
				t.Errorf("guest %s is of %q, which is %q; expected %s", guest, suite, names[suite], row.Name)
			}
			run = append(run, row.Name)
		}
	}
	for guest, suite := range suites {
		if !slices.Contains(run, names[suite]) {
			t.Errorf("guest %s, of %s: the table has no row of %q that was run", guest, suite, names[suite])
		}
	}
	if len(suites) < 6 {
		t.Errorf("read %v", suites)
	}
}
