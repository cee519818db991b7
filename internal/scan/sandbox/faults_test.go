package sandbox_test

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
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

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/sandbox"
	"github.com/ampconnector/amp/internal/scan/trial"
)

// fakeOptions are those of a service with the stand-in for the engine, and files in its directory of definitions.
func fakeOptions(t testing.TB, files ...string) sandbox.Options {
	t.Helper()
	all := map[string]string{}
	for _, f := range files {
		all[f] = "x"
	}
	o := options(t)
	o.Service, o.Definitions = program(t, servicePackage, fakeTag), definitions(t, all)
	return o
}

func TestFaultsOfTheEngine(t *testing.T) {
	needRoot(t)
	for word, want := range map[string]syscall.Signal{"crash": unix.SIGSEGV, "abort": unix.SIGABRT, "killed": unix.SIGKILL, "exit": 0} {
		t.Run(word, func(t *testing.T) {
			s := ready(t, fakeOptions(t))
			if err := s.Conn.Send(scan.Request{ID: 1}, content(t, []byte("AMP-FAKE "+word))); err != nil {
				t.Fatal(err)
			}
			if m, err := s.Conn.ReceiveMessage(); !errors.Is(err, io.EOF) {
				t.Errorf("%+v, %v, expected the end of the connection", m, err)
			}
			status := s.end(t).Sys().(syscall.WaitStatus)
			if want != 0 && status.Signal() != want || want == 0 && status.ExitStatus() != 7 {
				t.Errorf("ended with %#x, expected %v", status, want)
			}
		})
	}
	t.Run("hang", func(t *testing.T) {
		s := ready(t, fakeOptions(t))
		if err := s.Conn.Send(scan.Request{ID: 1}, content(t, []byte("AMP-FAKE hang"))); err != nil {
			t.Fatal(err)
		}
		// The other worker goes on.
		if a := s.scanFile(t, content(t, []byte("AMP-FAKE found It")), scan.Limits{}); a.Name != "It" {
			t.Errorf("answer %+v", a)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if state := s.end(t); state.Success() {
			t.Errorf("ended with %v", state)
		}
		if err := s.Kill(); err != nil {
			t.Errorf("kill what has ended: %v", err)
		}
	})
	t.Run("hang while the connection ends", func(t *testing.T) {
		s := ready(t, fakeOptions(t))
		if err := s.Conn.Send(scan.Request{ID: 1}, content(t, []byte("AMP-FAKE hang"))); err != nil {
			t.Fatal(err)
		}
		s.Conn.Close()
		s.end(t)
	})
	t.Run("rubbish", func(t *testing.T) {
		s := ready(t, fakeOptions(t))
		if err := s.Conn.Send(scan.Request{ID: 1}, content(t, []byte("AMP-FAKE rubbish"))); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Conn.ReceiveMessage(); !errors.Is(err, scan.ErrMessage) {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("eat", func(t *testing.T) {
		s := ready(t, fakeOptions(t))
		a := s.scanFile(t, content(t, []byte("AMP-FAKE eat")), scan.Limits{})
		if a.Result != scan.Failed || !strings.Contains(a.Error, "cannot allocate memory") {
			t.Errorf("answer %+v, expected that memory was refused", a)
		}
		if a := s.scanFile(t, content(t, []byte("clean")), scan.Limits{}); a.Result != scan.Clean {
			t.Errorf("afterwards: %+v", a)
		}
	})
}

// A service that was taken over cannot fill the disk on which the log is.
func TestAServiceThatTalksTooMuch(t *testing.T) {
	needRoot(t)
	s := ready(t, fakeOptions(t))
	if a := s.scanFile(t, content(t, []byte("AMP-FAKE talk")), scan.Limits{}); a.Result != scan.Clean {
		t.Errorf("answer %+v, expected that all it says is taken", a)
	}
	s.Conn.Close()
	s.end(t)
	if n := len(s.said(t)); n < 1<<10 || n > 1<<20 {
		t.Errorf("the log has %d bytes, expected some KiB, and at most 1 MiB", n)
	}
}

func TestFaultsOfTheLoad(t *testing.T) {
	needRoot(t)
	s := start(t, fakeOptions(t, "fail-load.fake"))
	if r := s.report; r.Stage != scan.StageDefinitions || r.Cause != scan.DefinitionsBad || r.File != "fail-load.fake" {
		t.Errorf("report %+v", r)
	}
	if state := s.end(t); state.ExitCode() != 1 {
		t.Errorf("ended with %v", state)
	}
	if r := start(t, fakeOptions(t, "eat-load.fake")).report; r.Stage != scan.StageDefinitions || r.Cause != scan.MemoryShort {
		t.Errorf("report %+v", r)
	}
	s = start(t, fakeOptions(t, "crash-load.fake"))
	if status := s.end(t).Sys().(syscall.WaitStatus); s.report.Stage != 0 || status.Signal() != unix.SIGSEGV {
		t.Errorf("report %+v, ended with %#x", s.report, status)
	}
}

func TestCheckEndsAfterTheReport(t *testing.T) {
	needRoot(t)
	o := options(t)
	o.Check = true
	s := ready(t, o)
	if state := s.end(t); state.ExitCode() != 0 {
		t.Errorf("ended with %v", state)
	}
}

// What is for tests must not be in what is shipped.
func TestNothingOfTheFakeIsShipped(t *testing.T) {
	marker := []byte("AMP-FAKE")
	const pkg = "internal/scan/engine/fake"
	for tags, want := range map[string]bool{"": false, fakeTag: true} {
		path := program(t, servicePackage, tags)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, marker) != want || bytes.Contains(b, []byte(pkg)) != want {
			t.Errorf("built with tags %q: marker there %t, package there %t, expected %t", tags, bytes.Contains(b, marker), bytes.Contains(b, []byte(pkg)), want)
		}
		if bytes.Contains(b, eicar()) {
			t.Errorf("built with tags %q: scanners will find the test file in it", tags)
		}
	}
	info, err := buildinfo.ReadFile(program(t, servicePackage, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" && strings.Contains(s.Value, fakeTag) {
			t.Errorf("built with %s", s.Value)
		}
	}
	// The packages are built by packaging/, which sets tags nowhere.
	sources, err := filepath.Glob("../../../packaging/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(len(sources), err)
	}
	for _, path := range append(sources, "../../../Makefile") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(fakeTag)) {
			t.Errorf("%s names the build tag of the fake engine", path)
		}
	}
}

// manySignatures take some tens of MB.
func manySignatures() string {
	var b strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&b, "%x:%d:Hash.%d\n", sha256.Sum256(fmt.Append(nil, i)), 1000+i%5000, i)
	}
	return b.String()
}

