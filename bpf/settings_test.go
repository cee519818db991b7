package bpf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// Where the path of an excluded program does not lead anywhere, the other exclusions are in force all the same.
func TestExcludedProgramsThatAreNotThere(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"nothing": filepath.Join(dir, "nothing"), "below a file": os.Args[0] + "/below", "a link to itself": loop, "what cannot be looked at": "/\x00",
	} {
		a, err := apply(monitor.Settings{Exclusions: policy.Exclusions{Processes: []policy.ProcessExclusion{{Path: path, Children: true}, {Path: os.Args[0]}}}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(a.executables) != 1 {
			t.Errorf("%s: %d programs, expected that of the test alone", name, len(a.executables))
		}
	}
}
