package monitor

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The table of docs/ocsf.md says the numbers that lines have.
func TestOCSFDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/ocsf.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Classes and activities")
	table, _, _ = strings.Cut(table, "## In each line")
	for k := Exec; k < kindEnd; k++ {
		a := activities[k]
		row := ""
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, fmt.Sprintf("| `%v` |", k)) {
				row = line
			}
		}
		for _, part := range []string{fmt.Sprintf("| %d", a.class), fmt.Sprintf("| %d", a.id), fmt.Sprint(a.class*100 + a.id), a.name} {
			if !strings.Contains(row, part) {
				t.Errorf("%v: %q has no %q", k, row, part)
			}
		}
	}
}

// The example of docs/ocsf.md is a line that can be read.
func TestOCSFExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/ocsf.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	r, err := ParseLine([]byte(strings.ReplaceAll(example, "\n ", "")))
	if err != nil {
		t.Fatal(err)
	}
	if again := encodeOn(r.Host, r.Event); strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(example, "\n  ", ""), "\n ", ""), "\n", "") != strings.TrimSpace(again) {
		t.Errorf("the line of the example is\n%s", again)
	}
}

func encodeOn(host string, e Event) string { return string(newEncoder(host).append(nil, &e)) }

// What was done about a detection is said in OCSF's numbers, as docs/ocsf.md has them.
func TestDispositions(t *testing.T) {
	text, err := os.ReadFile("../../docs/ocsf.md")
	if err != nil {
		t.Fatal(err)
	}
	for row, found := range map[string]Found{
		"| 15 Detected | 1 Allowed |":  {},
		"| 3 Quarantined | 2 Denied |": {Quarantined: "20261128-0a1b2c3d"},
		"| 16 No Action | 1 Allowed |": {LeftAlone: "it is immutable"},
	} {
		var disposition, action int
		var name string
		if _, err := fmt.Sscanf(strings.ReplaceAll(row, "No Action", "None"), "| %d %s | %d", &disposition, &name, &action); err != nil {
			t.Fatal(err)
		}
		line := encodeOn("host", Event{Kind: Detection, Name: "A", Process: &Process{}, Found: found})
		if want := fmt.Sprintf(`"action_id":%d,"disposition_id":%d,`, action, disposition); !strings.Contains(line, want) || !strings.Contains(string(text), row) {
			t.Errorf("%s: no %s in %s", row, want, line)
		}
	}
}
