package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
)

const signature = "Local.A:0:0:4142434445\n"

// allowUnsigned writes the policy.
func (c *command) allowUnsigned(t *testing.T, allow bool) {
	t.Helper()
	file := c.path(policy.Path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, `<policy version="1"><scan unsigned="%t"/></policy>`, allow), 0o644); err != nil {
		t.Fatal(err)
	}
}

// withDefinitions gives the command a host with the package's definitions, and an engine that refuses what has REFUSED in it.
func (c *command) withDefinitions(t *testing.T) {
	t.Helper()
	c.onRoot(t)
	if err := os.CopyFS(c.path(definitions.BuiltInDir), definitions.BuiltIn()); err != nil {
		t.Fatal(err)
	}
	c.allowUnsigned(t, true)
	c.engine.prove = func(_ context.Context, dir string) (scan.Report, error) {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if b, _ := os.ReadFile(filepath.Join(dir, e.Name())); bytes.Contains(b, []byte("REFUSED")) {
				return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, File: e.Name(), Error: "Malformed\x1b[2J\ndatabase"}, err
			}
		}
		return scan.Report{Stage: scan.StageReady, Engine: "1.4.6", Signatures: 7}, err
	}
}

// in makes a directory with definition files.
func in(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func container(version int, body string) string {
	return fmt.Sprintf("%-512s%s", fmt.Sprintf("ClamAV-VDB:t:%d:6:90:%x:abc:me:1795876108", version, md5.Sum([]byte(body))), body)
}

func TestDefinitions(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.withDefinitions(t)
	verbs := c.reloads(t)
	one := in(t, map[string]string{"daily.cvd": container(1, "one"), "local.ndb": signature})
	two := in(t, map[string]string{"daily.cvd": container(2, "two"), "local.ndb": signature, "README\x1b[2J": ""})
	bad := in(t, map[string]string{"daily.cvd": container(3, "three")[:514], "local.ndb": "REFUSED:0:0:41\n"})
	empty := t.TempDir()
	for _, step := range []struct {
		args string
		code int
		out  []string // parts of it, or of the error
	}{
		{"definitions list", 0, []string{"Live:      built-in only (", "Previous:  none\n"}},
		{"definitions rollback", 1, []string{"no set was live before"}},
		{"definitions verify", 0, []string{"all files: passed: trial load", "can be used"}},
		{"definitions verify " + bad, 2, []string{"daily.cvd: FAILED: checksum: MD5 ", ", expected MD5 ", "as the header says", "local.ndb: FAILED: trial load: Malformed\uFFFD[2J database", "2 checks failed"}},
		{"definitions verify " + empty, 2, []string{"no definition file"}},
		{"definitions verify " + empty + "/none", 2, []string{"no such file"}},
		{"definitions import " + one, 0, []string{"Live now: set "}},
		{"definitions import " + one, 0, []string{"Live already: set "}},
		{"definitions import " + two, 0, []string{"Live now: set ", `Not definitions, or of no database here: "README\x1b[2J"`}},
		{"definitions import " + bad, 2, []string{"Left out: daily.cvd: checksum: ", "Left out: local.ndb: trial load: ", "without the files that failed nothing is new", "is still live"}},
		{"definitions list", 0, []string{
			"Live:      ", "from " + two + ", 7 signatures (engine 1.4.6)\n", "  daily.cvd                version 2, 6 signatures, built 2026-11-28 14:28 UTC, 515 B\n", "  local.ndb                23 B\n",
			"Previous:  ", "version 1, 6 signatures", "Built-in:  ", "Incoming:  0 files, none", "Set aside:\n", "daily.cvd (", "kept in ",
		}},
		{"definitions list --lang ja", 0, []string{"有効: ", "以前: ", "除外済み:"}},
		{"definitions rollback", 0, []string{"Live now: set "}},
		{"definitions import " + two, 2, []string{"a rollback left it"}},
		{"definitions import --force " + two, 0, []string{"Live now: set "}},
		{"definitions import " + empty, 2, []string{"no definition file"}},
		{"definitions verify /etc/passwd", 2, []string{"cannot be used: open /etc/passwd: not a directory"}},
		{"definitions import", 2, []string{"expected: ampcli definitions import DIR"}},
		{"definitions import a b", 2, []string{"expected: ampcli definitions import DIR"}},
	} {
		out, code, err := c.call(t, strings.Fields(step.args)...)
		if err != nil {
			out += err.Error()
		}
		for _, want := range step.out {
			if code != step.code || !strings.Contains(out, want) {
				t.Errorf("%s: exit code %d, %q; expected %d, %q", step.args, code, out, step.code, want)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s: drives the terminal: %q", step.args, out)
		}
	}
	if got := *verbs; len(got) != 4 || got[0] != control.Reload {
		t.Errorf("the daemon was asked %q, expected reload after each change", got)
	}
}

// reloads runs a daemon that remembers what it was asked.
func (c *command) reloads(t *testing.T) *[]control.Verb {
	t.Helper()
	l, err := control.Listen(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	var verbs []control.Verb
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	server := control.Server{Log: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, r control.Request) control.Answer {
		verbs = append(verbs, r.Verb)
		return control.Answer{Status: &control.Status{Running: true}}
	}}
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
	return &verbs
}

// A daemon that has been told and is still loading the set is no failure.
func TestDefinitionsThatTheDaemonIsStillLoading(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer *control.Answer // nil: none comes
		told   string
		failed bool
	}{
		{"no answer in time", nil, "has not said yet", false},
		{"not finished", &control.Answer{Code: control.Incomplete, Error: "not finished yet"}, "has not said yet", false},
		{"denied", &control.Answer{Code: control.Denied, Error: "no"}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := place(t)
			var out bytes.Buffer
			c.out = &out
			l, err := control.Listen(c.socket)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error)
			server := control.Server{Log: slog.New(slog.DiscardHandler), Handle: func(ctx context.Context, _ control.Request) control.Answer {
				if tt.answer == nil {
					<-ctx.Done()
					return control.Answer{}
				}
				return *tt.answer
			}}
			go func() { done <- server.Serve(ctx, l) }()
			asking, enough := context.WithTimeout(ctx, 200*time.Millisecond)
			defer enough()
			if err := c.reload(asking); (err != nil) != tt.failed || !strings.Contains(out.String(), tt.told) {
				t.Errorf("%v, said %q; expected %q, an error: %v", err, &out, tt.told, tt.failed)
			}
			stop()
			<-done
		})
	}
}

