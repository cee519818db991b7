package sandbox

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A service that an administrator has given a higher nice value keeps it: without CAP_SYS_NICE it could not even go back.
func TestNiceValueIsNeverMadeLess(t *testing.T) {
	const childEnv = "AMP_TEST_NICE"
	if os.Getenv(childEnv) == "" {
		cmd := exec.Command("nice", "-n", "12", os.Args[0], "-test.run", "^TestNiceValueIsNeverMadeLess$")
		cmd.Env = append(os.Environ(), childEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	runtime.LockOSThread() // the value is a thread's
	began := niceValue(t)
	for _, c := range []struct{ ask, want int }{{0, began}, {began - 1, began}, {began, began}, {min(19, began+3), min(19, began+3)}} {
		if err := Lower(c.ask); err != nil {
			t.Fatal(err)
		}
		if now := niceValue(t); now != c.want {
			t.Errorf("asked for %d: %d, expected %d", c.ask, now, c.want)
		}
	}
}

func niceValue(t *testing.T) int {
	t.Helper()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - raw
}
