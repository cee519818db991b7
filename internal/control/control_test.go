package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
)

// serve runs a server on a socket of its own until the test ends.
func serve(t *testing.T, s *Server) (socket string) {
	t.Helper()
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	socket = filepath.Join(dir, "run", "control.sock")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func echo(_ context.Context, req Request) Answer {
	if req.Verb == ReadTop {
		return Answer{Top: &Top{Source: string(req.Verb), Private: !req.Root}}
	}
	if req.Scan != nil {
		return Answer{Scan: &ScanRun{Current: string(req.Verb)}}
	}
	return Answer{Status: &Status{Running: true, Version: string(req.Verb)}}
}

func TestAskAndAnswer(t *testing.T) {
	socket := serve(t, &Server{Handle: echo})
	for verb := range verbs {
		req := Request{Verb: verb}
		switch verb {
		case StartScan:
			req.Scan = &ScanRequest{Paths: []string{"/"}}
		case FollowScan, StopScan:
			req.Scan = &ScanRequest{ID: 7}
		}
		a, err := Ask(t.Context(), socket, req)
		if req.Scan != nil && os.Geteuid() == 0 {
			if err != nil || a.Scan.Current != string(verb) {
				t.Errorf("%s: %+v, %v", verb, a, err)
			}
			continue
		}
		if verb == ReadTop {
			if err != nil || a.Top.Source != string(verb) || a.Top.Private != (os.Geteuid() != 0) {
				t.Errorf("%s: %+v, %v", verb, a.Top, err)
			}
			continue
		}
		if err != nil || a.Status.Version != string(verb) {
			t.Errorf("%s: %+v, %v", verb, a, err)
		}
	}
	if st, _ := os.Stat(socket); st.Mode().Perm() != 0o666 {
		t.Errorf("socket has mode %v, expected 0666", st.Mode().Perm())
	}
	if st, _ := os.Stat(filepath.Dir(socket)); st.Mode().Perm() != 0o755 {
		t.Errorf("its folder has mode %v, expected 0755", st.Mode().Perm())
	}
}

// TestAnybodyMayConnect also where the daemon was started out of an administrator's shell, whose umask may keep all others from what it makes.
func TestAnybodyMayConnect(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "control.sock")
	defer syscall.Umask(syscall.Umask(0o077))
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if fi, err := os.Stat(filepath.Dir(socket)); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("the socket's folder: %v, %v", fi.Mode(), err)
	}
}

func TestNobodyListens(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, socket := range []string{filepath.Join(dir, "none.sock"), dead} {
		if _, err := Ask(t.Context(), socket, Request{Verb: ReadStatus}); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v, expected ErrNotRunning", socket, err)
		}
	}
	again, err := Listen(dead)
	if err != nil {
		t.Fatalf("a dead daemon's socket: %v", err)
	}
	defer again.Close()
	if _, err := Listen(dead); !errors.Is(err, ErrRunning) {
		t.Errorf("a second daemon: %v, expected ErrRunning", err)
	}
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("keep"), 0o644)
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "expected a socket") {
		t.Errorf("a file in the socket's place: %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "keep" {
		t.Error("the file in the socket's place is gone")
	}
}

// raw sends bytes as they are and returns the answer.
func raw(t *testing.T, socket, line string) Answer {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte(line))
	b, err := readLine(conn, MaxAnswer)
	if err != nil {
		t.Fatalf("%.40q: %v", line, err)
	}
	a, err := decodeAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBadRequests(t *testing.T) {
	called := false
	socket := serve(t, &Server{Handle: func(context.Context, Request) Answer { called = true; return Answer{} }})
	for _, line := range []string{
		"\n", "status\n", "{}\n", `{"verb":"shutdown"}` + "\n", `{"verb":"status","path":"/etc/shadow"}` + "\n",
		`{"verb":"status"} {"verb":"status"}` + "\n", `{"verb":` + strings.Repeat("\"a", MaxRequest) + "\n", "\x00\xff\n",
		`{"verb":"scan"}` + "\n", `{"verb":"scan","scan":{}}` + "\n", `{"verb":"scan","scan":{"paths":["a"]}}` + "\n", `{"verb":"scan","scan":{"paths":["/a"],"id":1}}` + "\n",
		`{"verb":"scan-progress","scan":{}}` + "\n", `{"verb":"scan-stop","scan":{"id":1,"paths":["/"]}}` + "\n", `{"verb":"scan-progress","scan":{"id":1,"after":-1}}` + "\n",
		`{"verb":"scan","scan":{"paths":["/\u0000"]}}` + "\n", `{"verb":"scan","scan":{"paths":["/` + strings.Repeat("x", MaxScanPath) + `"]}}` + "\n",
		`{"verb":"scan","scan":{"paths":["/"` + strings.Repeat(`,"/"`, MaxScanPaths) + `]}}` + "\n",
	} {
		if a := raw(t, socket, line); a.Code != BadRequest || a.Error == "" {
			t.Errorf("%.40q: %+v, expected %s", line, a, BadRequest)
		}
	}
	if called {
		t.Error("a bad request was carried out")
	}
}

