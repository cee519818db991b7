package remediate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

func TestOpenLog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only a directory of root is logged to")
	}
	for _, c := range []struct {
		name   string
		spoil  func(dir string) error
		logged bool
	}{
		{"as packaged", func(string) error { return nil }, true},
		{"others may write", func(dir string) error { return os.Chmod(dir, 0o777) }, false},
		{"another owner", func(dir string) error { return os.Chown(dir, 1000, 0) }, false},
		{"no directory", os.Remove, false},
		{"a link in the log's place", func(dir string) error {
			return os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "amp-remediate.log"))
		}, false},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "var/log/cisco")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		log, done := openLog(host.At(root))
		log.Info("ran", "command", "semodule")
		if err := done(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		b, _ := os.ReadFile(filepath.Join(dir, "amp-remediate.log"))
		if got := strings.Contains(string(b), "semodule"); got != c.logged {
			t.Errorf("%s: logged %v, want %v", c.name, got, c.logged)
		}
		if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
			t.Errorf("%s: followed the link", c.name)
		}
	}
}

// One may be left from a time when others could write to the directory.
func TestLogThatIsAFIFO(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only a directory of root is logged to")
	}
	root := t.TempDir()
	path := filepath.Join(root, logPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, done := openLog(host.At(root))
		opened <- done()
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it is waited for somebody to read it")
	}
}

func TestLogBeginsAnew(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only a directory of root is logged to")
	}
	root := t.TempDir()
	path := filepath.Join(root, logPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		size  int
		moved bool
	}{{logCap - 1, false}, {logCap, true}, {logCap, true}} {
		if err := os.WriteFile(path, make([]byte, tt.size), 0o640); err != nil {
			t.Fatal(err)
		}
		log, done := openLog(host.At(root))
		log.Info("ran", "command", "semodule")
		if err := done(); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(path + ".1")
		if (err == nil) != tt.moved || tt.moved && before.Size() != logCap {
			t.Errorf("%d bytes: the log before is %v (%v)", tt.size, before, err)
		}
		if now, err := os.Stat(path); err != nil || (now.Size() < logCap) != tt.moved {
			t.Errorf("%d bytes: the log is %v (%v)", tt.size, now, err)
		}
	}
}
