package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// People who start it by hand are told that it is not for them, by an exit status that no failed start has.
func TestByHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ampscansvc")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--version"}, 0, "ampscansvc devel\n"},
		{[]string{"--definitions=/tmp", "--scratch=/tmp"}, exitUsage, "not started by the daemon"},
		{[]string{"--definitions=/tmp"}, exitUsage, "expected --definitions DIR --scratch DIR"},
		{[]string{"--definitions=/tmp", "--scratch=/tmp", "--workers=0"}, exitUsage, "1 to 64 workers"},
		{[]string{"--definitions=/tmp", "--scratch=/tmp", "more"}, exitUsage, "expected --definitions"},
		{[]string{"--nonsense"}, exitUsage, "nonsense"},
	} {
		cmd := exec.Command(path, tt.args...)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != tt.status || !strings.Contains(string(out), tt.want) {
			t.Errorf("%v: status %d, %q, expected %d, %q", tt.args, got, out, tt.status, tt.want)
		}
	}
}
