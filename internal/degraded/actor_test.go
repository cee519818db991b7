package degraded

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary acts as the process whose doings are to be seen, when it is told so by its environment.
const actorEnv = "DEGRADED_TEST_ACTOR"

func TestMain(m *testing.M) {
	if role := os.Getenv(actorEnv); role != "" {
		time.Sleep(50 * time.Millisecond) // what a process executes is read after it began: a blind spot
		if err := roles[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(3)
		}
		os.Exit(7)
	}
	os.Exit(m.Run())
}

var roles = map[string]func(args []string) error{
	"files":     actOnFiles,
	"flows":     actOnFlows,
	"trace":     actOnTrace,
	"user":      actOnUser,
	"forks":     actOnForks,
	"storm":     actStorm,
	"waiting":   actWaiting,
	"probe":     actOnProbe,
	"elsewhere": actElsewhere,
}

// actor is a command that acts.
func actor(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(executablePath(t), args...)
	c.Env = append(os.Environ(), actorEnv+"="+role)
	c.Stderr = os.Stderr
	return c
}

func executablePath(t testing.TB) string {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// act runs an actor to its end and returns its pid.
func act(t testing.TB, role string, args ...string) int {
	t.Helper()
	c := actor(t, role, args...)
	if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != 7 {
		t.Fatalf("actor %s: %v", role, err)
	}
	return c.Process.Pid
}

func actOnFiles(args []string) error {
	in := func(name string) string { return filepath.Join(args[0], name) }
	for _, do := range []func() error{
		func() error { return os.WriteFile(in("made"), []byte("12345"), 0o600) },
		func() error { return os.Rename(in("made"), in("renamed")) },
		func() error { return os.Link(in("renamed"), in("linked")) },
		func() error { return errors.Join(os.Chown(in("renamed"), 12, 34), os.Chmod(in("renamed"), 0o640)) },
		func() error { return os.Remove(in("linked")) },
		func() error { return os.Mkdir(in("dir"), 0o755) },
		func() error { return os.WriteFile(in("dir/inner"), nil, 0o600) },
		func() error { return os.Rename(in("dir"), in("moved")) },
		func() error { return os.WriteFile(in("moved/second"), nil, 0o600) },
		func() error { return os.Symlink("nowhere", in("symlink")) },
		func() error { return os.Remove(in("moved/inner")) },
		func() error { return os.RemoveAll(in("moved")) },
	} {
		if err := do(); err != nil {
			return err
		}
		// The source tells what it finds when it reads the event: of a link that is gone by then, or of a directory, it cannot tell all. That
		// is one of its blind spots; here it is given the time.
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// actOnFlows listens, connects to itself, says its ports, and waits at each step until it is told to go on.
func actOnFlows([]string) error {
	in := bufio.NewReader(os.Stdin)
	for _, network := range []struct{ tcp, udp, address string }{{"tcp4", "udp4", "127.0.0.1:0"}, {"tcp6", "udp6", "[::1]:0"}} {
		l, err := net.Listen(network.tcp, network.address)
		if err != nil {
			return err
		}
		c, err := net.Dial(network.tcp, l.Addr().String())
		if err != nil {
			return err
		}
		s, err := l.Accept()
		if err != nil {
			return err
		}
		u, err := net.Dial(network.udp, l.Addr().String())
		if err != nil {
			return err
		}
		c.Write([]byte("hello"))
		s.Read(make([]byte, 5))
		fmt.Println(l.Addr(), c.LocalAddr(), u.LocalAddr())
		if ended(in) {
			return nil
		}
		for _, closing := range []interface{ Close() error }{c, s, l, u} {
			closing.Close()
		}
		fmt.Println("closed")
		if ended(in) {
			return nil
		}
	}
	return nil
}

// ended waits for a line.
func ended(in *bufio.Reader) bool {
	_, err := in.ReadString('\n')
	return err != nil
}

// actOnTrace takes hold of a process and lets it go.
func actOnTrace([]string) error {
	runtime.LockOSThread()
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer c.Process.Kill()
	if err := unix.PtraceAttach(c.Process.Pid); err != nil {
		return err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(c.Process.Pid, &status, 0, nil); err != nil {
		return err
	}
	fmt.Println(c.Process.Pid)
	return unix.PtraceDetach(c.Process.Pid)
}

// actOnUser becomes another user.
func actOnUser([]string) error {
	time.Sleep(50 * time.Millisecond) // so that it is known before as who it was
	return unix.Setresuid(12345, 12345, 12345)
}

// actOnForks lets a shell fork, and the child, which executes nothing, write a file.
func actOnForks(args []string) error {
	return exec.Command("/bin/sh", "-c", `(echo x > "$0"); true`, args[0]).Run()
}

// actStorm makes and deletes files.
func actStorm(args []string) error {
	var n int
	fmt.Sscan(args[1], &n)
	for i := range n {
		name := filepath.Join(args[0], fmt.Sprint("f", i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// actWaiting lives until its standard input ends.
func actWaiting([]string) error {
	bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}