func TestMemoryShortAtLoad(t *testing.T) {
	needRoot(t)
	o := options(t)
	ready(t, o)
	o.Definitions = definitions(t, map[string]string{"large.hsb": manySignatures()})
	var r scan.Report
	for _, mib := range []uint64{8, 10, 12, 14} {
		o.Memory = mib << 20
		s := start(t, o)
		if r = s.report; r.Stage != 0 {
			break
		}
		// Go's runtime, which the library calls to tell its messages, was the first to find no memory, and ended the service.
		if s.Shortage() == "" {
			t.Errorf("%d MiB: the service ended without a report and without naming a shortage", mib)
		}
	}
	if r.Stage != scan.StageDefinitions || r.Cause != scan.MemoryShort || r.File != "" || r.Sandbox&scan.SandboxMemory == 0 {
		t.Errorf("report %+v, expected a lack of memory that no file is to blame for", r)
	}
	o.Memory = 256 << 20
	ready(t, o)
}

// less is a limit of so many bytes below what the program itself takes.
func less(bytes uint64) uint64 { return -bytes }

// Where Go's runtime or the threads find no memory there is no report. The service's words tell it, and no definitions are to blame.
func TestMemoryShortBeforeTheReport(t *testing.T) {
	needRoot(t)
	o := options(t)
	ready(t, o)
	for memory, want := range map[uint64]string{less(60 << 20): "memory was refused", less(20 << 20): "a thread was refused"} {
		o.Memory = memory
		s := start(t, o)
		if short := s.Shortage(); s.report.Stage != 0 || !strings.HasPrefix(short, want) {
			t.Errorf("%d MiB less than it takes: report %+v, shortage %q, expected none and %q", -memory>>20, s.report, short, want)
		}
		report, err := trial.Prove(o)(t.Context(), o.Definitions)
		if report.Cause != scan.MemoryShort || report.Stage != 0 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d MiB less than it takes: trial %+v, %v", -memory>>20, report, err)
		}
	}
}

