package installer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable/powerloss"
)

// disk is a file system that a power loss can be made on.
type disk struct{ powerloss.Disk }

// newDisk mounts one, and has the test's temporary folders, those of its hosts, made there. Tools that outlive the program that is killed become
// children of this process.
func newDisk(t *testing.T) disk {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	return disk{powerloss.New(t, 256<<20)}
}

// losePower leaves what the disk had.
func (d disk) losePower(t *testing.T) {
	t.Helper()
	d.Lose(t, d.ended)
}

// ended kills what is at work on the disk, tools and their keepers, and reports EBUSY while any of them is there. Their parent is gone, so
// that they are this process's to wait for: as zombies they would be taken for the holders of their locks.
func (d disk) ended() error {
	held, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return err
	}
	for _, fd := range held {
		file, err := os.Readlink(fd)
		pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
		if err == nil && strings.HasPrefix(file, d.At+"/") && beganHere(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // ESRCH: it has ended meanwhile
		}
	}
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case pid == 0:
			return unix.EBUSY
		}
	}
}

// beganHere reports whether this process, or one that it began, began a process: others may have a file open here too, such as a connector that is
// installed on the machine and scans it.
func beganHere(pid int) bool {
	for pid > 1 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		// proc_pid_stat(5): the name, which may have anything in it, is in parentheses; the parent is the second field behind it.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			return false
		}
		if pid == os.Getpid() {
			return true
		}
	}
	return false
}

// The disk forgets what nobody synced, and keeps what somebody did: else the sweeps would prove nothing.
func TestPowerLossIsOne(t *testing.T) {
	if !killpoints {
		runWithKillpoints(t)
		return
	}
	d := newDisk(t)
	written := func(name string) string { return filepath.Join(d.At, name) }
	d.Sync(t)
	kept, err := os.Create(written("kept"))
	if err = errors.Join(err, kept.Sync(), kept.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(written("lost"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.losePower(t)
	if _, err := os.Stat(written("kept")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(written("lost")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not synced: got error %v, want that it does not exist", err)
	}
}
