// Package archtest holds the architecture: a room imports only rooms on lower floors. There is nothing in it but the check.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ampconnector/amp/"

// floors maps each room to its floor. A folder below a room belongs to it.
var floors = map[string]int{
	"internal/durable": -1, "internal/filelock": -1, "internal/wakeup": -1, "internal/terminal": -1, "internal/capability": -1, "internal/archive": -1, "internal/ownmounts": -1, // the cellar: what knows nothing of the product
	"internal/fault": 0, "internal/policy": 0,
	"internal/host": 1, "internal/monitor": 1, "internal/control": 1,
	"bpf/layout": 2, "bpf/record": 2, // what is made in a header tree, and how events are told of: for two of the event sources
	"internal/scan": 3, "selinux": 3, "bpf": 3, "kmod": 3, "internal/degraded": 3,
	"internal/health":    4,
	"installer":          5,
	"internal/connector": 6,
	"remediate":          6,
	"cmd":                7,
	"packaging":          8, // builds and describes what is below; nothing imports it
	"vagrant":            8,
	"internal/archtest":  8,
}

// room returns the room that a folder of the repository belongs to.
func room(dir string) (string, bool) {
	for d := filepath.ToSlash(dir); d != "." && d != "/"; d = filepath.ToSlash(filepath.Dir(d)) {
		if _, ok := floors[d]; ok {
			return d, true
		}
	}
	return "", false
}

// violations lists the imports below root that go up or sideways, and the Go files that stand in no room.
func violations(root string) ([]string, error) {
	var bad []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist" || name == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		from, ok := room(filepath.Dir(rel))
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: stands in no room of the house", rel))
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := forbidden(from, imported); why != "" {
				bad = append(bad, fmt.Sprintf("%s: imports %s: %s", rel, imported, why))
			}
		}
		return nil
	})
	sort.Strings(bad)
	return bad, err
}

// forbidden says why room from may not import a package, "" if it may.
func forbidden(from, imported string) string {
	dir, ours := strings.CutPrefix(imported, module)
	if !ours {
		return ""
	}
	to, ok := room(dir)
	switch {
	case !ok:
		return "it stands in no room of the house"
	case to == from, floors[to] < floors[from]:
		return ""
	}
	return fmt.Sprintf("%s is on floor %d, %s on floor %d", from, floors[from], to, floors[to])
}

func TestRoomsImportOnlyWhatStandsBelow(t *testing.T) {
	bad, err := violations(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
}

func TestViolationsAreSeen(t *testing.T) {
	for _, tt := range []struct{ name, file, source, want string }{
		{"upward", "internal/host/x.go", `import _ "github.com/ampconnector/amp/internal/health"`, "floor 1"},
		{"sideways", "selinux/x.go", `import _ "github.com/ampconnector/amp/bpf"`, "floor 3"},
		{"from a folder below a room", "selinux/deep/x.go", `import _ "github.com/ampconnector/amp/remediate"`, "floor 6"},
		{"in a test file", "bpf/x_test.go", `import _ "github.com/ampconnector/amp/installer"`, "floor 5"},
		{"a folder that is no room", "internal/utils/x.go", "", "no room"},
		{"downward is allowed", "remediate/x.go", `import _ "github.com/ampconnector/amp/installer"`, ""},
		{"other modules are not judged", "internal/fault/x.go", `import _ "golang.org/x/sys/unix"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, tt.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("package x\n"+tt.source+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			bad, err := violations(root)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(bad, "\n"); (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("violations %q, want one with %q", got, tt.want)
			}
		})
	}
}
