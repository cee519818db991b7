package sandbox_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
)

// TestUnpackers scans the library's own test files: one small program, packed in the ways that there are. The library has to find it in all
// of them with the files and system calls that it is left with.
func TestUnpackers(t *testing.T) {
	needRoot(t)
	const dir = "/usr/share/clamav-testfiles/"
	program, err := os.ReadFile(dir + "clam.exe")
	if err != nil {
		lacks(t, "needs the package clamav-testfiles: "+err.Error())
	}
	o := options(t)
	o.Definitions = definitions(t, map[string]string{
		"program.hsb": fmt.Sprintf("%x:%d:Whole\n", sha256.Sum256(program), len(program)),
	})
	s := ready(t, o)
	paths, err := filepath.Glob(dir + "*")
	if err != nil || len(paths) < 20 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		a := s.scanFile(t, f, scan.Limits{})
		f.Close()
		if a.Result != scan.Infected {
			t.Errorf("%s: %+v", filepath.Base(path), a)
		}
	}
}
