package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
)

// BenchmarkSmallScan is the library's part of what a scan costs beside scanning.
func BenchmarkSmallScan(b *testing.B) {
	e, err := load(b, map[string]string{"a.ndb": signature})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "x")
	if err := os.WriteFile(path, []byte("all is well\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if a := e.Scan(f, scan.Limits{}); a.Result != scan.Clean {
			b.Fatal(a)
		}
	}
}
