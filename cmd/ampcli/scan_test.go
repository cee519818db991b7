package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	l, err := control.Listen(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done, n, stopped := make(chan error), 0, new(atomic.Int32)
	server := control.Server{Log: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, r control.Request) control.Answer {
		if r.Verb == control.StopScan {
			stopped.Add(1)
		}
		run := runs[min(n, len(runs)-1)]
		if n++; n > len(runs) {
			enough()
		}
		return control.Answer{Scan: &run}
	}}
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
	return stopped
}

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
