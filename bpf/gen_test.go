package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGeneratedIsCurrent runs the commands of gen.go once more and compares.
func TestGeneratedIsCurrent(t *testing.T) {
	source, err := os.ReadFile("gen.go")
	if err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	for _, tool := range []string{"go", "clang-14", "llvm-strip-14"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, err)
		}
	}
	if _, err := os.Stat("/usr/include/bpf/bpf_helpers.h"); err != nil {
		missing(t, err)
	}
	dir := t.TempDir()
	objects := 0
	for line := range strings.Lines(string(source)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "//go:generate go tool ")
		if !ok {
			continue
		}
		options, rest, ok := strings.Cut(line, " bpf2go ")
		if !ok {
			t.Fatalf("gen.go: %q, expected //go:generate go tool … bpf2go …", line)
		}
		objects++
		args := append([]string{"tool", options, "bpf2go", "-output-dir", dir, "-go-package", "bpf"}, strings.Fields(rest)...)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	made, err := filepath.Glob(filepath.Join(dir, "*_bpfel.*"))
	if err != nil || objects == 0 || len(made) != 4*objects {
		t.Fatalf("made %v (error %v), expected two objects and two Go files of each of %d C files", made, err, objects)
	}
	for _, path := range made {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Base(path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what go generate makes of programs/, headers/ and record/ (error %v)", filepath.Base(path), err)
		}
	}
}

// missing skips for want of a tool, which must not be wanting where the whole is tested.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI needs Debian 12's clang-14, llvm-14 and libbpf-dev: %v", err)
	}
	t.Skipf("needs clang-14, llvm-14 and libbpf-dev: %v", err)
}
