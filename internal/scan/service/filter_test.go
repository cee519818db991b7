package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// tryEnv makes the test's program put itself behind the filter, and try one thing.
const tryEnv = "AMP_FILTER_TEST_TRY"

func TestMain(m *testing.M) {
	what := os.Getenv(tryEnv)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := filterSystemCalls(); err != nil {
		fmt.Println("filter:", err)
		os.Exit(2)
	}
	err := tries[what].do()
	fmt.Println("result:", err)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

type outcome int

const (
	allowed outcome = iota
	refused         // EPERM
	killed          // SIGSYS
)

func call(number uintptr, a ...uintptr) error {
	a = append(a, make([]uintptr, 6)...)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// otherPID is of no process that the tests would harm.
const otherPID = 1 << 21

var tries = map[string]struct {
	do   func() error
	want outcome
}{
	"threads": {func() error {
		done := make(chan struct{})
		for range 20 {
			go func() {
				runtime.LockOSThread() // ends the thread with the goroutine
				time.Sleep(time.Millisecond)
				done <- struct{}{}
			}()
		}
		for range 20 {
			<-done
		}
		return nil
	}, allowed},
	"files": {func() error {
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			return err
		}
		err = os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o600)
		_, readErr := os.ReadDir(dir)
		return errors.Join(err, readErr, os.RemoveAll(dir))
	}, allowed},
	"memory": {func() error {
		b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return err
		}
		return errors.Join(unix.Mprotect(b, unix.PROT_READ), unix.Munmap(b))
	}, allowed},
	"code from a file": {func() error {
		f, err := os.Open("/proc/self/exe")
		if err != nil {
			return err
		}
		_, err = unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		return err
	}, allowed},
	"execute":        {func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) }, killed},
	"start":          {func() error { return exec.Command("/bin/true").Run() }, killed}, // clone(2) that makes no thread
	"socket":         {func() error { return call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM) }, killed},
	"dial":           {func() error { _, err := net.Dial("udp", "192.0.2.1:53"); return err }, killed},
	"ptrace":         {func() error { return call(unix.SYS_PTRACE, unix.PTRACE_TRACEME) }, killed},
	"bpf":            {func() error { return call(unix.SYS_BPF) }, killed},
	"mount":          {func() error { return unix.Mount("a", "/", "tmpfs", 0, "") }, killed},
	"unshare":        {func() error { return unix.Unshare(unix.CLONE_NEWUSER) }, killed},
	"io_uring":       {func() error { return call(unix.SYS_IO_URING_SETUP, 1) }, killed},
	"become another": {func() error { return call(unix.SYS_SETRESUID, 1, 1, 1) }, killed},
	"memory as code": {func() error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		return err
	}, refused},
	"memory to write and run": {func() error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		return err
	}, refused},
	"memory that becomes code": {func() error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil // that would be another thing
		}
		return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
	}, refused},
	"signal others":       {func() error { return unix.Kill(otherPID, unix.SIGTERM) }, refused},
	"thread of others":    {func() error { return unix.Tgkill(otherPID, otherPID, unix.SIGTERM) }, refused},
	"limits of others":    {func() error { return unix.Prlimit(otherPID, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{}) }, refused},
	"raise a limit":       {func() error { return unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{}, nil) }, refused},
	"be dumpable":         {func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }, refused},
	"another filter":      {func() error { return call(unix.SYS_SECCOMP, 1) }, refused},
	"memory file":         {func() error { _, err := unix.MemfdCreate("x", 0); return err }, refused},
	"what nobody has yet": {func() error { return call(9999) }, refused},
}

func TestFilter(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range tries {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(executable)
			cmd.Env = append(os.Environ(), tryEnv+"="+what)
			out, err := cmd.CombinedOutput()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if strings.Contains(string(out), "filter: ") {
				t.Fatalf("%s", out)
			}
			var ok bool
			switch try.want {
			case allowed:
				ok = err == nil
			case refused:
				ok = status.Exited() && strings.Contains(string(out), "operation not permitted")
			case killed:
				ok = status.Signaled() && status.Signal() == unix.SIGSYS
			}
			if !ok {
				t.Errorf("%v, expected outcome %d:\n%s", err, try.want, out)
			}
		})
	}
}

