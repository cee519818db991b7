package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// output is what run.sh prints of a boot: the bare rounds of each workload, then those of the coverages.
func output(coverages []string, busy func(coverage, workload string, round int) int) string {
	var b strings.Builder
	for _, name := range coverages {
		c, _ := coverage(name)
		for _, w := range c.Workloads {
			for round := 1; round <= Rounds; round++ {
				n := busy(name, w, round)
				fmt.Fprintf(&b, "sample %s %s %d %d %d\n", name, w, round, n, n-1000)
			}
		}
	}
	return b.String()
}

func TestCost(t *testing.T) {
	text := "version kernel 6.1.0\nSetting up amp-connector\n\n" + output([]string{None, "exec"}, func(c, _ string, round int) int {
		if c == None {
			return 1_000_000_000 + round*500_000
		}
		return 1_020_000_000 + round*1_000_000
	}) + "shown exec exec 3999\n"
	run, err := Parse(Own, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := r.Add(run); err != nil {
		t.Fatal(err)
	}
	// 1000 operations: a median of 1001 ms bare and 1022 ms with the monitor.
	want := Result{
		Versions: map[string]string{"kernel": "6.1.0"},
		Costs:    []Cost{{Monitor: Own, Coverage: "exec", Workload: "exec", Bare: 1001, Added: 21, Percent: 2.098, Waits: 21, Spread: 2}},
		Seen:     []Seen{{Monitor: Own, Coverage: "exec", Kind: "exec", Produced: 4000, Shown: 3999}},
	}
	if d := cmp.Diff(want, r.rounded()); d != "" {
		t.Errorf("result (-want +got):\n%s", d)
	}
}

func TestBareTwice(t *testing.T) {
	text := output([]string{None}, func(string, string, int) int { return 5_000_000 }) + output([]string{None}, func(string, string, int) int { return 6_000_000 })
	run, err := Parse(Bare, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := r.Add(run); err != nil {
		t.Fatal(err)
	}
	if c, ok := r.cost(Bare, None, "exec"); !ok || c.Bare != 5 || c.Added != 1 {
		t.Errorf("cost %+v, %t, expected 5 µs and then 1 µs more", c, ok)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"sample exec exec 1 5", "expected coverage, workload"},
		{"sample exec exec 4 5 5", "round from 1 to 3"},
		{"sample exec exec 0 5 5", "round from 1 to 3"},
		{"sample some exec 1 5 5", "expected a coverage"},
		{"sample exec some 1 5 5", "expected a coverage"},
		{"sample exec exec 1 -5 5", "nanoseconds"},
		{"sample exec exec 1 5 86400000000001", "less than a day"},
		{"shown exec exec", "expected coverage, kind, count"},
		{"shown exec connect 5", "a kind that its workloads make"},
		{"shown exec exec -1", "expected a count"},
		{"version kernel", "expected a name and a version"},
	} {
		_, err := Parse("some", strings.NewReader("\n"+c.line+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "output of some, line 2") {
			t.Errorf("%q: error %v, expected %q and the line's number in it", c.line, err, c.want)
		}
	}
	run, err := Parse(Own, strings.NewReader(strings.Replace(output([]string{None, "exec"}, func(string, string, int) int { return 5 }), "sample exec exec 3 5 -995\n", "", 1)))
	if err == nil {
		t.Errorf("a negative time was read: %+v", run)
	}
	run, err = Parse(Own, strings.NewReader("sample none exec 1 5 5\nsample exec exec 1 5 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Result).Add(run); err == nil || !strings.Contains(err.Error(), "1 rounds and 1 bare ones, expected 3 each") {
		t.Errorf("error %v, expected one that counts the rounds", err)
	}
}

func TestRegressions(t *testing.T) {
	of := func(added, spread float64) Result {
		return Result{Costs: []Cost{{Monitor: Own, Coverage: "exec", Workload: "exec", Added: added, Spread: spread}, {Monitor: "auditd", Coverage: "exec", Workload: "exec", Added: added * added}}}
	}
	for _, c := range []struct {
		name          string
		baseline, now Result
		want          string
	}{
		{"the same", of(20, 0.1), of(20, 0.1), ""},
		{"3 % more", of(20, 0.1), of(20.59, 0.1), ""},
		{"more than that", of(20, 0.1), of(20.7, 0.1), "20.70 µs added, baseline 20.00 µs"},
		{"less", of(20, 0.1), of(10, 0.1), ""},
		{"within what rounds differ", of(20, 0.1), of(20.7, 0.8), ""},
		{"within what rounds differed", of(20, 0.8), of(20.7, 0.1), ""},
		{"not measured", of(20, 0.1), Result{}, "was not measured"},
		{"new", Result{}, of(20, 0.1), ""},
	} {
		got := strings.Join(Regressions(c.baseline, c.now), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
}

func TestFilesOfAResult(t *testing.T) {
	r := Result{
		Date: "2026-01-02", Versions: map[string]string{"kernel": "6.1.0", "auditd": "3.0.9"},
		Costs: []Cost{
			{Monitor: Bare, Coverage: None, Workload: "exec", Bare: 1205.4, Added: -0.2},
			{Monitor: "bpftrace", Coverage: "exec", Workload: "exec", Bare: 1205.4, Added: 20.123456, Percent: 1.67},
		},
		Seen: []Seen{{"bpftrace", "exec", "exec", 800, 711}},
	}
	dir := t.TempDir()
	file, document := filepath.Join(dir, "r.json"), filepath.Join(dir, "d.md")
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	again, err := ReadResult(file)
	if d := cmp.Diff(r.rounded(), again); d != "" || err != nil {
		t.Errorf("%v, read again (-want +got):\n%s", err, d)
	}
	if err := os.WriteFile(document, []byte("before\n"+begins+"the table before\n"+ends+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteInto(document); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(document)
	for _, want := range []string{"before\n" + begins, ends + "after\n", "| no monitor | 1205, then -0.20 |", "| bpftrace one-liner (pid, comm, path) | +20.1 (+1.67 %) | exec 711 of 800 |", "auditd 3.0.9, kernel 6.1.0."} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the document has no %q:\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "the table before") {
		t.Error("the old table is still there")
	}
	if err := os.WriteFile(document, []byte("no marks\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteInto(document); err == nil {
		t.Error("a document without the marks was written")
	}
}

// TestMonitorFiles holds the table and the folder together, and the coverages that a file names.
func TestMonitorFiles(t *testing.T) {
	files, err := filepath.Glob("monitors/*.sh")
	if err != nil || len(files) != len(Monitors) {
		t.Errorf("%d files, %v, expected %d", len(files), err, len(Monitors))
	}
	for _, m := range Monitors {
		b, err := os.ReadFile("monitors/" + m.Name + ".sh")
		if err != nil {
			t.Error(err)
			continue
		}
		_, rest, _ := strings.Cut(string(b), "\ncoverages='")
		list, _, _ := strings.Cut(rest, "'")
		for _, name := range strings.Fields(list) {
			if _, ok := coverage(name); !ok || name != None && m.Title[name] == "" {
				t.Errorf("%s: coverage %q is not in the tables", m.Name, name)
			}
		}
		if n := len(strings.Fields(list)); n != max(len(m.Title), 1) {
			t.Errorf("%s: %d coverages, expected %d", m.Name, n, max(len(m.Title), 1))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sample exec exec 1 5 5\nshown exec exec 800\nversion kernel 6.1\n")
	f.Add(output([]string{None, "all"}, func(string, string, int) int { return 5000 }))
	f.Fuzz(func(t *testing.T, text string) {
		run, err := Parse(Own, strings.NewReader(text))
		if err != nil {
			return
		}
		var r Result
		if r.Add(run) == nil {
			_ = r.Markdown()
		}
	})
}

func TestKeep(t *testing.T) {
	figure := func(monitor string, added float64) Cost {
		return Cost{Monitor: monitor, Coverage: "exec", Workload: "exec", Bare: 1000, Added: added}
	}
	earlier := Result{
		Date: "2026-01-02", Versions: map[string]string{"kernel": "6.1.0", "auditd": "3.0.9"},
		Costs: []Cost{figure(Own, 50), figure("auditd", 2000)},
		Seen:  []Seen{{Own, "exec", "exec", 800, 800}, {"auditd", "exec", "exec", 800, 799}},
	}
	now := Result{Date: "2026-03-04", Versions: map[string]string{"kernel": "6.1.0"}, Costs: []Cost{figure(Own, 40)}, Seen: []Seen{{Own, "exec", "exec", 4000, 4000}}}
	want := Result{
		Date: "2026-01-02", Renewed: map[string]string{Own: "2026-03-04"}, Versions: earlier.Versions,
		Costs: []Cost{figure(Own, 40), figure("auditd", 2000)},
		Seen:  []Seen{{Own, "exec", "exec", 4000, 4000}, {"auditd", "exec", "exec", 800, 799}},
	}
	r := now
	if err := r.Keep(earlier); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Errorf("result (-want +got):\n%s", d)
	}
	if got := r.days(); got != "2026-01-02 (amp on 2026-03-04)" {
		t.Errorf("days %q", got)
	}

	r = now
	if err := r.Keep(Result{Date: "2026-01-02", Costs: []Cost{figure(Own, 50)}}); err != nil || r.Date != "2026-03-04" || r.Renewed != nil {
		t.Errorf("%+v, %v, expected what was measured now alone", r, err)
	}

	earlier.Versions = map[string]string{"kernel": "6.2.0"}
	if err := now.Keep(earlier); err == nil || !strings.Contains(err.Error(), "6.2.0") {
		t.Errorf("with another kernel: %v", err)
	}
}
