package bpf

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Ino
}

func TestComplete(t *testing.T) {
	proc := t.TempDir()
	dir := filepath.Join(proc, "42")
	file := filepath.Join(proc, "work", "x")
	for _, d := range []string{dir, filepath.Dir(file)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(file, nil, 0o755)
	os.Symlink(file, filepath.Join(dir, "exe"))
	os.Symlink(filepath.Dir(file), filepath.Join(dir, "cwd"))
	os.Symlink("/", filepath.Join(dir, "root"))
	os.WriteFile(filepath.Join(dir, "stat"), []byte("42 (a) (b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2 3\n"), 0o644)
	const start = 777 * clockTick
	inode := inodeOf(t, file)
	for _, tt := range []struct {
		name, path   string
		pid          uint32
		start, inode uint64
		script       bool
		want         string
	}{
		{"relative", "./x", 42, start, inode, false, file},
		{"within the same tick", "./x", 42, start + 1, inode, false, file},
		{"descriptor", "/dev/fd/3", 42, start, inode, false, file},
		{"another process by now", "./x", 42, start + clockTick, inode, false, "./x"},
		{"another program by now", "./x", 42, start, inode + 1, false, "./x"},
		{"gone", "./x", 43, start, inode, false, "./x"},
		{"script", "./x", 42, start, 0, true, file},
		{"script elsewhere by now", "./y", 42, start, 0, true, "./y"},
		{"script by descriptor", "/dev/fd/3", 42, start, 0, true, "/dev/fd/3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := complete(proc, tt.path, tt.pid, tt.start, tt.inode, tt.script); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStartTicks(t *testing.T) {
	for in, want := range map[string]string{
		"1 (x) S 1 1 1 0 -1 1 1 0 0 0 0 0 0 0 20 0 1 0 5 1":       "5 <nil>",
		"1 (a) b) c) S 1 1 1 0 -1 1 1 0 0 0 0 0 0 0 20 0 1 0 5 1": "5 <nil>",
		"1 (x) S 1 1 1 0 -1 1 1 0 0 0 0 0 0 0 20 0 1 0":           "0 stat has 21 fields, expected at least 22",
		"": `0 stat "" has no comm in parentheses`,
	} {
		n, err := startTicks([]byte(in))
		if got := fmt.Sprint(n, " ", err); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzStartTicks(f *testing.F) {
	f.Add([]byte("1 (x) S 1 1 1 0 -1 1 1 0 0 0 0 0 0 0 20 0 1 0 5 1"))
	f.Fuzz(func(t *testing.T, b []byte) { startTicks(b) })
}
