package remediate

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
)

// bundler is a tool for a root in which there is nothing but what files says; the facts and the status are as given.
func bundler(t *testing.T, root string, status func(context.Context) ([]byte, error)) (*Tool, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	w := soundWorld()
	return &Tool{
		Stdout: &out, Stderr: &out, Root: root, Privileged: true,
		hands: hands{Gather: func(context.Context, health.Options) *health.Facts { return &w.facts }, Status: status},
	}, &out
}

// members are the contents of an archive by their names below its folder.
func members(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		contents[name] = string(content)
	}
}

// TestBundleOfTheRunningHost reads this very host; the status is that of a connector that runs, or of none.
func TestBundleOfTheRunningHost(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		status                 func(context.Context) ([]byte, error)
		there, absent, unread  bool
		code, withoutPrivilege []int
	}{
		{name: "the connector runs", status: func(context.Context) ([]byte, error) { return []byte(`{"mode":"normal"}`), nil }, there: true, code: []int{ExitGone, ExitUnknown}, withoutPrivilege: []int{ExitGone, ExitRoot}},
		{name: "it does not", status: func(context.Context) ([]byte, error) { return nil, control.ErrNotRunning }, absent: true, code: []int{ExitGone, ExitUnknown}, withoutPrivilege: []int{ExitGone, ExitRoot}},
		{name: "it does not answer", status: func(context.Context) ([]byte, error) { return nil, errors.New("no answer") }, unread: true, code: []int{ExitUnknown}, withoutPrivilege: []int{ExitRoot}},
	} {
		for privileged, codes := range map[bool][]int{true: tt.code, false: tt.withoutPrivilege} {
			t.Run(tt.name, func(t *testing.T) {
				tool, out := bundler(t, "", tt.status)
				tool.Privileged, tool.JSON = privileged, true
				path := filepath.Join(t.TempDir(), "a.tar.gz")
				if code := tool.Bundle(t.Context(), Bundle{To: path, Program: "p"}); !slices.Contains(codes, code) {
					t.Errorf("code %d, want one of %v: %s", code, codes, out)
				}
				contents := members(t, path)
				bundle := loadSchema(t, "bundle.schema.json")
				for _, wrong := range bundle.validate([]byte(contents["MANIFEST.json"])) {
					t.Errorf("MANIFEST.json: %s", wrong)
				}
				var printed json.RawMessage // before what a person is told
				if err := json.NewDecoder(out).Decode(&printed); err != nil {
					t.Fatal(err)
				}
				for _, wrong := range bundle.of("report").validate(printed) {
					t.Errorf("what was printed: %s", wrong)
				}
				var r BundleReport
				if err := json.Unmarshal(printed, &r); err != nil {
					t.Fatal(err)
				}
				if _, there := contents["status.json"]; there != tt.there {
					t.Errorf("status.json: %v", there)
				}
				told := func(list any) bool {
					b, _ := json.Marshal(list)
					return strings.Contains(string(b), control.Socket)
				}
				if told(r.Manifest.Absent) != tt.absent || told(r.Manifest.Unread) != tt.unread {
					t.Errorf("absent %v, unread %v", r.Manifest.Absent, r.Manifest.Unread)
				}
				if info, err := os.Stat(path); err != nil || info.Size() != r.Size || info.Mode() != 0o600 || r.Archive != path {
					t.Errorf("%v, %v: %+v", info, err, r)
				}
				if !strings.Contains(contents["system/mountinfo"], " / ") {
					t.Error("no mounts")
				}
				for _, wrong := range loadSchema(t, "remediate.schema.json").validate([]byte(contents["check.json"])) {
					t.Errorf("check.json: %s", wrong)
				}
			})
		}
	}
}

func TestBundleInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	tool, out := bundler(t, "", func(context.Context) ([]byte, error) { cancel(); return nil, context.Canceled })
	if code := tool.Bundle(ctx, Bundle{To: filepath.Join(dir, "a.tar.gz")}); code != ExitUsage || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("code %d: %s", code, out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNewestFirst(t *testing.T) {
	names := []string{"a.log.1", "a.log.10.gz", "a.log.2.gz", "b.log.1", "b.log.2.gz"}
	newestFirst(names)
	if got := strings.Join(names, " "); got != "a.log.1 b.log.1 a.log.2.gz b.log.2.gz a.log.10.gz" {
		t.Error(got)
	}
	names = []string{"a.log-20261101", "a.log-20261130.gz"}
	newestFirst(names)
	if names[0] != "a.log-20261130.gz" {
		t.Error(names)
	}
}

func TestHostName(t *testing.T) {
	for content, want := range map[string]string{
		"web-1.example.com\n":   "web-1.example.com",
		"../../etc/x":           "etc-x",
		"-rf\n":                 "rf",
		"日本\n":                  "host",
		"":                      "image",
		strings.Repeat("a", 99): strings.Repeat("a", 64),
	} {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "etc/hostname"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := (&Tool{Root: root}).hostName(); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}
