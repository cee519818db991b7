package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/capability"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// probe is what a taken-over service could try: the test's program, started in the service's place, says what it could do. It is not
// behind the filter of system calls, so that what is seen is the sandbox's alone.
func probe(args []string) {
	scratch := strings.TrimPrefix(args[1], "--scratch=")
	definitions := strings.TrimPrefix(args[0], "--definitions=")
	outside := os.Getenv("HOME") + "/tmp/amp-probe"
	for _, try := range []struct {
		what string
		do   func() error
	}{
		{"descriptors of the daemon", func() error {
			for fd := 4; fd < 64; fd++ {
				if path, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && path&unix.FD_CLOEXEC == 0 {
					return nil
				}
			}
			return fs.ErrNotExist
		}},
		{"read /etc/passwd", func() error { _, err := os.ReadFile("/etc/passwd"); return err }},
		{"read /usr/bin", func() error { _, err := os.ReadDir("/usr/bin"); return err }},
		{"execute /bin/sh", func() error { return exec.Command("/bin/sh", "-c", "true").Run() }},
		{"write /tmp", func() error { return os.WriteFile(outside, nil, 0o600) }},
		{"write definitions", func() error { return os.WriteFile(definitions+"/x", nil, 0o600) }},
		{"make a device", func() error { return unix.Mknod(scratch+"/device", unix.S_IFBLK|0o600, 0) }},
		{"change the user", func() error { return unix.Setreuid(0, 0) }},
		{"mount", func() error { return unix.Mount("tmpfs", scratch, "tmpfs", 0, "") }},
		{"gain rights by executing", func() error {
			if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set == 1 {
				return unix.EPERM
			}
			return nil
		}},
		{"read definitions", func() error { _, err := os.ReadFile(definitions + "/eicar.ndb"); return err }},
		{"write scratch", func() error { return os.WriteFile(scratch+"/x", []byte("x"), 0o700) }},
		{"unpack a directory", func() error { return os.MkdirAll(scratch+"/a/b", 0o700) }},
		{"read /dev/urandom", func() error {
			f, err := os.Open("/dev/urandom")
			if err == nil {
				_, err = f.Read(make([]byte, 8))
			}
			return err
		}},
		{"execute from scratch", func() error { return exec.Command(scratch + "/x").Run() }},
		{"reach the network", func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err == nil {
				err = unix.Connect(fd, &unix.SockaddrInet4{Port: 53, Addr: [4]byte{192, 0, 2, 1}})
			}
			return err
		}},
		{"fill scratch", func() error { return fill(scratch) }},
		{"take memory", func() error {
			_, err := unix.Mmap(-1, 0, 1<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			return err
		}},
	} {
		fmt.Fprintf(os.Stderr, "%s: %v\n", try.what, try.do())
	}
	os.Exit(0)
}

