package main

import (
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/internal/scan/definitions"
)

const otherRootEnv = "AMP_TEST_OTHER_ROOT"

// runAsOther runs the calling test once more as a user without rights, on a host with the package's definitions and a directory "in" with a definition file.
func runAsOther(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	program := filepath.Join(dir, "test")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, definitions.BuiltInDir), definitions.BuiltIn()); err != nil {
		t.Fatal(err)
	}
	(&command{rootDir: dir}).allowUnsigned(t, true)
	os.Mkdir(filepath.Join(dir, "in"), 0o755)
	os.WriteFile(filepath.Join(dir, "in", "local.ndb"), []byte(signature), 0o644)
	scratch := filepath.Join(dir, "tmp")
	os.Mkdir(scratch, 0o755)
	os.Chown(scratch, 65534, 65534)
	cmd := osexec.Command(program, "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), otherRootEnv+"="+dir, "TMPDIR="+scratch)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as another user: %v\n%s", err, out)
	}
}
