package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDataLimited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parameter")
	if dataLimited(path) {
		t.Error("a kernel without the parameter, before 4.7, is said to limit data")
	}
	for content, want := range map[string]bool{"N\n": true, "Y\n": false, "": false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := dataLimited(path); got != want {
			t.Errorf("%q: %t, expected %t", content, got, want)
		}
	}
}
