package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// scans answers on the socket with runs, one after another, the last again and again. It returns how often it was asked to stop.
func (c *command) scans(t *testing.T, runs ...control.ScanRun) *atomic.Int32 {
	t.Helper()
	return c.scansUntil(t, func() {}, runs...)
}

// scansUntil is scans, and calls enough when it has answered with the last of runs twice.
func (c *command) scansUntil(t *testing.T, enough func(), runs ...control.ScanRun) *atomic.Int32 {
	t.Helper()
	n, stopped := 0, new(atomic.Int32)
	c.handles(t, func(r control.Request) control.Answer {
		if r.Verb == control.StopScan {
			stopped.Add(1)
		}
		run := runs[min(n, len(runs)-1)]
		if n++; n > len(runs) {
			enough()
		}
		return control.Answer{Scan: &run}
	})
	return stopped
}

// handles answers on the socket.
func (c *command) handles(t *testing.T, handle func(control.Request) control.Answer) {
	t.Helper()
	l, err := control.Listen(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	server := control.Server{Log: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, r control.Request) control.Answer { return handle(r) }}
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
}

// broken is an output that takes nothing.
type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestScan(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others may not ask for a scan")
	}
	found := control.ScanFinding{Path: "/tmp/a b", Name: "Eicar"}
	for _, tt := range []struct {
		name string
		runs []control.ScanRun
		code int
		want []string
	}{
		{"clean", []control.ScanRun{{ID: 1}, {ID: 1, Done: true, Files: 3, Folders: 1, Bytes: 3 << 19, Took: time.Second}}, 0, []string{"Scanned 3 files in 1 folders (1.5 MiB", "0 found"}},
		{"found", []control.ScanRun{{ID: 1}, {ID: 1, Findings: []control.ScanFinding{found}}, {ID: 1, Done: true, Files: 3, Found: 1}}, 1, []string{`"/tmp/a b": Eicar FOUND` + "\n", "1 found"}},
		{"found at the end", []control.ScanRun{{ID: 1, Done: true, Found: 1, Findings: []control.ScanFinding{found}}, {ID: 1, Done: true, Found: 1}}, 1, []string{"Eicar FOUND"}},
		{"taken away", []control.ScanRun{{ID: 1, Findings: []control.ScanFinding{{Path: "/x", Name: "Eicar", Quarantined: "7"}, {Path: "/y", Name: "Eicar", LeftAlone: "why"}}}, {ID: 1, Done: true, Found: 2, Quarantined: 1}},
			1, []string{"/x: Eicar FOUND, in quarantine as 7\n", "/y: Eicar FOUND, could not be quarantined: why\n", "2 found (1 of them quarantined)"}},
		{"not all", []control.ScanRun{{ID: 1, Done: true, Failures: 1, Findings: []control.ScanFinding{{Path: "/x", Error: "denied"}}}, {ID: 1, Done: true, Failures: 1}}, 2, []string{"/x: denied ERROR\n"}},
		{"too much to be told", []control.ScanRun{{ID: 1, Done: true, Failures: 9, Untold: 7}}, 2, []string{"7 more files are not listed", "9 could not be scanned"}},
		{"too large", []control.ScanRun{{ID: 1, Done: true, Files: 3, Limited: 2}}, 0, []string{"2 of these files were scanned in part, or not at all"}},
		{"ended", []control.ScanRun{{ID: 1, Done: true, Error: "the service failed"}}, 2, []string{"The scan ended before its end: the service failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := place(t)
			c.scans(t, tt.runs...)
			out, code, err := c.call(t, "scan", t.TempDir())
			if code != tt.code {
				t.Errorf("exit code %d, %v; expected %d", code, err, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
	for name, tt := range map[string]struct {
		handle func(control.Request) control.Answer
		want   string // in the error, which is told
		code   int
	}{
		"no daemon": {nil, "the scan was not completed: the daemon is not running", 2},
		"busy":      {func(control.Request) control.Answer { return control.Answer{Code: control.Busy} }, control.ErrBusy.Error(), 2},
		"no scanning": {func(control.Request) control.Answer {
			return control.Answer{Code: control.Incomplete, Error: "the policy asks for no scanning"}
		}, "the policy asks for no scanning", 2},
		"not allowed": {func(control.Request) control.Answer { return control.Answer{Code: control.Denied} }, control.ErrDenied.Error(), 4},
		"a daemon that began anew meanwhile": {func(r control.Request) control.Answer {
			if r.Verb == control.StartScan {
				return control.Answer{Scan: &control.ScanRun{ID: 1, Failures: 1, Findings: []control.ScanFinding{{Path: "/x", Error: "denied"}}}}
			}
			return control.Answer{Code: control.NoScan, Error: "scan 1"}
		}, "scan 1", 2},
		"a daemon that began anew after something was found": {func(r control.Request) control.Answer {
			if r.Verb == control.StartScan {
				return control.Answer{Scan: &control.ScanRun{ID: 1, Found: 1, Findings: []control.ScanFinding{found}}}
			}
			return control.Answer{Code: control.NoScan, Error: "scan 1"}
		}, "scan 1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := place(t)
			if tt.handle != nil {
				c.handles(t, tt.handle)
			}
			if _, code, err := c.call(t, "scan", t.TempDir()); code != tt.code || c.silent(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("exit code %d, %v; expected %d, and to be told of %q", code, err, tt.code, tt.want)
			}
		})
	}
	t.Run("a daemon that goes away", func(t *testing.T) { // before it has read anything
		c := place(t)
		l, err := net.Listen("unix", c.socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				conn.Close()
			}
		}()
		defer l.Close()
		for range 20 { // the pipe breaks when the request is written, or the answer is read
			if _, code, err := c.call(t, "scan", t.TempDir()); code != 2 || c.silent(err) {
				t.Fatalf("exit code %d, %v; expected 2, and to be told of it", code, err)
			}
		}
	})
	t.Run("output that nobody reads", func(t *testing.T) {
		c := place(t)
		c.scans(t, control.ScanRun{ID: 1, Done: true, Files: 3})
		for err, silent := range map[error]bool{syscall.EPIPE: true, syscall.ENOSPC: false} {
			fresh := command{socket: c.socket, getenv: c.getenv, out: broken{err}}
			if err := fresh.execute(t.Context(), []string{"scan", t.TempDir()}); exitCode(err) != 2 || c.silent(err) != silent {
				t.Errorf("exit code %d, %v; expected 2, told: %v", exitCode(err), err, !silent)
			}
		}
	})
	t.Run("not there", func(t *testing.T) {
		if _, code, err := place(t).call(t, "scan", filepath.Join(t.TempDir(), "none")); code != 2 {
			t.Errorf("exit code %d, %v; expected 2", code, err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		c := place(t)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := c.scansUntil(t, cancel, control.ScanRun{ID: 1})
		fresh := command{socket: c.socket, getenv: c.getenv, out: new(strings.Builder)}
		if err := fresh.execute(ctx, []string{"scan", t.TempDir()}); exitCode(err) != 2 || stopped.Load() != 1 {
			t.Errorf("%v, asked to stop %d times; expected exit code 2, and once", err, stopped.Load())
		}
	})
}

func TestDetections(t *testing.T) {
	c := place(t)
	log, err := monitor.OpenLog(c.detections, monitor.MinLogCap)
	if err != nil {
		t.Fatal(err)
	}
	e := monitor.Event{
		Kind: monitor.Detection, Time: time.Unix(1748779200, 0), Name: "Eicar", File: monitor.File{Path: "/tmp/x"},
		Process: &monitor.Process{PID: 7, Comm: "cp"}, Found: monitor.Found{Cause: monitor.FileWrite},
	}
	if err := log.Append(&e); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if out, code, err := c.call(t, "detections"); code != 0 || !strings.Contains(out, "cp: Eicar in /tmp/x, scanned after write; left alone") {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	if out, code, err := c.call(t, "detections", "-o", "json"); code != 0 || !strings.Contains(out, `"type_uid":200401`) {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

// TestScanOfWhatIsNotThere names all that is not there, before the daemon, which is not there either, is asked.
func TestScanOfWhatIsNotThere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may scan")
	}
	c := place(t)
	_, code, err := c.call(t, "scan", t.TempDir(), "/nonexistent/a", "/nonexistent/b")
	if code != 2 || !strings.Contains(err.Error(), "/nonexistent/a: no such") || !strings.Contains(err.Error(), "/nonexistent/b: no such") {
		t.Errorf("exit code %d, %v", code, err)
	}
}
