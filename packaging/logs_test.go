package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logFolder is where all logs are, so that a purge takes them with it.
const logFolder = "/var/log/cisco"

// selfRotating are the logs that keep themselves below a size, whether or not there is a logrotate; each with its file of before.
var selfRotating = map[string]string{
	"/var/log/cisco/events.jsonl":      "internal/monitor, within the policy's cap",
	"/var/log/cisco/detections.jsonl":  "internal/monitor, within DetectionLogCap",
	"/var/log/cisco/amp-remediate.log": "remediate, which is on hosts without our logrotate file too",
}

// rotated are the logs that our logrotate file names.
func rotated(t *testing.T) []string {
	t.Helper()
	b, err := shipped.ReadFile("files/logrotate")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^/\S+|\s/var/\S+`).FindAllString(string(b), -1)
}

// covered reports whether a log of that name is kept from growing without end. Logs of before have a number, and gz.
func covered(name string, rotated []string) bool {
	name = regexp.MustCompile(`(\.\d+)?(\.gz)?$`).ReplaceAllString(name, "")
	if selfRotating[name] != "" {
		return true
	}
	return slices.ContainsFunc(rotated, func(pattern string) bool {
		ok, err := path.Match(strings.TrimSpace(pattern), name)
		return err == nil && ok
	})
}

// logNames finds what looks like the name of a log of ours in a text: a path below the folder of logs, or a bare file name.
func logNames(text string) []string {
	if regexp.MustCompile(`^[\w-]+\.(log|jsonl)$`).MatchString(text) {
		return []string{path.Join(logFolder, text)}
	}
	return regexp.MustCompile(logFolder+`/[\w.-]*\w`).FindAllString(text, -1)
}

func TestLogNames(t *testing.T) {
	for text, want := range map[string]string{
		"/var/log/cisco":                  "",
		"/var/log/messages":               "",
		"see /var/log/cisco/a.log.":       "/var/log/cisco/a.log",
		"/var/log/cisco/a.log および /var/x": "/var/log/cisco/a.log",
		"/var/log/cisco/%s.log":           "",
		"scan.jsonl":                      "/var/log/cisco/scan.jsonl",
		"the scan.log tells":              "",
	} {
		if got := strings.Join(logNames(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestLogsAreRotated reads the strings of all programs: a log that one of them names is rotated by our logrotate file or by itself.
func TestLogsAreRotated(t *testing.T) {
	t.Chdir(repository(t))
	rotated := rotated(t)
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"testdata", "dist", "bin", "tools", "vagrant", "packaging"}, d.Name()) || file != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(file, "_test.go") || !strings.HasSuffix(file, ".go"):
			return nil
		}
		literals, err := stringsOf(file)
		for _, text := range literals {
			for _, name := range logNames(text) {
				seen[name] = true
				if !covered(name, rotated) {
					t.Errorf("%s: %s is rotated neither by packaging/files/logrotate nor by itself (selfRotating)", file, name)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range selfRotating {
		if !seen[name] {
			t.Errorf("no program names %s", name)
		}
	}
	if !seen["/var/log/cisco/ampdaemon.log"] {
		t.Error("the daemon's log was not found in the programs")
	}
}

func stringsOf(file string) (texts []string, err error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts, nil
}

// wantLogsCovered looks at the logs that the programs have really made.
func (r root) wantLogsCovered(t *testing.T) {
	t.Helper()
	made, err := filepath.Glob(filepath.Join(r.dir, logFolder, "*"))
	if err != nil || len(made) == 0 {
		t.Errorf("logs: %v, %v", made, err)
	}
	for _, name := range made {
		if name = strings.TrimPrefix(name, r.dir); !covered(name, rotated(t)) {
			t.Errorf("%s is rotated neither by logrotate nor by itself", name)
		}
	}
}

// wantLogs wants just these files in the folder of logs.
func (r root) wantLogs(names ...string) {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, logFolder))
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || !slices.Equal(got, names) {
		r.t.Errorf("logs %v (%v), want %v", got, err, names)
	}
}

// TestLogrotate runs the real logrotate over the logs of an installed connector and purges what came of it.
func TestLogrotate(t *testing.T) {
	dir := realPackages(t)
	r := newRecommendingRoot(t)
	r.add(deb(dir, "amp-connector", "0.1.0"))
	fresh := r.snapshot()
	r.chroot("dpkg -i /packages/amp-connector_0.1.0*")
	for _, name := range append(rotated(t), "/var/log/cisco/events.jsonl") {
		r.write(strings.TrimSpace(name), "line\n", 0o640)
	}
	r.chroot("logrotate --state /tmp/state --force /etc/logrotate.d/cisco-amp; logrotate --state /tmp/state --force /etc/logrotate.d/cisco-amp")
	for _, name := range rotated(t) {
		name = strings.TrimSpace(name)
		if r.read(name) != "" || r.read(name+".1") != "line\n" {
			t.Errorf("%s: %q, before it %q", name, r.read(name), r.read(name+".1"))
		}
	}
	if r.read("var/log/cisco/events.jsonl") != "line\n" {
		t.Error("the event log was rotated by another than itself")
	}
	r.wantLogsCovered(t)
	r.chroot("dpkg -P amp-connector")
	wantSame(t, "purge", fresh, r.snapshot(), emptyOpt)
}
