package ownmounts

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What is mounted in there is not seen here.
func TestRun(t *testing.T) {
	const shared = "AMP_TEST_SHARED"
	dir := os.Getenv(shared)
	if dir == "" {
		dir = t.TempDir()
		t.Setenv(shared, dir)
	}
	inside := false
	Run(t, func(t *testing.T) {
		inside = true
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/x", nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || !inside && len(left) > 0 || inside && len(left) != 1 {
		t.Errorf("%v, %v; expected the file inside, and an empty folder outside", left, err)
	}
}
