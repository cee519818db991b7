package durable

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMakeFolder(t *testing.T) {
	dir := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077))
	made, former, file := filepath.Join(dir, "made"), filepath.Join(dir, "former"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(former, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{made: 0o755, former: 0o700} {
		err := MakeFolder(path, 0o755)
		if fi, statErr := os.Stat(path); err != nil || statErr != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", path, err, fi.Mode(), mode)
		}
	}
	if err := MakeFolder(file, 0o755); err == nil {
		t.Error("a file passes as a folder")
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	for name, prepare := range map[string]func() error{
		"new":                func() error { return nil },
		"over a file":        func() error { return os.WriteFile(path, []byte("former, and longer"), 0o600) },
		"over a link":        func() error { return os.Symlink(other, path) },
		"after a killed one": func() error { return os.WriteFile(path+NewSuffix, []byte("half of it, and longer"), 0o600) },
		"through a link":     func() error { return os.Symlink(other, path+NewSuffix) },
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(path)
			if err := prepare(); err != nil {
				t.Fatal(err)
			}
			if err := Write(path, []byte("content"), 0o646, nil); err != nil {
				t.Fatal(err)
			}
			fi, err := os.Lstat(path)
			if b, _ := os.ReadFile(path); err != nil || string(b) != "content" || fi.Mode() != 0o646 {
				t.Errorf("%q, %v, %v", b, fi, err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
				t.Errorf("in the directory: %v", left)
			}
		})
	}
}

func TestWriteThatFailsLeavesTheFormerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.MkdirAll(filepath.Join(path, "not empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("content"), 0o644, nil); err == nil {
		t.Error("a directory was replaced")
	}
	if _, err := os.Lstat(path + NewSuffix); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

// A program that is killed at a point leaves one of the two contents, whole, and the next write ends well.
func TestWriteKilled(t *testing.T) {
	const pathEnv, pointEnv = "DURABLE_TEST_PATH", "DURABLE_TEST_POINT"
	if path := os.Getenv(pathEnv); path != "" {
		err := Write(path, []byte("after"), 0o644, func(point string) {
			if point == os.Getenv(pointEnv) {
				p, _ := os.FindProcess(os.Getpid())
				p.Kill()
				select {}
			}
		})
		t.Fatalf("not killed: %v", err)
	}
	for point, want := range map[string]string{Written: "before", Renamed: "after"} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
			t.Fatal(err)
		}
		program := exec.Command(os.Args[0], "-test.run", "^TestWriteKilled$")
		program.Env = append(os.Environ(), pathEnv+"="+path, pointEnv+"="+point)
		if out, err := program.CombinedOutput(); err == nil || program.ProcessState.ExitCode() != -1 {
			t.Fatalf("killed at %s: %v, %s", point, err, out)
		}
		if b, err := os.ReadFile(path); string(b) != want {
			t.Errorf("killed at %s: %q, %v; expected %q", point, b, err, want)
		}
		if err := Write(path, []byte("next"), 0o644, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if removed, err := Remove(path); removed != want || err != nil {
			t.Errorf("%v, %v; expected %v", removed, err, want)
		}
	}
	if removed, err := Remove("/proc/self/exe/file"); removed || err != nil {
		t.Errorf("below a file: %v, %v", removed, err)
	}
}
