package bpf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

// The tests watch processes, and so need some to watch: this test binary itself, copied to where anyone may execute it.

const (
	childEnv = "AMP_BPF_TEST_CHILD" // what the child is to do
	nobody   = 65534
)

var (
	programDir string
	program    string
)

func TestMain(m *testing.M) {
	actions.Asked(systemActions())
	if task := os.Getenv(childEnv); task != "" {
		childMain(task)
		return
	}
	code, err := withProgram(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withProgram(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "amp-bpf-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	programDir, program = dir, filepath.Join(dir, "program")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	defer self.Close()
	f, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(f, self)
	if err := errors.Join(err, f.Close(), os.Chmod(dir, 0o755), os.Chmod(program, 0o755)); err != nil {
		return 0, err
	}
	code := run()
	return code, endWatches()
}

// childMain is the child's side.
func childMain(task string) {
	switch task {
	case "exit":
		os.Exit(3)
	case "abort":
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	case "wait":
		io.Copy(io.Discard, os.Stdin)
	case "threads":
		childThreads()
	case "fexecve":
		fd, err := unix.Open("/proc/self/exe", unix.O_PATH, 0)
		childFexecve(fd, err)
	case "memory":
		childFexecve(copyInMemory())
	case "gather":
		fmt.Println(Gather(context.Background(), host.At("/")).Load.Err)
	case "hidden-btf":
		if err := childHiddenBTF(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// childThreads ends with many threads that all run.
func childThreads() {
	ready := make(chan struct{})
	for range 16 {
		go func() {
			runtime.LockOSThread()
			ready <- struct{}{}
			for {
			}
		}()
	}
	for range 16 {
		<-ready
	}
	os.Exit(5)
}

// childFexecve executes this program again by descriptor alone, as fexecve(3) does.
func childFexecve(fd int, err error) {
	os.Setenv(childEnv, "wait")
	if err != nil {
		panic(err)
	}
	empty, _ := syscall.BytePtrFromString("")
	argv, _ := syscall.SlicePtrFromStrings([]string{"by-descriptor"})
	envv, _ := syscall.SlicePtrFromStrings(os.Environ())
	execveat(fd, empty, argv, envv)
}

// copyInMemory is this program in a file that no directory has.
func copyInMemory() (int, error) {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate("copy", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	_, err = unix.Write(fd, b)
	return fd, err
}

// childHiddenBTF runs in a mount namespace of its own.
func childHiddenBTF() error {
	raw, err := os.ReadFile(KernelBTFPath)
	if err != nil {
		return err
	}
	types, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", filepath.Dir(KernelBTFPath), "tmpfs", 0, ""); err != nil {
		return err
	}
	if r := kernelBTF(host.At("/")); !r.Known() || r.Value {
		return fmt.Errorf("KernelBTF is %+v, expected a known no", r)
	}
	if s, err := Open(context.Background(), processes); err == nil {
		s.Close()
		return errors.New("loaded without any BTF")
	}
	s, err := open(context.Background(), processes, options{name: monitor.EBPFHeaders, types: types})
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := newCommand(func(c *command) { c.path, c.args = "/proc/self/exe", []string{"child"} }).cmd("exit")
	if err := c.Start(); err != nil {
		return err
	}
	go c.Wait()
	seen := false
	err = s.Run(ctx, func(e *monitor.Event) {
		if e.Process.PID == uint32(c.Process.Pid) && e.Kind == monitor.Exit && e.ExitCode == 3 {
			seen = true
			cancel()
		}
	})
	if err == nil && !seen {
		err = errors.New("the programs loaded with given types, and an exit was not seen")
	}
	return err
}

// command is how a child is to be started.
type command struct {
	path  string
	args  []string
	dir   string
	uid   uint32
	flags uintptr // clone(2)
}

func (c command) cmd(task string) *exec.Cmd {
	cmd := &exec.Cmd{Path: c.path, Args: c.args, Dir: c.dir, Env: append(os.Environ(), childEnv+"="+task)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: c.flags}
	cmd.Stderr = os.Stderr
	if c.uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.uid, Gid: c.uid}
	}
	return cmd
}

func newCommand(change func(*command)) command {
	c := command{path: program, args: []string{program}, dir: programDir}
	if change != nil {
		change(&c)
	}
	return c
}

// child runs a child to its end and returns its output.
func child(t *testing.T, task string, change func(*command)) string {
	t.Helper()
	out, err := newCommand(change).cmd(task).Output()
	if err != nil {
		t.Fatalf("child %s: %v: %s", task, err, out)
	}
	return strings.TrimSpace(string(out))
}

func needsRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root")
	}
}

// needsBPF skips where the kernel does not let us: its errno says why.
func needsBPF(tb testing.TB) {
	tb.Helper()
	if err := probe(); err != nil {
		tb.Skipf("needs a kernel that lets eBPF programs load: %v", err)
	}
}