// fill writes files until there is no room.
func fill(dir string) error {
	b := make([]byte, 1<<20)
	for i := range 64 {
		if err := os.WriteFile(fmt.Sprintf("%s/fill%d", dir, i), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// probed are the lines of a probe.
func probed(t *testing.T, log string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for line := range strings.Lines(log) {
		what, result, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if ok {
			got[what] = result
		}
	}
	return got
}

// allowed are the things that a service needs to do. Others it must not be able to.
var allowed = map[string]bool{
	"read definitions": true, "write scratch": true, "unpack a directory": true, "read /dev/urandom": true,
}

func TestWhatAServiceCouldDo(t *testing.T) {
	needRoot(t)
	for _, asRoot := range []bool{false, true} {
		t.Run(fmt.Sprintf("as root %t", asRoot), func(t *testing.T) {
			o := options(t)
			o.Service, o.AsRoot, o.Scratch, o.Memory = o.Executable, asRoot, 16<<20, 128<<20
			s := start(t, o)
			s.end(t)
			got := probed(t, s.said(t))
			for what, result := range got {
				can := result == "<nil>"
				switch {
				case asRoot && what == "change the user": // there is nothing to gain for root, and it has no capability for another
				case can != allowed[what]:
					t.Errorf("%s: %s", what, result)
				}
			}
			if len(got) < 16 || !strings.Contains(got["fill scratch"], "no space") {
				t.Errorf("probe: %v", got)
			}
		})
	}
}

// scratchLeft are the scratch directories of services that may not mount.
func scratchLeft(t *testing.T) (left []string) {
	t.Helper()
	for _, parent := range []string{"/tmp", "/dev/shm"} {
		found, err := filepath.Glob(parent + "/ampscansvc-*")
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	return left
}

// Where the daemon may not mount, Landlock does for files what it can.
func TestWithoutTheRightToMount(t *testing.T) {
	needRoot(t)
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Skipf("needs a kernel with Landlock: %v", errno)
	}
	run := func(role, service string) string {
		o := options(t)
		cmd := exec.Command(o.Executable)
		cmd.Env = append(os.Environ(), roleEnv+"="+role, "SERVICE="+service, "DEFINITIONS="+o.Definitions)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	before := scratchLeft(t) // by others, such as a test that was killed
	ready(t, options(t))
	want := scan.SandboxUser | scan.SandboxCapabilities | scan.SandboxPaths | scan.SandboxSystemCalls | scan.SandboxMemory
	for _, role := range []string{"no mounts", "no mounts, read-only"} {
		out := run(role, program(t, servicePackage, ""))
		if !strings.Contains(out, fmt.Sprintf("stage %d cause 0 sandbox %#x", scan.StageReady, uint32(want))) || !strings.Contains(out, "found Eicar-Test") {
			t.Errorf("%s: expected ready, sandbox %#x:\n%s", role, uint32(want), out)
		}
	}
	for what, result := range probed(t, run("no mounts", program(t, ".", ""))) {
		switch what {
		case "reach the network", "fill scratch": // what only namespaces and mounts prevent
		case "read /etc/passwd", "read /usr/bin", "execute /bin/sh", "write /tmp", "write definitions", "mount", "make a device", "execute from scratch", "change the user":
			if result == "<nil>" {
				t.Errorf("%s: %s", what, result)
			}
		case "read definitions", "write scratch", "unpack a directory", "read /dev/urandom":
			if result != "<nil>" {
				t.Errorf("%s: %s", what, result)
			}
		}
	}
	left := map[string][]string{}
	for _, dir := range scratchLeft(t) {
		if !slices.Contains(before, dir) {
			t.Cleanup(func() { os.RemoveAll(dir) })
			left[filepath.Dir(dir)] = append(left[filepath.Dir(dir)], dir)
		}
	}
	for parent, dirs := range left {
		if len(dirs) > 1 {
			t.Errorf("scratch directories are left in %s, %v, at most the last one expected", parent, dirs)
		}
	}
}

// playReadOnly makes the directories for temporary files read-only, as a unit may, and goes on.
func playReadOnly() int {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Println(err)
		return 1
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		if err := errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND, ""), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return playWithoutMounts()
}

// playWithoutMounts gives up the right to mount, for all threads and for programs that are executed, and goes on.
func playWithoutMounts() int {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0); errno != 0 {
		fmt.Println(errno)
		return 1
	}
	sets, err := capability.Get()
	sets.Permitted &^= 1 << unix.CAP_SYS_ADMIN
	sets.Effective &^= 1 << unix.CAP_SYS_ADMIN
	if err := errors.Join(err, sets.SetAll()); err != nil {
		fmt.Println(err)
		return 1
	}
	return report(sandbox.Options{})
}

// report starts a service, prints what it reports, and what it finds in the test file.
func report(o sandbox.Options) int {
	o.Executable, o.Service, o.Definitions, o.Log = "/proc/self/exe", os.Getenv("SERVICE"), os.Getenv("DEFINITIONS"), os.Stdout
	o.User, o.Group, o.Memory = scanUser, scanUser, 512<<20
	p, err := sandbox.Start(context.Background(), o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer p.Wait()
	defer p.Conn.Close()
	m, err := p.Conn.ReceiveMessage()
	if errors.Is(err, io.EOF) { // a probe
		return 0
	}
	if err != nil || m.Report == nil {
		fmt.Println(m, err)
		return 1
	}
	fmt.Printf("stage %d cause %d sandbox %#x error %s\n", m.Report.Stage, m.Report.Cause, uint32(m.Report.Sandbox), m.Report.Error)
	if m.Report.Stage != scan.StageReady {
		return 0
	}
	if err := findSample(p); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func findSample(p *sandbox.Process) error {
	fd, err := unix.MemfdCreate("sample", 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "sample")
	defer f.Close()
	if _, err := io.Copy(f, bytes.NewReader(eicar())); err != nil {
		return err
	}
	if err := p.Conn.Send(scan.Request{ID: 1}, f); err != nil {
		return err
	}
	m, err := p.Conn.ReceiveMessage()
	if err != nil || m.Answer == nil {
		return fmt.Errorf("%+v: %w", m, err)
	}
	fmt.Println("found", m.Answer.Name)
	return nil
}
