package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/scan/quarantine"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// take puts a file into the quarantine of the command's host, as the daemon does.
func (c *command) take(t *testing.T, path, name string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(name), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := verdicts.Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.quarantineStore().Take(context.Background(), f, quarantine.Finding{Identity: id, Paths: []string{path}, Why: quarantine.Why{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func TestQuarantine(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.onRoot(t)
	home := t.TempDir()
	path := func(name string) string { return filepath.Join(home, name) }
	first, second, third := c.take(t, path("a b"), "Test.A"), c.take(t, path("b"), "Test.B\x1b"), c.take(t, path("c"), "Test.C")
	if err := os.WriteFile(path("b"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		code int
		out  []string // parts of it, or of the error
	}{
		{[]string{"list"}, 0, []string{first + "  ", `Test.A  "` + path("a b") + `"`, `"Test.B\x1b"`, "3 files, 19 B; at most 4096 files, 2048.0 MiB."}},
		{[]string{"restore", "none"}, 2, []string{"no such entry"}},
		{[]string{"restore"}, 2, nil},
		{[]string{"restore", first}, 0, []string{`Given back: "` + path("a b") + `".`}},
		{[]string{"restore", first}, 2, []string{"no such entry"}},
		{[]string{"list"}, 0, []string{first + "  given back", "left alone since: Test.A in"}},
		{[]string{"restore", second}, 1, []string{"something stands there already", "--force"}},
		{[]string{"restore", second, "--to", path("none/x")}, 1, []string{"the folder is not there", "--to PATH"}},
		{[]string{"restore", second, "--force"}, 0, []string{"Given back: " + path("b"), "What stood there is now " + path("before-"+second)}},
		{[]string{"delete", first}, 0, []string{"Deleted: " + first}},
		{[]string{"delete", first}, 2, []string{"no such entry"}},
		{[]string{"restore", third, "--to", path("elsewhere"), "--lang", "ja"}, 0, []string{"復元しました: " + path("elsewhere")}},
		{[]string{"delete", second}, 0, nil},
		{[]string{"delete", third}, 0, nil},
		{[]string{"list"}, 0, []string{"Nothing is in quarantine."}},
	} {
		out, code, err := c.call(t, append([]string{"quarantine"}, step.args...)...)
		if err != nil {
			out += err.Error()
		}
		if code != step.code {
			t.Errorf("%q: exit code %d, expected %d\n%s", step.args, code, step.code, out)
		}
		for _, want := range step.out {
			if !strings.Contains(out, want) {
				t.Errorf("%q: no %q in\n%s", step.args, want, out)
			}
		}
	}
}

func TestQuarantineJSON(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.onRoot(t)
	path := filepath.Join(t.TempDir(), "a")
	id := c.take(t, path, "Test.A")
	if words, _ := c.quarantined(new(cobra.Command), nil, ""); len(words) != 1 || words[0] != id+"\t"+path {
		t.Errorf("completion %q", words)
	}
	var l quarantine.Listing
	out, code, err := c.call(t, "quarantine", "list", "-o", "json")
	if jerr := json.Unmarshal([]byte(out), &l); code != 0 || err != nil || jerr != nil || len(l.Entries) != 1 || string(l.Entries[0].Path) != path || l.Entries[0].Mode != 0o640 {
		t.Errorf("exit code %d, %v, %v: %+v", code, err, jerr, l)
	}
	var done quarantine.Restored
	out, code, err = c.call(t, "quarantine", "restore", id, "-o", "json")
	if jerr := json.Unmarshal([]byte(out), &done); code != 0 || err != nil || jerr != nil || done.Path != path {
		t.Errorf("exit code %d, %v, %v: %+v", code, err, jerr, done)
	}
	if out, code, err := c.call(t, "quarantine", "delete", id, "-o", "json"); code != 0 || !strings.Contains(out, `"deleted": "`+id+`"`) {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}
