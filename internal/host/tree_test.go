package host

import (
	"os"
	"path/filepath"
	"testing"
)

// tree is a scratch root: what it names ends in "/" for a directory, begins its content with "-> " for a symbolic link.
type tree map[string]string

func (tr tree) root(t testing.TB) Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range tr {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := plant(path, name, content); err != nil {
			t.Fatal(err)
		}
	}
	return At(dir)
}

func plant(path, name, content string) error {
	switch {
	case name[len(name)-1] == '/':
		return os.MkdirAll(path, 0o755)
	case len(content) > 3 && content[:3] == "-> ":
		return os.Symlink(content[3:], path)
	}
	return os.WriteFile(path, []byte(content), 0o755)
}

// shared returns a folder of recorded data beside the repository, or ends the test: in CI it has to be there.
func shared(t testing.TB, folder string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == "/" {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(filepath.Dir(dir), "shared", "data", folder)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("recorded files of distributions are not there: %v", err)
	}
	return path
}
