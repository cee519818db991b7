package bpf

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

var systemKinds = moduleKinds | bpfKinds | traceKinds | credentialKinds

func TestSystemActions(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		for _, name := range slices.Sorted(maps.Keys(systemActions())) {
			t.Run(name, func(t *testing.T) { testSystemAction(t, w, name) })
		}
		t.Run("set-user-ID program", func(t *testing.T) { testSetUIDProgram(t, w) })
		for _, name := range []string{"attach", "vm-write"} {
			t.Run(name+" in a pid namespace", func(t *testing.T) { testTraceInNamespace(t, w, name) })
		}
	})
}

func testSystemAction(t *testing.T, w *watch, name string) {
	before, err := w.Counts()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	pid, r := actions.Do(t, program, name)
	seconds := int(time.Since(begun) / time.Second)
	w.Finished(t, pid, 0, systemKinds)
	if name == "traceme" { // it is the child's child that does it
		pid, _ = strconv.Atoi(r.Other)
	}
	got := w.Finished(t, pid, len(r.Events), systemKinds)
	switch name {
	case "load": // the library may have tried something out
		got = slices.DeleteFunc(got, func(e monitor.Event) bool { return e.Name != loadedName })
	case "setuid":
		if len(got) == 0 {
			break
		}
		if p := got[len(got)-1].Process; p.UID != nobody || p.EUID != nobody {
			t.Errorf("it is user %d, %d now, expected %d", p.UID, p.EUID, nobody)
		}
	case "seteuid":
		after, err := w.Counts()
		if err != nil {
			t.Fatal(err)
		}
		k := monitor.Credentials
		most := 2 * (seconds + 1) // each of both once a second
		if merged := after.Kinds[k].Merged - before.Kinds[k].Merged; len(got)+int(merged) < 2*changesBackAndForth || len(got) > most {
			t.Errorf("%d changes were told and %d merged, expected %d at most and in all %d or more (threads)", len(got), merged, most, 2*changesBackAndForth)
		}
		got = got[:min(len(got), 2)] // a slow machine takes longer than they are merged for
	}
	for i := range got {
		got[i].Merged = 0
	}
	actions.Check(t, got, r.Events)
}

// A program that is another user's by its mode: the exec tells of that.
func testSetUIDProgram(t *testing.T, w *watch) {
	path := filepath.Join(programDir, "setuid-program")
	copyProgram(t, path)
	if st := (unix.Statfs_t{}); unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOSUID != 0 {
		t.Skipf("needs a file system without nosuid at %s", programDir)
	}
	cmd := exec.Command(path)
	cmd.Env = actions.Environment("exit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	got := w.Finished(t, cmd.Process.Pid, 2, credentialKinds)
	if len(got) != 2 {
		t.Errorf("%d changes, expected those to the group and the user of nobody: %+v", len(got), got)
	}
}

// In a pid namespace the traced process is known by another number.
func testTraceInNamespace(t *testing.T, w *watch, name string) {
	cmd := exec.Command(program)
	cmd.Env = actions.Environment(name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid := cmd.Process.Pid
	got := w.Finished(t, pid, 1, traceKinds)
	if len(got) != 1 {
		t.Fatalf("got %+v, expected one", got)
	}
	want := uint32(pid)
	if name == "attach" {
		want = w.childOf(uint32(pid))
	}
	if got[0].OtherPID != want || want == 0 {
		t.Errorf("traced is %d, expected %d", got[0].OtherPID, want)
	}
}

// childOf is a process that was seen to execute something, and whose parent is pid.
func (w *watch) childOf(pid uint32) uint32 {
	for child, events := range w.All() {
		for _, e := range events {
			if e.Kind == monitor.Exec && e.Process.PPID == pid {
				return child
			}
		}
	}
	return 0
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o4755); err != nil {
		t.Fatal(err)
	}
}
