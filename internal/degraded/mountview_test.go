package degraded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

func TestHostMounts(t *testing.T) {
	proc := t.TempDir()
	for _, dir := range []string{"self/ns", "1/ns", "1/root"} {
		if err := os.MkdirAll(filepath.Join(proc, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own, host := mountView{table: proc + "/self/mountinfo"}, mountView{table: proc + "/1/mountinfo", root: proc + "/1/root"}
	for _, c := range []struct {
		name, self, first string
		noRoot            bool
		want              mountView
	}{
		{"the host's", "mnt:[1]", "mnt:[1]", false, own},
		{"one of its own", "mnt:[2]", "mnt:[1]", false, host},
		{"process 1 is not told", "mnt:[2]", "", false, own},
		{"nor its own", "", "mnt:[1]", false, own},
		{"the way is barred", "mnt:[2]", "mnt:[1]", true, own},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, link := range map[string]string{"self/ns/mnt": c.self, "1/ns/mnt": c.first} {
				path := filepath.Join(proc, name)
				if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				if link == "" {
					continue
				}
				if err := os.Symlink(link, path); err != nil {
					t.Fatal(err)
				}
			}
			if c.noRoot {
				if err := os.Remove(filepath.Join(proc, "1/root")); err != nil {
					t.Fatal(err)
				}
			}
			if got := hostMounts(proc); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// A source in a mount namespace of its own, as a service manager makes for a service, sees what is written by the host's mounts, also
// where the kernel marks mounts alone.
func TestOwnMountNamespace(t *testing.T) {
	openSource(t, monitor.Settings{}, options{groups: namedGroups}).Close() // may not be had at all
	for _, mountMark := range []bool{false, true} {
		t.Run(fmt.Sprint("marks on mounts ", mountMark), func(t *testing.T) {
			if _, err := os.Readlink("/proc/1/ns/mnt"); mountMark && err != nil {
				t.Skipf("needs a process 1 that can be looked into: %v", err)
			}
			dir := t.TempDir()
			c := actor(t, "elsewhere", dir, fmt.Sprint(mountMark))
			c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			told := startElsewhere(t, c)
			stuck := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
			defer stuck.Stop()
			if line, err := told.ReadString('\n'); err != nil || line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			want := filepath.Join(dir, "written")
			if err := os.WriteFile(want, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if line, err := told.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
				t.Errorf("%q, %v; a write of %s expected", line, err, want)
			}
		})
	}
}

// startElsewhere starts an actor that ends when the test does.
func startElsewhere(t *testing.T, c *exec.Cmd) *bufio.Reader {
	t.Helper()
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = c.Wait() // its status is the actors' own
	})
	return bufio.NewReader(stdout)
}

// actElsewhere says when it watches, and then the path of each file that is written below a folder, until its standard input ends.
func actElsewhere(args []string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	o := options{groups: namedGroups, mounts: hostMounts("/proc")}
	if args[1] == "true" {
		o.groups, o.mountMark = nil, true
	}
	s, err := open(ctx, monitor.Settings{Kinds: allOfThem}, o)
	if err != nil {
		return err
	}
	defer s.Close()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println("ready")
	return s.Run(ctx, func(e *monitor.Event) {
		if e.Kind == monitor.FileWrite && strings.HasPrefix(e.File.Path, args[0]+"/") {
			fmt.Println(e.File.Path)
		}
	})
}
