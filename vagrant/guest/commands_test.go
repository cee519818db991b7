package guest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommands runs the commands for scripts, on any machine, in the scripts of testdata/commands.
func TestCommands(t *testing.T) {
	if *guestFlag != "" {
		t.Skip("in a guest: the commands' own scripts are not there")
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/commands", Cmds: commands()})
}

func TestLookup(t *testing.T) {
	var doc any
	if err := json.Unmarshal([]byte(`{"a":{"b":[{"id":5,"s":"x"},{"id":19,"s":"y"}]},"n":null}`), &doc); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a.b.id=19.s": "y", "a.b.0.id": "5", "n": "null", "a.b.id=5": `{"id":5,"s":"x"}`} {
		if v, err := lookup(doc, path); err != nil || scalar(v) != want {
			t.Errorf("%s: %s, %v; expected %s", path, scalar(v), err, want)
		}
	}
	for _, path := range []string{"b", "a.b.2", "a.b.id=6", "a.b.-1", "n.x", ""} {
		if v, err := lookup(doc, path); err == nil {
			t.Errorf("%s: %s, expected an error", path, scalar(v))
		}
	}
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	take := func() state {
		t.Helper()
		s := state{}
		if err := s.addFiles(dir); err != nil {
			t.Fatal(err)
		}
		return s
	}
	write("content", "a", 0o644)
	write("mode", "a", 0o644)
	write("gone", "a", 0o644)
	write("same", "a", 0o644)
	write("excepted", "a", 0o644)
	before := take()
	if changes := compare(before, take(), nil); len(changes) != 0 {
		t.Errorf("nothing changed, and yet: %q", changes)
	}
	write("content", "b", 0o644)
	write("mode", "a", 0o666)
	write("excepted", "b", 0o644)
	write("new", "a", 0o644)
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, c := range compare(before, take(), []string{filepath.Join(dir, "excep*")}) {
		kinds = append(kinds, c[:2]+filepath.Base(c[2 : 2+len(dir)+1+len("content")])[:3])
	}
	if diff := cmp.Diff([]string{"~ con", "- gon", "~ mod", "+ new"}, kinds); diff != "" {
		t.Errorf("-expected +found\n%s", diff)
	}
}