// The filter is made for both architectures, with all names of the list that is fatal: one that is misspelt would be left out in silence.
func TestNamesOfSystemCalls(t *testing.T) {
	elsewhere := map[string]bool{"_llseek": true, "newfstatat": true, "fstatat": true} // names of other architectures
	old := map[string]bool{}                                                           // what arm64 never had
	for _, name := range strings.Fields("fork vfork open stat lstat access creat mkdir rmdir unlink rename readlink chmod dup2 pipe poll select epoll_wait getdents time getpgrp mknod iopl ioperm getrlimit sendfile") {
		old[name] = true
	}
	for _, name := range strings.Fields(needed + fatal + " clone3") {
		if _, ok := arch.X86_64.SyscallNames[name]; !ok && !elsewhere[name] {
			t.Errorf("amd64 has no %s", name)
		}
		if _, ok := arch.AARCH64.SyscallNames[name]; !ok && !old[name] && !elsewhere[name] {
			t.Errorf("arm64 has no %s", name)
		}
	}
	for _, name := range strings.Fields(fatal) {
		if strings.Contains(" "+strings.Join(strings.Fields(needed), " ")+" ", " "+name+" ") {
			t.Errorf("%s is both needed and fatal", name)
		}
	}
}

// self is the number of the process in the test of arguments; it is also the number of none of the system calls.
const self = 4242

// meant is what conditional is meant to let through.
var meant = map[string]func(a [4]uint64) bool{
	"mmap": func(a [4]uint64) bool {
		return a[2]&unix.PROT_EXEC == 0 || a[2]&unix.PROT_WRITE == 0 && a[3]&unix.MAP_ANONYMOUS == 0
	},
	"mprotect":  func(a [4]uint64) bool { return a[2]&unix.PROT_EXEC == 0 },
	"tgkill":    func(a [4]uint64) bool { return a[0] == self },
	"kill":      func(a [4]uint64) bool { return a[0] == self },
	"prlimit64": func(a [4]uint64) bool { return a[0] == 0 && a[2] == 0 },
	"prctl":     func(a [4]uint64) bool { return a[0] == unix.PR_SET_NAME },
	"clone":     func(a [4]uint64) bool { return a[0]&unix.CLONE_THREAD != 0 },
}

// An argument may be the number of another system call, and must not pass for it.
func TestArguments(t *testing.T) {
	policies, err := systemCalls(self)
	if err != nil {
		t.Fatal(err)
	}
	var filters []*bpf.VM
	for _, policy := range policies {
		program, err := policy.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, vm)
	}
	here, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	values := []uint64{0, 1, unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC, unix.PR_SET_NAME, 0x22, self, unix.CLONE_THREAD, unix.CLONE_THREAD | unix.PR_SET_NAME, 1 << 32}
	for name := range meant {
		values = append(values, uint64(here.SyscallNames[name]))
	}
	passed := 0
	for name, fits := range meant {
		each(values, func(a [4]uint64) {
			if verdict := run(t, filters, uint32(here.ID), uint32(here.SyscallNames[name]), a); verdict != unix.SECCOMP_RET_ALLOW {
				if fits(a) {
					t.Errorf("%s%#x is refused", name, a)
				}
				return
			}
			passed++
			if !fits(a) {
				t.Errorf("%s%#x passes", name, a)
			}
		})
	}
	if passed == 0 {
		t.Error("nothing passes")
	}
}

// each calls f with all combinations of values.
func each(values []uint64, f func([4]uint64)) {
	for _, a := range values {
		for _, b := range values {
			for _, c := range values {
				for _, d := range values {
					f([4]uint64{a, b, c, d})
				}
			}
		}
	}
}

// run runs the filters on a struct seccomp_data, and returns what the strictest says, as the kernel does. The machine reads words of network byte order, so that is how they are written.
func run(t *testing.T, filters []*bpf.VM, machine, number uint32, a [4]uint64) int {
	t.Helper()
	var b []byte
	for _, word := range []uint32{number, machine, 0, 0} {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	for _, argument := range []uint64{a[0], a[1], a[2], a[3], 0, 0} {
		b = binary.BigEndian.AppendUint32(b, uint32(argument)) // low half first, as on both architectures
		b = binary.BigEndian.AppendUint32(b, uint32(argument>>32))
	}
	strictest := unix.SECCOMP_RET_ALLOW
	for _, vm := range filters {
		verdict, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		if int32(verdict) < int32(strictest) { // signed, so that killing the process comes first
			strictest = verdict
		}
	}
	return strictest
}
