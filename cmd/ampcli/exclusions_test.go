package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// onRoot gives the command a host of its own.
func (c *command) onRoot(t *testing.T) {
	t.Helper()
	c.rootDir = t.TempDir()
	if err := os.MkdirAll(filepath.Dir(c.path(policy.Path)), 0o755); err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may change the exclusions")
	}
}

func TestExclusions(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.onRoot(t)
	os.WriteFile(c.path(policy.Path), []byte(`<policy version="1"><exclusions><kind name="map"/></exclusions></policy>`), 0o644)
	c.daemon(t, control.Status{Running: true})
	for _, step := range []struct {
		args string
		code int
		out  string // part of it, or of the error
	}{
		{"exclusions add path /srv/", 0, "Excluded: path /srv/."},
		{"exclusions add path /srv/", 0, "Excluded already: path /srv/."},
		{"exclusions add process /usr/bin/gcc --children", 0, "Excluded: process /usr/bin/gcc with what it starts."},
		{"exclusions add user root", 0, "Excluded: user 0."},
		{"exclusions list", 0, "kind    map  (" + policy.Path + ")\npath    /srv/  (" + policy.ExclusionPath + ")\nprocess /usr/bin/gcc --children  (" + policy.ExclusionPath + ")\nuser    0  (" + policy.ExclusionPath + ")\n"},
		{"exclusions remove user 0", 0, "Monitored again: user 0."},
		{"exclusions remove user 0", 1, "user 0 is not excluded in"},
		{"exclusions add path srv", 2, `path "srv": expected one from the root`},
		{"exclusions add file /srv", 2, `exclusion by "file": expected one of path, process, user, kind`},
		{"exclusions add path /a --children", 2, "no children"},
		{"exclusions add user no-such-user", 2, "unknown user"},
		{"exclusions add path", 2, "expected: ampcli exclusions add path|process|user|kind VALUE"},
		{"exclusions add path /srv/ --lang ja", 0, "すでに除外されています"},
		{"exclusions add path /srv/ -o json", 0, "{\n  \"changed\": false,\n  \"excluded\": true,\n  \"exclusion\": {\n    \"class\": \"path\",\n    \"value\": \"/srv/\"\n  }\n}\n"},
		{"exclusions remove path /srv/ -o json", 0, "{\n  \"changed\": true,\n  \"excluded\": false,"},
		{"exclusions remove path /srv/ -o json", 1, "is not excluded in"},
		{"exclusions add path /srv/", 0, "Excluded: path /srv/."},
	} {
		out, code, err := c.call(t, strings.Fields(step.args)...)
		if err != nil {
			out += err.Error()
		}
		if code != step.code || !strings.Contains(out, step.out) {
			t.Errorf("%s: exit code %d, %q; expected %d, %q", step.args, code, out, step.code, step.out)
		}
	}
	out, _, err := c.call(t, "exclusions", "list", "-o", "json")
	var list struct{ Exclusions []listed }
	if json.Unmarshal([]byte(out), &list) != nil || err != nil || len(list.Exclusions) != 3 || !list.Exclusions[2].Children || list.Exclusions[2].From != policy.ExclusionPath {
		t.Errorf("%s, %v", out, err)
	}
}

func TestExclusionErrorInJapanese(t *testing.T) {
	_, err := exclusion("path", "srv", false)
	if got, want := fault.ErrorText(of(errUsage, err)).JA, `パス "srv": ルートから始まるパス`; !strings.Contains(got, want) {
		t.Errorf("%q, expected %q in it", got, want)
	}
}

func TestExclusionWithoutADaemon(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.onRoot(t)
	if out, code, err := c.call(t, "exclusions", "list"); code != 0 || out != "Nothing is excluded.\n" {
		t.Errorf("%q, %d, %v", out, code, err)
	}
	if out, code, err := c.call(t, "exclusions", "add", "kind", "listen"); code != 0 || !strings.Contains(out, "takes effect when it starts") {
		t.Errorf("%q, %d, %v", out, code, err)
	}
}

func TestDaemonThatCannotTakeTheExclusions(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.onRoot(t)
	c.daemon(t, control.Status{Policy: control.Policy{Exclusions: control.Exclusions{Error: "exclusions.xml:2: not XML"}}})
	if _, code, err := c.call(t, "exclusions", "add", "kind", "listen"); code != 1 || err == nil || !strings.Contains(err.Error(), "exclusions.xml:2") {
		t.Errorf("%d, %v", code, err)
	}
}

func TestPolicy(t *testing.T) {
	c := place(t)
	c.onRoot(t)
	if out, code, _ := c.call(t, "policy", "show"); code != 0 || !strings.Contains(out, "File monitoring:     on\n") {
		t.Errorf("no file: %q, %d", out, code)
	}
	os.WriteFile(c.path(policy.Path), []byte(`<policy version="1"><monitor files="false"/><limits event-log="8"/><kernel btf="/srv/btf" key="/k" certificate="/c"/></policy>`), 0o644)
	out, code, _ := c.call(t, "policy", "show")
	for _, want := range []string{"File monitoring:     off\n", "8 MiB", "also in /srv/btf\n", "by /k, with /c\n"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%q, %d, expected %q", out, code, want)
		}
	}
	if out, code, _ := c.call(t, "policy", "show", "-o", "json"); code != 0 || !strings.Contains(out, `"files": false`) {
		t.Errorf("%q, %d", out, code)
	}
	if out, code, _ := c.call(t, "policy", "check"); code != 0 || !strings.Contains(out, "can be used") {
		t.Errorf("%q, %d", out, code)
	}
	bad := filepath.Join(t.TempDir(), "bad.xml")
	os.WriteFile(bad, []byte("<policy version=\"1\">\n<monitor files=\"maybe\"/></policy>"), 0o644)
	if _, code, err := c.call(t, "policy", "check", bad); code != 2 || !strings.Contains(err.Error(), bad+":2: ") {
		t.Errorf("%d, %v", code, err)
	}
	if _, code, err := c.call(t, "policy", "check", "/nonexistent"); code != 2 || err == nil {
		t.Errorf("%d, %v", code, err)
	}
}
