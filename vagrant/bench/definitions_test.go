package bench

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two runs write the same, of the number of signatures that is told.
func TestWriteDefinitions(t *testing.T) {
	var sums [2][32]byte
	for i := range sums {
		dir, h, lines := t.TempDir(), sha256.New(), 0
		if err := WriteDefinitions(dir); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bench.hdb", "bench.hsb", "bench.ndb", "bench.ldb"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(b), "\n")
			_, _ = h.Write(b)
		}
		if want := HashesMD5 + HashesSHA256 + BytePatterns + Combinations + 1 + strings.Count(fixed, "\n"); lines != want {
			t.Errorf("%d signatures, expected %d", lines, want)
		}
		sums[i] = [32]byte(h.Sum(nil))
	}
	if sums[0] != sums[1] {
		t.Error("two runs wrote different definitions")
	}
}
