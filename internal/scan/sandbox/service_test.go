package sandbox_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// roleEnv makes the test's program play another part.
const roleEnv = "AMP_SANDBOX_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		fmt.Fprintln(os.Stderr, "sandbox:", sandbox.Enter(os.Args[2:]))
		os.Exit(1)
	}
	if len(os.Args) > 2 && strings.HasPrefix(os.Args[1], "--definitions=") {
		probe(os.Args[1:])
	}
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	status := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(status)
}

// scanUser is a user that need not exist, with no other processes.
const scanUser = 59_911

// patience bounds what a test waits for.
const patience = 60 * time.Second

// built are the programs that tests run, made once.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

// program builds a package as it is shipped, with build tags or without.
func program(t testing.TB, pkg, tags string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	key := pkg + " " + tags
	if path := built.paths[key]; path != "" {
		return path
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("/var/tmp", "amp-sandbox-test-")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	path := filepath.Join(built.dir, fmt.Sprintf("%s-%d", filepath.Base(pkg), len(built.paths)))
	args := []string{"build", "-o", path, "-tags", tags, pkg}
	if pkg == "." {
		args = []string{"test", "-c", "-o", path, pkg}
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	built.paths[key] = path
	return path
}

const (
	servicePackage = "github.com/ampconnector/amp/cmd/ampscansvc"
	fakeTag        = "fakeengine"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "needs root: who is not may neither change the user nor mount")
	}
}

// lacks skips a test for want of something that machines for continuous integration have.
func lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// eicar is the test file that engines find, put together so that this source is not found.
func eicar() []byte {
	b := []byte(`*H+H$!ELIF-TSET-SURIVITNA-` + `DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X`)
	slices.Reverse(b)
	return b
}

