// Package ownmounts is for tests that mount: it runs them in a mount namespace of their own, so that the machine keeps its mounts.
package ownmounts

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// variable says which test a process was started for.
const variable = "AMP_TEST_OWN_MOUNTS"

// Run calls test in a process of its own with the calling test's name, and t of there. The test passes if that one did: one that was skipped in there
// is told as skipped here, with what it said.
func Run(t *testing.T, test func(*testing.T)) {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		test(t)
		return
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), variable+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := c.CombinedOutput()
	switch said := string(out); {
	case errors.Is(err, unix.EPERM):
		t.Skipf("needs a mount namespace: %v", err)
	case err == nil && strings.Contains(said, "--- SKIP: "+t.Name()+" "):
		t.Skip(said)
	case err != nil || !strings.Contains(said, "--- PASS: "+t.Name()+" "):
		t.Errorf("%v: %s", err, said)
	}
}
