package bench

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// said is what scan.sh prints in a run with next to no figures.
const said = `Selecting previously unselected package
count tree files 10
count tree bytes 2500000
version kernel 6.1.0
version libclamav12 1.4
version clamav-daemon 1.4
figure bare compile 1 900000000 1
figure clamonacc compile 1 1900000000 1
figure connector compile 1 1000000000 1
figure clamd-cache-on cold 1 4000000000 5
figure clamd-cache-on cold 2 6000000000 5
count clamd-cache-on cold-found 4
figure connector cold 1 2000000000 5
figure connector again 1 50000000 5
latency connector idle 3000000
latency connector idle 1000000
latency connector idle 2000000
count connector cold-found 0
count connector loaded-resident-KiB 1000
`

func TestParseScans(t *testing.T) {
	s, err := ParseScans(strings.NewReader(said))
	if err != nil {
		t.Fatal(err)
	}
	if want := []ScanLatency{{"connector", "idle", 2e6, 3e6, 3}}; !reflect.DeepEqual(s.Latencies, want) {
		t.Errorf("%+v, expected %+v", s.Latencies, want)
	}
	table := s.Markdown()
	for _, want := range []string{
		"10 files, 2.5 MB", "| `clamdscan --multiscan --fdpass` | 4.00, 6.00 | 1.00 × | 4 |", "| **amp-connector**, `ampcli scan` | 2.00 | 2.50 × | 0 | 0.05 | 100 × |",
		"| 1900 | +1000 (+111 %) |", "p50 2 ms, p99 3 ms", "| `ampscansvc` | 1.02 |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	path := filepath.Join(t.TempDir(), "scans.json")
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadScans(path); err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("read %+v, %v; expected %+v", again, err, s)
	}
}

func TestParseScansErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"figure connector cold 1 5", `expected 5 words behind "figure"`},
		{"figure connector cold 0 5 5", "a round from 1"},
		{"figure connector cold 1 -5 5", "nanoseconds"},
		{"figure a|b cold 1 5 5", "names of letters"},
		{"count connector files many", "nanoseconds"},
		{"latency connector idle", "expected 3 words"},
	} {
		_, err := ParseScans(strings.NewReader("\n" + c.line + "\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: error %v, expected %q and the line's number in it", c.line, err, c.want)
		}
	}
}

func FuzzParseScans(f *testing.F) {
	f.Add(said)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseScans(strings.NewReader(text)); err == nil {
			_ = s.Markdown()
		}
	})
}

// What people read says what is in the file.
func TestScansDocumentIsCurrent(t *testing.T) {
	s, err := ReadScans(filepath.Join(filepath.Dir(keptDocument), "benchmarks-scans.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(keptDocument)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), scansBegin)
	generated, _, _ := strings.Cut(rest, scansEnd)
	if strings.TrimSpace(generated) != strings.TrimSpace(s.Markdown()) {
		t.Errorf("the tables of %s are not what the figures give; go run ./vagrant/cmd/lab scans --draw writes them anew", keptDocument)
	}
}