func TestSilentPeerIsTurnedAway(t *testing.T) {
	socket := serve(t, &Server{Handle: echo, Patience: 20 * time.Millisecond})
	if a := raw(t, socket, ""); a.Code != BadRequest || !strings.Contains(a.Error, "timeout") {
		t.Errorf("%+v, expected %s because of a timeout", a, BadRequest)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	socket := serve(t, &Server{AtOnce: 2, Handle: func(ctx context.Context, req Request) Answer {
		entered <- true
		<-leave
		return echo(ctx, req)
	}})
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := Ask(t.Context(), socket, Request{Verb: ReadStatus})
			results <- err
		}()
		<-entered
	}
	if _, err := Ask(t.Context(), socket, Request{Verb: ReadStatus}); !errors.Is(err, ErrBusy) {
		t.Errorf("third: %v, expected ErrBusy", err)
	}
	close(leave)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("one of the first two: %v", err)
		}
	}
}

func TestWorkHasADeadlineAndTheClientToo(t *testing.T) {
	socket := serve(t, &Server{Work: 20 * time.Millisecond, Handle: func(ctx context.Context, req Request) Answer {
		<-ctx.Done()
		return Answer{Code: Incomplete, Error: ctx.Err().Error()}
	}})
	if _, err := Ask(t.Context(), socket, Request{Verb: Evaluate}); !errors.Is(err, ErrIncomplete) {
		t.Errorf("%v, expected ErrIncomplete", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, socket, Request{Verb: Evaluate}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, expected the client's deadline", err)
	}
}

// TestAskAsOther is run by TestOnlyRootMayEvaluate, as another user.
func TestAskAsOther(t *testing.T) {
	socket := os.Getenv("AMP_TEST_SOCKET")
	if socket == "" {
		t.Skip("not asked by TestOnlyRootMayEvaluate")
	}
	if _, err := Ask(t.Context(), socket, Request{Verb: ReadStatus}); err != nil {
		t.Errorf("status: %v", err)
	}
	for verb, what := range map[Verb]*ScanRequest{Evaluate: nil, Reload: nil, RestartScan: nil, StartScan: {Paths: []string{"/"}}, FollowScan: {ID: 1}, StopScan: {ID: 1}} {
		if _, err := Ask(t.Context(), socket, Request{Verb: verb, Scan: what}); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "65534") {
			t.Errorf("%s: %v, expected ErrDenied that names the uid", verb, err)
		}
	}
}

func TestOnlyRootMayEvaluate(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to ask as another user")
	}
	// In a folder that other users may enter, and so is the copy of this program.
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "other.test")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	var log bytes.Buffer
	go func() {
		done <- (&Server{Handle: echo, Log: slog.New(slog.NewTextHandler(&log, nil))}).Serve(ctx, l)
	}()
	cmd := exec.Command(program, "-test.run=^TestAskAsOther$", "-test.v")
	cmd.Env = []string{"AMP_TEST_SOCKET=" + l.Addr().String(), "TMPDIR=/tmp"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("as uid 65534: %v\n%s", err, out)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if lines := strings.Count(log.String(), "denied"); lines == 0 || lines > 3 {
		t.Errorf("6 requests were denied, and the log has %d lines of that; expected some, and not one for each, with which others could fill it:\n%s", lines, log.String())
	}
}

