package installer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/host"
)

// TestJournalsOfEarlierVersions reads journals as version 0.1 wrote them: an upgrade may find one of a run that was killed. What is
// recorded must come back, whatever the words of the titles have become since.
func TestJournalsOfEarlierVersions(t *testing.T) {
	files, err := filepath.Glob("testdata/journals/*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("recorded journals: %q, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		j, s, err := parseJournal(b)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(file), ".json"); s.Kind() != want || j.Phase != applying {
			t.Errorf("%s: a step of kind %q in phase %q", file, s.Kind(), j.Phase)
		}
		if title := s.Title(); title.EN == "" || title.JA == "" {
			t.Errorf("%s: title %q / %q", file, title.EN, title.JA)
		}
		now, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields(t, j.Step), kept(fields(t, j.Step), fields(t, now))); diff != "" {
			t.Errorf("%s: what was recorded (-) has become (+)\n%s", file, diff)
		}
	}
}

// TestJournalIsTheSameInEveryLanguage guards what is written: identifiers, and a title in English.
func TestJournalIsTheSameInEveryLanguage(t *testing.T) {
	h := NewHost(host.At(t.TempDir()), nil)
	if err := writeJournal(h, "fault-5", 0, &Group{Name: "amp"}, applying); err != nil {
		t.Fatal(err)
	}
	b, err := h.Root.ReadFile(JournalPath, maxJournal)
	if err != nil {
		t.Fatal(err)
	}
	j, _, err := parseJournal(b)
	if err != nil || j.Plan != "fault-5" || j.Kind != "group" || j.Title != "create group amp" {
		t.Errorf("%+v, %v", j, err)
	}
}

func fields(t *testing.T, b []byte) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// kept are those of the fields now that were recorded: a newer step may have more.
func kept(recorded, now map[string]any) map[string]any {
	m := map[string]any{}
	for name := range recorded {
		v, ok := now[name]
		inner, isMap := v.(map[string]any)
		if was, wasMap := recorded[name].(map[string]any); isMap && wasMap {
			v = kept(was, inner)
		}
		if ok {
			m[name] = v
		}
	}
	return m
}
