// Package killsweep has tests end a program at each point that it reaches, as SIGKILL does. The program is the test binary itself.
package killsweep

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Environment of a test binary that plays the program.
const (
	dirEnv    = "AMP_TEST_SWEEP_DIR"
	whatEnv   = "AMP_TEST_SWEEP_WHAT"
	killAtEnv = "AMP_TEST_KILL_AT"
)

// Main is the TestMain of a package with such tests. Where this is the program, it does what Run asks for, and ends itself at the point. reached is what the
// code under test calls at each of its points.
func Main(m *testing.M, reached *func(point string), do func(what, dir string) error) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	times := map[string]int{}
	*reached = func(point string) {
		times[point]++
		numbered := fmt.Sprint(point, "#", times[point])
		fmt.Println(numbered)
		if numbered == os.Getenv(killAtEnv) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if err := do(os.Getenv(whatEnv), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Run does what in dir in a program of its own, which is ended at a point unless that is "", and returns the points that it reached.
func Run(t *testing.T, what, dir, killAt string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dirEnv+"="+dir, whatEnv+"="+what, killAtEnv+"="+killAt)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if killed != (killAt != "") || err != nil && !killed {
		t.Fatalf("%s, killed at %q: %v\n%s%s", what, killAt, err, out, stderr.String())
	}
	return strings.Fields(string(out))
}
