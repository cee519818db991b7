package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/durable/powerloss"
)

// What has returned has lasted.
func TestPowerLost(t *testing.T) {
	if !powerloss.Alone(t) {
		return
	}
	disk := powerloss.New(t, 64<<20)
	path := filepath.Join(disk.At, "file")
	for _, content := range []string{"first", "second"} {
		if err := Write(path, []byte(content), 0o644, nil); err != nil {
			t.Fatal(err)
		}
		disk.Lose(t)
		if b, err := os.ReadFile(path); string(b) != content {
			t.Errorf("%q, %v; expected %q", b, err, content)
		}
	}
	if _, err := Remove(path); err != nil {
		t.Fatal(err)
	}
	disk.Lose(t)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("removed, and %v", err)
	}
}
