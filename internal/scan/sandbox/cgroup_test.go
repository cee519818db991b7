package sandbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// A file stands for the control group's: what a process that gets in writes to it is the same.
func TestGetsIntoItsControlGroup(t *testing.T) {
	needRoot(t)
	entrance, err := os.Create(filepath.Join(t.TempDir(), "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	defer entrance.Close()
	o := fakeOptions(t, "x.fake")
	o.Cgroup = entrance
	s := ready(t, o)
	if b, err := os.ReadFile(entrance.Name()); err != nil || string(b) != "0" {
		t.Errorf("%q, %v; expected the process to have written 0", b, err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", s.PID, fd.Name())); to == entrance.Name() {
			t.Errorf("the service has the way into control groups open, as descriptor %s", fd.Name())
		}
	}
	// One that it cannot get into is not needed.
	if o.Cgroup, err = os.Open(entrance.Name()); err != nil {
		t.Fatal(err)
	}
	defer o.Cgroup.Close()
	s = ready(t, o)
	const word = "no control group of its own: "
	for wait := 0; !strings.Contains(s.said(t), word); wait++ { // its words come by another way than its report
		if wait == 1000 {
			t.Fatalf("said %q, expected %q", s.said(t), word)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestMemoryMax(t *testing.T) {
	for _, c := range []struct {
		o    sandbox.Options
		want uint64 // MiB
	}{
		{sandbox.Options{}, 0}, {sandbox.Options{Memory: 2 << 30}, 2048 + 96 + 2*8 + 512 + 64},
		{sandbox.Options{Memory: 64 << 20, Workers: 10, Scratch: 1 << 20}, 64 + 96 + 80 + 1 + 64},
	} {
		if got := c.o.MemoryMax() >> 20; got != c.want {
			t.Errorf("%+v: %d MiB, expected %d", c.o, got, c.want)
		}
	}
}
