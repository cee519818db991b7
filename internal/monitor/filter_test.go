package monitor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/policy"
)

// Where the path of an excluded program does not lead anywhere, the other exclusions are in force all the same.
func TestFilterOfProgramsThatAreNotThere(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"nothing": filepath.Join(dir, "nothing"), "below a file": os.Args[0] + "/below", "a link to itself": loop, "what cannot be looked at": "/\x00",
	} {
		f, err := NewFilter(Settings{Kinds: FileKinds, Exclusions: policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: path, Children: true}, {Path: os.Args[0]}}}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(f.executables) != 1 || len(f.parents) != 0 {
			t.Errorf("%s: %d programs, %d of them with children; expected that of the test alone", name, len(f.executables), len(f.parents))
		}
	}
}