func TestBadDefinitions(t *testing.T) {
	needRoot(t)
	o := options(t)
	ready(t, o)
	o.Definitions = definitions(t, map[string]string{"bad.hdb": "no line of this kind\n"})
	if r := start(t, o).report; r.Stage != scan.StageDefinitions || r.Cause != scan.DefinitionsBad || r.File != "bad.hdb" || r.Error == "" {
		t.Errorf("report %+v", r)
	}
	o.Definitions = definitions(t, map[string]string{"eicar.ndb": "", "other.ndb": "Other:0:*:414d502d4d41524b\n"})
	if r := start(t, o).report; r.Stage != scan.StageSelfTest || r.Cause != scan.SelfTestFailed {
		t.Errorf("report %+v of definitions that do not find the sample", r)
	}
	o.Definitions = definitions(t, map[string]string{"all.ndb": fmt.Sprintf("Common.Words:0:*:%x\n", "nothing is found")})
	if r := start(t, o).report; r.Stage != scan.StageSelfTest || r.Cause != scan.SelfTestFailed || !strings.Contains(r.Error, "Common.Words") {
		t.Errorf("report %+v of definitions that call what is clean infected", r)
	}
	o.Definitions = definitions(t, nil)
	if err := os.Chmod(o.Definitions, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := start(t, o).report; r.Cause != scan.RightsMissing || r.Stage != scan.StageDefinitions {
		t.Errorf("report %+v of a directory that the user may not read", r)
	}
	o.Definitions = definitions(t, nil)
	if err := os.Chmod(filepath.Join(o.Definitions, "eicar.ndb"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := start(t, o).report; r.Cause != scan.RightsMissing || r.File != "eicar.ndb" {
		t.Errorf("report %+v of a file that the user may not read", r)
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	needRoot(t)
	o := options(t)
	o.Service = "/nonexistent/ampscansvc"
	s := start(t, o)
	if r := s.report; r.Stage != scan.StageSandbox || r.Cause != scan.RightsMissing || !strings.Contains(r.Error, o.Service) {
		t.Errorf("report %+v", r)
	}
	// As on a host with another C library.
	o = options(t)
	b, err := os.ReadFile(o.Service)
	if err != nil {
		t.Fatal(err)
	}
	o.Service = filepath.Join(o.Definitions, "ampscansvc")
	if err := os.WriteFile(o.Service, bytes.Replace(b, []byte("/lib64/ld-linux-x86-64"), []byte("/lib64/ld-linux-x86-65"), 1), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := start(t, o).report; runtime.GOARCH == "amd64" && (r.Stage != scan.StageSandbox || r.Cause != scan.LibraryMissing) {
		t.Errorf("report %+v of a host without the dynamic loader", r)
	}
	o = options(t)
	o.User = 0
	if r := start(t, o).report; r.Stage != scan.StageSandbox || !strings.Contains(r.Error, "user 0") {
		t.Errorf("report %+v of a service that would run as root without being told to", r)
	}
	o = options(t)
	o.Executable = "/nonexistent"
	if p, err := sandbox.Start(t.Context(), o); err == nil {
		p.Kill()
		t.Error("what does not exist is started")
	}
}

// withoutLibrary runs a part of the test in mounts of its own, in which there is no libclamav below /usr/lib.
func TestLibraryMissing(t *testing.T) {
	needRoot(t)
	o := options(t)
	found, err := filepath.Glob("/usr/lib/*/libclamav.so.*")
	if err != nil || len(found) == 0 {
		lacks(t, "needs a libclamav below /usr/lib that can be hidden")
	}
	work := t.TempDir()
	if err := unix.Mount("tmpfs", work, "tmpfs", 0, ""); err != nil {
		t.Skipf("needs to mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(work, unix.MNT_DETACH) })
	for _, path := range found {
		hidden := filepath.Join(work, "upper", strings.TrimPrefix(path, "/usr/lib"))
		if err := os.MkdirAll(filepath.Dir(hidden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mknod(hidden, unix.S_IFCHR, 0); err != nil { // what overlayfs marks deleted files with
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(work, "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(o.Executable)
	cmd.Env = append(os.Environ(), roleEnv+"=without library", "SERVICE="+o.Service, "DEFINITIONS="+o.Definitions, "WORK="+work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("no overlayfs")) {
		t.Skipf("%s", out)
	}
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("stage %d cause %d", scan.StageLibrary, scan.LibraryMissing)) || !strings.Contains(string(out), "libclamav.so.12") {
		t.Errorf("%v\n%s", err, out)
	}
}

func playWithoutLibrary() int {
	work := os.Getenv("WORK")
	options := fmt.Sprintf("lowerdir=/usr/lib,upperdir=%[1]s/upper,workdir=%[1]s/work", work)
	if err := unix.Mount("overlay", "/usr/lib", "overlay", 0, options); err != nil {
		fmt.Println("no overlayfs:", err)
		return 1
	}
	return report(sandbox.Options{})
}
