package selinux

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// wait is how long tests wait for a store's lock.
const wait = 20 * time.Second

// scratchStore is a root with a real module store that holds the small base policy. It skips where there is no semodule.
func scratchStore(t testing.TB) (host.Root, store) {
	t.Helper()
	tool, ok := host.FindTool(host.At("/"), "semodule")
	if !ok {
		t.Skip("semodule is missing (package policycoreutils)")
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: semodule cannot make a store")
	}
	dir := t.TempDir()
	for _, d := range []string{"etc/selinux/default/contexts/files", "var/lib/selinux", "usr/sbin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "etc/selinux/config"), "SELINUX=enforcing\nSELINUXTYPE=default\n")
	run(t, tool, "-p", dir, "-s", "default", "-n", "-X", "100", "-i", "testdata/base.cil")
	r := host.At(dir)
	s, err := openStore(r, "default")
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// rules are the allow rules of the policy that was built, as sesearch shows them.
func rules(t testing.TB, r host.Root) string {
	t.Helper()
	sesearch, err := exec.LookPath("sesearch")
	if err != nil {
		t.Skip("sesearch is missing (package setools)")
	}
	files, err := filepath.Glob(filepath.Join(r.Dir(), "etc/selinux/default/policy/policy.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no policy was built: %v", err)
	}
	return run(t, sesearch, "-A", files[len(files)-1])
}
