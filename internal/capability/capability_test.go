package capability

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// kernelsWord is what proc_pid_status(5) says of the calling thread.
func kernelsWord(t *testing.T) (s Sets) {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		for format, to := range map[string]*uint64{"CapEff:\t%x": &s.Effective, "CapPrm:\t%x": &s.Permitted, "CapInh:\t%x": &s.Inheritable} {
			fmt.Sscanf(string(line), format, to)
		}
	}
	return s
}

// TestSets takes and gives back, for one thread, a capability of each half of the sets.
func TestSets(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, err := Get()
	if want := kernelsWord(t); err != nil || all != want {
		t.Fatalf("%+v, %v; the kernel says %+v", all, err, want)
	}
	if all.Permitted == 0 {
		t.Skip("needs capabilities: root has them")
	}
	defer func() {
		if err := all.Set(); err != nil || kernelsWord(t) != all {
			t.Errorf("given back: %v, the kernel says %+v, expected %+v", err, kernelsWord(t), all)
		}
	}()
	less := all
	less.Effective &^= 1<<5 | 1<<39 // CAP_KILL and CAP_BPF
	if err := less.Set(); err != nil {
		t.Fatal(err)
	}
	if got, err := Get(); err != nil || got != less || kernelsWord(t) != less {
		t.Errorf("%+v, %v; the kernel says %+v, expected %+v", got, err, kernelsWord(t), less)
	}
}
