package bpf

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// docs/events.md has the tables that belong to the programs: what they hang on, and what they cannot see.
func TestDocument(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64, whose system calls the tables name")
	}
	const path = "../docs/events.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	for name, table := range map[string]string{"hooks": hookTable(), "blind spots": blindSpotTable()} {
		if !strings.Contains(string(b), table) {
			t.Errorf("%s has not the table of %s, expected:\n%s", path, name, table)
		}
	}
}

var documentedSets = []hookSet{fentrySet, kprobeSet, tracepointSet}

// hookTable has for each kind what the programs of each set hang on.
func hookTable() string {
	var b strings.Builder
	b.WriteString("| event | fentry | kprobe | tracepoint |\n|---|---|---|---|\n")
	for kind := range (monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds).All {
		fmt.Fprintf(&b, "| %s |", kind)
		for _, set := range documentedSets {
			var at []string
			for _, h := range hooks {
				if h.sets&set == 0 || h.helper || h.to == "" || !(h.kinds | monitor.KindsOf(h.counted)).Has(kind) {
					continue
				}
				for _, to := range strings.Fields(h.to) {
					if name := "`" + strings.TrimPrefix(to, callPrefix) + "`"; !slices.Contains(at, name) {
						at = append(at, name)
					}
				}
			}
			fmt.Fprintf(&b, " %s |", strings.Join(at, " "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// blindSpotTable has what sources of each set say of themselves.
func blindSpotTable() string {
	var b strings.Builder
	b.WriteString("| not seen | of events | fentry | kprobe | tracepoint |\n|---|---|---|---|---|\n")
	for _, spot := range knownBlindSpots {
		var kinds []string
		for k := range spot.Kinds.All {
			kinds = append(kinds, k.String())
		}
		fmt.Fprintf(&b, "| %s | %s |", spot.What.EN, strings.Join(kinds, ", "))
		for _, set := range documentedSets {
			if spot.sets&set != 0 {
				b.WriteString(" not seen |")
			} else {
				b.WriteString(" seen |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// A source says what it cannot see, in both languages, for the set that it has.
func TestBlindSpots(t *testing.T) {
	for _, set := range documentedSets {
		l := newLoaded(set, nil, 0)
		l.failed["amp_rename_fexit"] = os.ErrNotExist
		l.failed["amp_rename_kretprobe"] = os.ErrNotExist
		l.failed["amp_rename_call"] = os.ErrNotExist
		got := l.blindSpots()
		want := 1
		for _, spot := range knownBlindSpots {
			if spot.sets&set != 0 {
				want++
			}
		}
		if len(got) != want {
			t.Errorf("%s: %d blind spots, expected %d", set, len(got), want)
		}
		for _, spot := range got {
			if spot.Kinds == 0 || spot.What.EN == "" || spot.What.JA == "" {
				t.Errorf("%s: %+v", set, spot)
			}
		}
		if last := got[len(got)-1]; !last.Kinds.Has(monitor.FileRename) || !strings.Contains(last.What.EN, os.ErrNotExist.Error()) {
			t.Errorf("%s: last is %+v, expected the program that does not work", set, last)
		}
	}
}