func TestAnswerThatIsTooLongGoesWithoutEvidence(t *testing.T) {
	f := fault.Finding{ID: 19, State: fault.Raised, Reason: fault.Text{EN: "refused"}}
	for range 300 {
		f.Evidence = append(f.Evidence, fault.Evidence{What: strings.Repeat("x", 1024)})
	}
	socket := serve(t, &Server{Handle: func(context.Context, Request) Answer {
		return Answer{Status: &Status{Faults: Faults([]fault.Entry{{Finding: f}})}}
	}})
	a, err := Ask(t.Context(), socket, Request{Verb: ReadStatus})
	if err != nil || len(a.Status.Faults) != 1 || a.Status.Faults[0].Reason.EN != "refused" || len(a.Status.Faults[0].Evidence) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	long, err := encodeAnswer(Answer{Status: &Status{Kernel: strings.Repeat("x", MaxAnswer)}})
	if err != nil || !bytes.Contains(long, []byte(Incomplete)) || len(long) > MaxAnswer {
		t.Errorf("%.80s, %v; expected a word that it is too long", long, err)
	}
}

// Of many findings an answer has as many as it has room for.
func TestAnswerThatIsTooLongGoesWithFewerFindings(t *testing.T) {
	run := ScanRun{ID: 1}
	for range MaxScanFindings {
		run.Findings = append(run.Findings, ScanFinding{Path: "/" + strings.Repeat("\x01", MaxScanPath-1), Name: "x"})
	}
	line, err := encodeAnswer(Answer{Scan: &run})
	if err != nil || len(line) > MaxAnswer {
		t.Fatalf("%d bytes, %v", len(line), err)
	}
	a, err := decodeAnswer(line[:len(line)-1])
	if n := len(a.Scan.Findings); err != nil || n == 0 || n >= MaxScanFindings {
		t.Errorf("%d findings, %v", n, err)
	}
}

func TestReadLine(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{"a\nb", "a", ""}, {"a", "a", ""}, {"\n", "", ""}, {"", "", "unexpected EOF"}, {"12345678", "", "longer than 8"}, {"1234567\n", "1234567", ""},
	} {
		got, err := readLine(strings.NewReader(c.in), 8)
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %q, %v; expected %q, %q", c.in, got, err, c.want, c.err)
		}
	}
	if _, err := readLine(io.MultiReader(), 8); err == nil {
		t.Error("no error at the end")
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"verb":"status"}`))
	f.Add([]byte(`{"verb":"evaluate"}{}`))
	f.Add([]byte(`{"VERB":"reload","verb":"x"}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := decodeRequest(b)
		if _, ok := verbs[req.Verb]; err == nil && !ok {
			t.Errorf("%q: %+v, %v", b, req, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	good, _ := json.Marshal(Answer{Status: example()})
	f.Add(good)
	f.Add([]byte(`{"code":"denied","error":"no"}`))
	f.Add([]byte(`{"status":{"faults":[{"id":19,"state":"raised","evidence":null}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnswer(b)
		if err == nil && a.Status != nil {
			if err := (Text{Verbose: true, Zone: time.UTC}).WriteStatus(io.Discard, *a.Status); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestShortOfDescriptors: a moment in which the process has no descriptor left ends no server, and who asked meanwhile is answered after it.
func TestShortOfDescriptors(t *testing.T) {
	told := make(chan string, 1)
	socket := filepath.Join(t.TempDir(), "control.sock")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- (&Server{Handle: echo, Log: slog.New(firstWord{slog.DiscardHandler, told})}).Serve(ctx, l)
	}()
	defer func() { cancel(); <-done }()
	asking, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(asking)
	lowest, err := unix.Dup(asking)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(lowest)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err = unix.Connect(asking, &unix.SockaddrUnix{Name: socket})
	var said string
	if err == nil {
		select {
		case said = <-told:
		case err = <-done:
			done <- nil
		}
	}
	if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "too many open files") {
		t.Errorf("said %q", said)
	}
	if _, err := unix.Write(asking, []byte("{\"verb\":\"status\"}\n")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	if n, err := unix.Read(asking, b); err != nil || !strings.Contains(string(b[:max(n, 0)]), "\"running\":true") {
		t.Errorf("answer %q, %v", b[:max(n, 0)], err)
	}
}

// firstWord passes the error of the first record on.
type firstWord struct {
	slog.Handler
	told chan string
}

func (firstWord) Enabled(context.Context, slog.Level) bool { return true }

func (w firstWord) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		select {
		case w.told <- a.Value.String():
		default:
		}
		return false
	})
	return nil
}