func TestDefinitionsForPrograms(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.withDefinitions(t)
	dir := in(t, map[string]string{"local.ndb": signature, "bad.ndb": "x"})
	read := func(to any, code int, args ...string) {
		t.Helper()
		out, got, err := c.call(t, append([]string{"definitions", "-o", "json"}, args...)...)
		if jerr := json.Unmarshal([]byte(out), to); jerr != nil || got != code {
			t.Errorf("%q: exit code %d, expected %d: %v, %v\n%s", args, got, code, jerr, err, out)
		}
	}
	var outcome definitions.Outcome
	read(&outcome, 0, "import", dir)
	if outcome.Result != definitions.Live || len(outcome.SetAside) != 1 || outcome.SetAside[0].Check.Step != definitions.StepText {
		t.Errorf("%+v", outcome)
	}
	var verified struct {
		OK     bool
		Checks []definitions.Check
	}
	read(&verified, 2, "verify", dir)
	if verified.OK || len(verified.Checks) == 0 {
		t.Errorf("%+v", verified)
	}
	read(&verified, 0, "verify")
	if !verified.OK {
		t.Errorf("%+v", verified)
	}
	var list definitions.Listing
	read(&list, 0, "list")
	if list.Live.ID != outcome.Set.ID || len(list.Rejected) != 1 || list.BuiltIn.ID == "" {
		t.Errorf("%+v", list)
	}
}

func TestDefinitionsThatCannotBeTried(t *testing.T) {
	needRoot(t)
	c := place(t)
	c.withDefinitions(t)
	dir := in(t, map[string]string{"local.ndb": signature})
	for _, tt := range []struct {
		prove definitions.Prove
		want  string
	}{
		{nil, "this program has no scan engine"},
		{func(context.Context, string) (scan.Report, error) { return scan.Report{}, errors.New("fork: no") }, "fork: no"},
		{func(context.Context, string) (scan.Report, error) {
			return scan.Report{Stage: scan.StageDefinitions, Cause: scan.MemoryShort, Error: "short"}, nil
		}, "a second time"},
	} {
		c.engine.prove = tt.prove
		if _, code, err := c.call(t, "definitions", "import", dir); code != 1 || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("import: %d, %v; expected 1, %q", code, err, tt.want)
		}
		if out, code, err := c.call(t, "definitions", "verify", dir); code != 1 || err == nil || !strings.Contains(out, "local.ndb: passed: ") {
			t.Errorf("verify: %d, %v, %q; expected 1 and the checks that could be made", code, err, out)
		}
	}
	if err := os.Rename(c.path(definitions.BuiltInDir), c.path("away")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"verify", dir}, {"import", dir}} {
		if _, code, err := c.call(t, append([]string{"definitions"}, args...)...); code != 1 || err == nil || !strings.Contains(err.Error(), "built-in definitions cannot be used") {
			t.Errorf("the package's are gone: %q: %d, %v; expected 1", args, code, err)
		}
	}
	os.Rename(c.path("away"), c.path(definitions.BuiltInDir))
	c.allowUnsigned(t, false)
	if out, code, _ := c.call(t, "definitions", "import", dir); code != 2 || !strings.Contains(out, "policy that allows") {
		t.Errorf("no signature, and no word of the policy: %d, %q", code, out)
	}
}

func TestOnlyRootChangesDefinitions(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsOther(t)
		return
	}
	c := place(t)
	for _, args := range [][]string{{"definitions", "import", "/tmp"}, {"definitions", "rollback"}} {
		if _, code, err := c.call(t, args...); code != 4 {
			t.Errorf("%q: exit code %d, %v; expected 4", args, code, err)
		}
	}
	c.rootDir = os.Getenv(otherRootEnv)
	if c.rootDir == "" {
		return
	}
	for _, args := range [][]string{{"definitions", "list"}, {"definitions", "verify", c.rootDir + "/in"}} {
		c.engine.prove = func(context.Context, string) (scan.Report, error) {
			return scan.Report{Stage: scan.StageReady}, nil
		}
		if out, code, err := c.call(t, args...); code != 0 {
			t.Errorf("%q: exit code %d, %v, %s; expected 0", args, code, err, out)
		}
	}
}

// The checks have names in both languages, which in English are those of the record.
func TestStepsInBothLanguages(t *testing.T) {
	for _, step := range definitions.Steps {
		if name := stepWords[step]; name.EN != string(step) || name.JA == "" || name.JA == name.EN {
			t.Errorf("%s: %+v", step, name)
		}
	}
	w := definitionText{&command{language: fault.Japanese}}
	if got, want := w.check(definitions.Check{Step: definitions.StepSize, Read: "0 bytes", Expected: "1"}), "サイズ: 0 bytes、期待される値 1"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	if got := w.check(definitions.Check{Step: "later", Read: "x"}); got != "later: x" {
		t.Errorf("%q", got)
	}
}
