package degraded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// A host with one process that decides, as clamonacc does that prevents, one that listens, and one that does neither.
func TestFanotifyUsers(t *testing.T) {
	proc := t.TempDir()
	for pid, files := range map[string]map[string]string{
		"10": {"comm": "clamonacc\n", "fdinfo/7": "pos:\t0\nflags:\t02\nmnt_id:\t15\nfanotify flags:4 event-flags:8000\n" +
			"fanotify mnt_id:1c mflags:0 mask:10000 ignored_mask:0\nfanotify ino:2 sdev:fe00000 mflags:0 mask:40010000 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:0200000000000000\n"},
		"11": {"comm": "a (b) c\n", "fdinfo/4": "fanotify flags:0 event-flags:0\nfanotify sdev:fe00000 mflags:0 mask:8 ignored_mask:0\n"},
		"12": {"comm": "other\n"},
	} {
		for name, text := range files {
			path := filepath.Join(proc, pid, name)
			os.MkdirAll(filepath.Dir(path), 0o755)
			os.WriteFile(path, []byte(text), 0o644)
			if dir, fd := filepath.Split(name); dir == "fdinfo/" {
				os.MkdirAll(filepath.Join(proc, pid, "fd"), 0o755)
				os.Symlink(fanotifyGroup, filepath.Join(proc, pid, "fd", fd))
				os.Symlink("/dev/null", filepath.Join(proc, pid, "fd", "0"))
			}
		}
	}
	limits := filepath.Join(proc, "sys/fs/fanotify")
	os.MkdirAll(limits, 0o755)
	os.WriteFile(filepath.Join(limits, "max_user_groups"), []byte("3\n"), 0o644)
	users, l, err := FanotifyUsers(context.Background(), proc)
	if err != nil || len(users) != 2 || l.Groups != 3 {
		t.Fatalf("%+v %+v %v", users, l, err)
	}
	if u := users[0]; u.PID != 10 || u.Comm != "clamonacc" || u.Flags != 4 || u.Marks != 2 || !u.Decides() {
		t.Errorf("got %+v", u)
	}
	if u := users[1]; u.PID != 11 || u.Comm != "a (b) c" || u.Marks != 1 || u.Decides() {
		t.Errorf("got %+v", u)
	}
	texts := Conflicts(users, l)
	if len(texts) != 3 || !strings.Contains(texts[0].EN, "max_user_groups") || !strings.Contains(texts[1].EN, "clamonacc") || !strings.Contains(texts[2].JA, "a (b) c") {
		t.Errorf("got %v", texts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := FanotifyUsers(ctx, proc); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, _, err := FanotifyUsers(context.Background(), filepath.Join(proc, "none")); err == nil {
		t.Error("no error")
	}
}

// Another process's group is found on this host.
func TestFanotifyUsersOfThisHost(t *testing.T) {
	fd, err := unix.FanotifyInit(groupFlags, descriptorFlags)
	if err != nil {
		t.Skipf("needs CAP_SYS_ADMIN: %v", err)
	}
	if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_MOUNT, unix.FAN_CLOSE_WRITE, unix.AT_FDCWD, "/"); err != nil {
		t.Fatal(err)
	}
	c := holder(t, fd)
	users, limits, err := FanotifyUsers(context.Background(), "/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if int(u.PID) == c.Process.Pid {
			if u.Marks != 1 || u.Events&unix.FAN_CLOSE_WRITE == 0 || u.Decides() {
				t.Errorf("got %+v, limits %+v", u, limits)
			}
			return
		}
	}
	t.Errorf("process %d not among %+v", c.Process.Pid, users)
}

// holder is a process that holds a descriptor until the test ends. This one has it no more.
func holder(t *testing.T, fd int) *exec.Cmd {
	c := actor(t, "waiting")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "held")
	c.ExtraFiles = []*os.File{f}
	if err := errors.Join(c.Start(), f.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	return c
}

// A source tells of other groups, and looks for them anew only after a while.
func TestNeighbours(t *testing.T) {
	s := openSource(t, monitor.Settings{Kinds: allOfThem}, options{groups: namedGroups})
	defer s.Close()
	fd, err := unix.FanotifyInit(groupFlags, descriptorFlags)
	if err != nil {
		t.Fatal(err)
	}
	c := holder(t, fd)
	want := fmt.Sprintf("Process %d (", c.Process.Pid)
	told := func() bool {
		return slices.ContainsFunc(s.Neighbours(), func(n fault.Text) bool { return strings.HasPrefix(n.EN, want) && n.JA != "" })
	}
	deadline := time.Now().Add(10 * time.Second)
	for !told() {
		if time.Now().After(deadline) {
			t.Fatalf("told %v, expected one of process %d", s.Neighbours(), c.Process.Pid)
		}
		time.Sleep(time.Millisecond)
	}
	looked := s.neighbours.looked
	for range 3 {
		s.Neighbours()
	}
	if !s.neighbours.looked.Equal(looked) {
		t.Error("looked again at once")
	}
	s.neighbours.told(looked.Add(neighboursEvery), "/proc")
	if s.neighbours.looked.Equal(looked) {
		t.Errorf("did not look again after %v", neighboursEvery)
	}
}