// definitions makes a directory with a signature of the test file, and files beside it.
func definitions(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "amp-definitions-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"eicar.ndb": fmt.Sprintf("Eicar-Test:0:*:%x\n", eicar())}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// options are those of a service that starts.
func options(t testing.TB) sandbox.Options {
	t.Helper()
	return sandbox.Options{
		Executable: program(t, ".", ""), Service: program(t, servicePackage, ""), Definitions: definitions(t, nil),
		User: scanUser, Group: scanUser, Memory: 512 << 20,
	}
}

// started is a service under test and its log.
type started struct {
	*sandbox.Process
	log    *os.File
	report scan.Report
}

// said is the service's log.
func (s *started) said(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// start starts a service and takes its report; a service that ends without one has the zero report.
func start(t testing.TB, o sandbox.Options) *started {
	t.Helper()
	s := &started{}
	var err error
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	o.Log = s.log
	ctx, cancel := context.WithCancel(context.Background())
	if s.Process, err = sandbox.Start(ctx, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		s.Wait()
		s.Conn.Close()
		if t.Failed() {
			t.Logf("log of the service:\n%s", s.said(t))
		}
	})
	m, err := s.Conn.ReceiveMessage()
	switch {
	case errors.Is(err, io.EOF):
		return s
	case err != nil:
		t.Fatal(err)
	case m.Report == nil:
		t.Fatalf("first message %+v, expected a report", m)
	}
	s.report = *m.Report
	return s
}

// ready is start, where nothing but readiness will do.
func ready(t testing.TB, o sandbox.Options) *started {
	t.Helper()
	s := start(t, o)
	if s.report.Cause == scan.LibraryMissing {
		lacks(t, "needs libclamav: "+s.report.Error)
	}
	if s.report.Stage != scan.StageReady {
		t.Fatalf("report %+v, expected ready", s.report)
	}
	return s
}

var lastID uint64

// scanFile sends one file and waits for its answer.
func (s *started) scanFile(t testing.TB, f *os.File, limits scan.Limits) scan.Answer {
	t.Helper()
	lastID++
	if err := s.Conn.Send(scan.Request{ID: lastID, Limits: limits}, f); err != nil {
		t.Fatal(err)
	}
	m, err := s.Conn.ReceiveMessage()
	if err != nil {
		t.Fatal(err)
	}
	if m.Answer == nil || m.Answer.ID != lastID {
		t.Fatalf("message %+v, expected answer %d", m, lastID)
	}
	return *m.Answer
}

// content is an open file without a name, its offset at the end.
func content(t testing.TB, b []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	return f
}

func zipped(t testing.TB, members ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, m := range members {
		f, err := w.Create(fmt.Sprint("member", i))
		if err != nil {
			t.Fatal(err)
		}
		f.Write(m)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func nested(t testing.TB, b []byte, depth int) []byte {
	t.Helper()
	for range depth {
		b = zipped(t, b)
	}
	return b
}

func TestVerdicts(t *testing.T) {
	needRoot(t)
	s := ready(t, options(t))
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, tt := range []struct {
		name    string
		content []byte
		limits  scan.Limits
		want    scan.Result
	}{
		{"sample", eicar(), scan.Limits{}, scan.Infected},
		{"nothing", nil, scan.Limits{}, scan.Clean},
		{"clean", []byte("all is well\n"), scan.Limits{}, scan.Clean},
		{"in a zip", zipped(t, large, eicar()), scan.Limits{}, scan.Infected},
		{"deeper than the library's own limit", nested(t, eicar(), 30), scan.Limits{}, scan.Limited},
		{"deep, and allowed", nested(t, eicar(), 90), scan.Limits{Depth: 100}, scan.Infected},
		{"larger than allowed", large, scan.Limits{FileBytes: 1 << 10}, scan.Limited},
		{"member larger than allowed", zipped(t, append(large, eicar()...)), scan.Limits{ScanBytes: 100_000}, scan.Limited},
		{"member larger than a file may be", zipped(t, append(large, eicar()...)), scan.Limits{FileBytes: 100_000}, scan.Infected},
		{"the same, allowed", zipped(t, append(large, eicar()...)), scan.Limits{}, scan.Infected},
		{"more members than allowed", zipped(t, []byte("one file"), []byte("another"), []byte("third"), eicar()), scan.Limits{Files: 2}, scan.Limited},
		{"longer than allowed", zipped(t, large, large, large), scan.Limits{ScanTime: time.Millisecond}, scan.Limited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.scanFile(t, content(t, tt.content), tt.limits)
			if got.Result != tt.want || tt.want == scan.Infected && got.Name != "Eicar-Test.UNOFFICIAL" {
				t.Errorf("answer %+v, expected %v", got, tt.want)
			}
		})
	}
}

// TestWhateverTheUmask: a trial has that of the administrator's shell, which on hardened hosts is 077, and so has a daemon that was started out of one.
func TestWhateverTheUmask(t *testing.T) {
	needRoot(t)
	o := options(t)
	defer unix.Umask(unix.Umask(0o077))
	s := ready(t, o)
	if a := s.scanFile(t, content(t, eicar()), scan.Limits{}); a.Result != scan.Infected {
		t.Errorf("%+v", a)
	}
}

func TestFilesAreClosed(t *testing.T) {
	needRoot(t)
	s := ready(t, fakeOptions(t))
	open := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	f := content(t, []byte("clean"))
	before := open()
	for range 20 {
		s.scanFile(t, f, scan.Limits{})
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors after 20 scans, before %d", after, before)
	}
}

var idLine = regexp.MustCompile(`(?m)^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):[ \t]*(.*)$`)

func TestRightsOfTheService(t *testing.T) {
	needRoot(t)
	for _, asRoot := range []bool{false, true} {
		t.Run(fmt.Sprintf("as root %t", asRoot), func(t *testing.T) {
			o := options(t)
			o.AsRoot = asRoot
			s := ready(t, o)
			want := scan.SandboxUser | scan.SandboxCapabilities | scan.SandboxMounts | scan.SandboxNetwork | scan.SandboxSystemCalls | scan.SandboxMemory
			id := fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", scanUser)
			if asRoot {
				want &^= scan.SandboxUser
				id = "0\t0\t0\t0"
			}
			if s.report.Sandbox != want {
				t.Errorf("sandbox %#x, expected %#x", s.report.Sandbox, want)
			}
			tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.PID))
			if len(tasks) < 3 {
				t.Errorf("%d threads", len(tasks))
			}
			for _, task := range tasks {
				b, err := os.ReadFile(task)
				if err != nil {
					t.Fatal(err)
				}
				none := strings.Repeat("0", 16)
				for _, m := range idLine.FindAllStringSubmatch(string(b), -1) {
					want := map[string]string{
						"Uid": id, "Gid": id, "Groups": "", "NoNewPrivs": "1", "Seccomp": "2",
						"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
					}[m[1]]
					if strings.TrimSpace(m[2]) != want {
						t.Errorf("%s: %s %q, expected %q", task, m[1], m[2], want)
					}
				}
			}
			seesLittle(t, s.PID)
		})
	}
}

