package control

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// A line of the format: https://prometheus.io/docs/instrumenting/exposition_formats/
var (
	helpLine   = regexp.MustCompile(`^# HELP (amp_[a-z_]+) [A-Z].*\.$`)
	typeLine   = regexp.MustCompile(`^# TYPE (amp_[a-z_]+) (gauge|counter)$`)
	sampleLine = regexp.MustCompile(`^(amp_[a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? (NaN|-?[0-9]+(?:\.[0-9]+)?)$`)
)

// checkMetrics reads metrics strictly, and returns the values by name and labels.
func checkMetrics(t *testing.T, text string) map[string]string {
	t.Helper()
	values, types, current := map[string]string{}, map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			if current = m[1]; types[current] != "" {
				t.Errorf("%s comes twice", current)
			}
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if m[1] != current {
				t.Errorf("%q after the help of %s", line, current)
			}
			if (m[2] == "counter") != strings.HasSuffix(m[1], "_total") {
				t.Errorf("%q: counters, and nothing else, end with _total", line)
			}
			types[current] = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != current || types[current] == "" {
			t.Errorf("%q is no sample of %s", line, current)
			continue
		}
		if _, there := values[m[1]+m[2]]; there {
			t.Errorf("%s%s comes twice", m[1], m[2])
		}
		values[m[1]+m[2]] = m[3]
	}
	return values
}

func TestMetrics(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_250)
	s := Status{
		Running: true, Version: "1.2", Kernel: "6.1.0 \"odd\\name\"\n", Started: at, Mode: Degraded,
		Source: Source{Name: "ebpf", Hooks: "fentry", QueueBytes: 5, QueueSize: 10, Kinds: []KindCount{{Kind: "exec", Handled: 1, Excluded: 2, Merged: 3, Shed: 4, Lost: 18, Full: 5, Missed: 6, Damaged: 7}}},
		Load:   &Load{Level: "reduced"}, Canary: &Canary{Time: at, OK: true, Milliseconds: 2.5}, Log: Log{Dropped: 9}, Detections: Log{Dropped: 2},
		Faults: Faults([]fault.Entry{{Finding: fault.Finding{ID: 19, State: fault.Raised, Severity: fault.Critical}}, {Finding: fault.Finding{ID: 5, State: fault.Clear}}, {Finding: fault.Finding{ID: 6, State: fault.Unknown}}}),
	}
	var b strings.Builder
	if err := WriteMetrics(&b, s); err != nil {
		t.Fatal(err)
	}
	got := checkMetrics(t, b.String())
	for name, want := range map[string]string{
		`amp_up`: "1", `amp_start_time_seconds`: "1700000000.25", `amp_evaluated_time_seconds`: "NaN",
		`amp_build_info{version="1.2",kernel="6.1.0 \"odd\\name\"\n"}`: "1",
		`amp_mode{mode="degraded"}`:                                    "1", `amp_mode{mode="normal"}`: "0",
		`amp_events_total{kind="exec",outcome="shed"}`:       "4",
		`amp_events_lost_total{kind="exec",cause="full"}`:    "5",
		`amp_events_lost_total{kind="exec",cause="damaged"}`: "7",
		`amp_load{level="reduced"}`:                          "1",
		`amp_canary_ok`:                                      "1", `amp_canary_delay_seconds`: "0.0025", `amp_log_dropped_total`: "9", `amp_detections_dropped_total`: "2", `amp_policy_ok`: "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	raised := map[string]string{}
	for name, value := range got {
		if id, ok := strings.CutPrefix(name, `amp_fault{id="`); ok {
			raised[id[:strings.IndexByte(id, '"')]] = value
		}
	}
	if len(raised) != 3 || raised["19"] != "1" || raised["5"] != "0" || raised["6"] != "NaN" {
		t.Errorf("faults: %v", raised)
	}
}

// A daemon that does not run has metrics too: the ones that an alert is made of.
func TestMetricsOfNoDaemon(t *testing.T) {
	var b strings.Builder
	if err := WriteMetrics(&b, NotRunning(fault.Snapshot{}, "/f", nil)); err != nil {
		t.Fatal(err)
	}
	got := checkMetrics(t, b.String())
	if _, told := got["amp_policy_ok"]; told {
		t.Error("whether the policy is in force is for the daemon to know")
	}
	if got["amp_up"] != "0" || got["amp_evaluated_time_seconds"] != "NaN" || got[`amp_mode{mode="none"}`] != "1" {
		t.Errorf("got %v", got)
	}
}
