package main

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// TestOutlivesReaders: that nobody reads standard error any more does not end the daemon, which here says that it does not know a flag.
func TestOutlivesReaders(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	cmd := exec.Command(os.Args[0], "--odd")
	cmd.Env, cmd.Stderr = append(os.Environ(), mainEnv+"=1"), write
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("%v, expected exit status %d", err, exitUsage)
	}
}

// mainEnv makes the test binary the daemon's program.
const mainEnv = "AMP_TEST_MAIN"