// seesLittle looks at a process's root, descriptors and network.
func seesLittle(t *testing.T, pid int) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	for _, path := range []string{"etc/passwd", "etc/shadow", "usr/bin", "home", "var", "proc/self", "tmp", "sys"} {
		if _, err := os.Stat(proc + "root/" + path); err == nil {
			t.Errorf("it sees /%s", path)
		}
	}
	for _, path := range []string{"usr/lib", "definitions", "definitions/eicar.ndb", "dev/null"} {
		if _, err := os.Stat(proc + "root/" + path); err != nil {
			t.Error(err)
		}
	}
	mounts, err := os.ReadFile(proc + "mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		options := strings.Split(f[5], ",")
		if f[4] != "/scratch" && !slices.Contains(options, "ro") {
			t.Errorf("can be written: %s", line)
		}
		if !slices.Contains(options, "nosuid") {
			t.Errorf("set-user-ID programs count: %s", line)
		}
		if (f[4] == "/scratch" || f[4] == "/definitions") && !slices.Contains(options, "noexec") {
			t.Errorf("can be executed: %s", line)
		}
	}
	network, err := os.ReadFile(proc + "net/dev")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(network), ":"); n != 1 {
		t.Errorf("%d interfaces, expected lo alone:\n%s", n, network)
	}
	if routes, err := os.ReadFile(proc + "net/route"); err == nil && strings.Count(string(routes), "\n") > 1 {
		t.Errorf("routes:\n%s", routes)
	}
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		to, _ := os.Readlink(proc + "fd/" + fd.Name())
		if !strings.HasPrefix(to, "/dev/null") && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "anon_inode:") && (fd.Name() != "2" || !strings.HasPrefix(to, "pipe:")) {
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
	if score, err := os.ReadFile(proc + "oom_score_adj"); err != nil || string(score) != "500\n" {
		t.Errorf("oom_score_adj %s, %v", score, err)
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Max core file size +0 +0 `, `Max open files +256 +256 `, fmt.Sprintf(`Max data size +%[1]d +%[1]d `, uint64(512<<20)+sandbox.Overhead(2))} {
		if !regexp.MustCompile(want).Match(limits) {
			t.Errorf("limits have no %q:\n%s", want, limits)
		}
	}
}

func TestServiceEndsWithTheDaemon(t *testing.T) {
	needRoot(t)
	t.Run("connection closed", func(t *testing.T) {
		s := ready(t, options(t))
		s.Conn.Close()
		if state := s.end(t); state.ExitCode() != 0 {
			t.Errorf("ended with %v", state)
		}
	})
	// One that hangs does not see that the connection ends.
	t.Run("daemon killed", func(t *testing.T) {
		cmd := exec.Command(program(t, ".", ""))
		o := fakeOptions(t, "hang-load.fake")
		cmd.Env = append(os.Environ(), roleEnv+"=daemon", "SERVICE="+o.Service, "DEFINITIONS="+o.Definitions)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		awaitService(t, pid)
		cmd.Process.Kill()
		cmd.Wait()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		for errors.Is(err, unix.EINTR) { // a signal of Go's own
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		}
		if n != 1 {
			t.Errorf("the service lives on: %d, %v", n, err)
		}
	})
}

// awaitService waits until a process is past the sandbox's making.
func awaitService(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte("ampscansvc\x00")) {
			return
		}
	}
	t.Fatal("the service does not start")
}

// play plays a part in a process of its own.
func play(role string) int {
	switch role {
	case "daemon":
		return playDaemon()
	case "without library":
		return playWithoutLibrary()
	case "no mounts":
		return playWithoutMounts()
	case "no mounts, read-only":
		return playReadOnly()
	}
	return 2
}

// playDaemon is the part of a daemon that starts a service, says its number, and waits to be killed.
func playDaemon() int {
	executable, err := os.Executable()
	if err != nil {
		return 1
	}
	p, err := sandbox.Start(context.Background(), sandbox.Options{
		Executable: executable, Service: os.Getenv("SERVICE"), Definitions: os.Getenv("DEFINITIONS"), User: scanUser, Group: scanUser,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(p.PID)
	p.Wait()
	return 0
}

// end waits for the process's end.
func (s *started) end(t testing.TB) *os.ProcessState {
	t.Helper()
	select {
	case <-s.Ended():
	case <-time.After(patience):
		t.Fatal("the service does not end")
	}
	state, err := s.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return state
}
