package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// budget is what a check of all faults may take.
const budget = 100 * time.Millisecond

// BenchmarkCheck runs "amp-remediate check" on this host as a process, from start to end.
func BenchmarkCheck(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(b.TempDir(), "amp-remediate") // by its name the test binary knows what to be
	if err := os.Symlink(self, program); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var exit *exec.ExitError
		if err := exec.Command(program, "check").Run(); err != nil && !errors.As(err, &exit) {
			b.Fatal(err)
		}
	}
	if each := b.Elapsed() / time.Duration(b.N); each > budget {
		b.Errorf("%s a check, the budget is %s", each, budget)
	}
}
