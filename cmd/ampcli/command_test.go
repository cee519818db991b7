package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// place is a folder with a socket, a ledger and an event log of the test's own.
func place(t *testing.T) *command {
	dir := t.TempDir()
	return &command{
		socket: filepath.Join(dir, "sock"), ledger: filepath.Join(dir, "faults.json"), events: filepath.Join(dir, "events.jsonl"),
		detections: filepath.Join(dir, "detections.jsonl"),
		getenv:     func(string) string { return "" },
	}
}

// call runs one command line and returns what it wrote, its exit code, and its error.
func (c *command) call(t *testing.T, args ...string) (string, int, error) {
	t.Helper()
	var out bytes.Buffer
	fresh := command{socket: c.socket, rootDir: c.rootDir, ledger: c.ledger, events: c.events, detections: c.detections, getenv: c.getenv, engine: c.engine, out: &out}
	err := fresh.execute(t.Context(), args)
	code := 0
	if err != nil {
		code = exitCode(err)
	}
	return out.String(), code, err
}

// daemon answers on the socket with a status.
func (c *command) daemon(t *testing.T, s control.Status) {
	t.Helper()
	c.handles(t, func(control.Request) control.Answer { return control.Answer{Status: &s} })
}

func raised(t *testing.T, ledger string) fault.Snapshot {
	t.Helper()
	l, err := fault.OpenLedger(ledger)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Settle(time.Now(), []fault.Finding{{
		ID: 19, State: fault.Raised, Severity: fault.Critical, Reason: fault.Text{EN: "denied", JA: "拒否"},
		Evidence: []fault.Evidence{{What: "rule", Read: "no", From: "kernel", Expected: "yes"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return l.Snapshot()
}

func TestStatusOfARunningDaemon(t *testing.T) {
	c := place(t)
	snapshot := raised(t, c.ledger)
	c.daemon(t, control.Status{Running: true, Version: "9", PID: 7, Mode: control.Normal, Scan: control.Scan{State: control.ScanReady, Detail: "ready"}, Source: control.Source{Name: "ebpf"}, Faults: control.Faults(snapshot.Findings)})
	out, code, err := c.call(t, "status")
	for _, want := range []string{"Status:         Running (pid 7, version 9", "Mode:           Normal", "Faults:         1 Critical", "Fault IDs:      19", "ID 19 - Critical: SELinux policy missing or disabled. denied", "amp-remediate 19"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != 0 || strings.Contains(out, "rule") {
		t.Errorf("exit code %d, %v; expected 0 and no evidence\n%s", code, err, out)
	}
	if out, _, _ := c.call(t, "status", "-v"); !strings.Contains(out, "rule: read no (kernel), expected yes") {
		t.Errorf("no evidence in\n%s", out)
	}
	if out, _, _ := c.call(t, "status", "--lang", "ja"); !strings.Contains(out, "ID 19 - 重大: ") {
		t.Errorf("not in Japanese:\n%s", out)
	}
	out, code, _ = c.call(t, "status", "-o", "json")
	var s control.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || !s.Running || len(s.Raised()) != 1 {
		t.Errorf("%v, exit code %d, %s", err, code, out)
	}
	if out, code, _ := c.call(t, "faults"); code != 0 || !strings.HasPrefix(out, "ID 19 - Critical: ") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

func TestMetrics(t *testing.T) {
	c := place(t)
	if out, code, err := c.call(t, "metrics"); code != 1 || !c.silent(err) || !strings.Contains(out, "\namp_up 0\n") {
		t.Errorf("no daemon: exit code %d, %v\n%s", code, err, out)
	}
	c.daemon(t, control.Status{Running: true, Mode: control.Normal})
	if out, code, err := c.call(t, "metrics"); code != 0 || !strings.Contains(out, "\namp_up 1\n") {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

func TestStatusWithoutADaemonComesFromTheLedger(t *testing.T) {
	c := place(t)
	raised(t, c.ledger)
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"faults"}} {
		out, code, err := c.call(t, args...)
		if code != 1 || !c.silent(err) || !strings.Contains(out, "SELinux policy missing or disabled") {
			t.Errorf("%v: exit code %d, %v\n%s", args, code, err, out)
		}
	}
	if out, code, err := c.call(t, "faults", "--history"); code != 0 || !strings.Contains(out, "ID 19 raised: ") {
		t.Errorf("exit code %d, %v, %s", code, err, out)
	}
	os.WriteFile(c.ledger, []byte("torn"), 0o644)
	if out, code, _ := c.call(t, "status"); code != 1 || !strings.Contains(out, c.ledger+": the fault ledger is damaged") || !strings.Contains(out, "Faults:         Not known") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if _, code, err := c.call(t, "faults", "--history"); code != 1 || c.silent(err) {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestUsage(t *testing.T) {
	c := place(t)
	for _, args := range [][]string{
		{"bogus"}, {"status", "x"}, {"status", "--nope"}, {"status", "-o", "xml"}, {"status", "--lang", "de"}, {"events", "-f", "-n", "3"}, {"events", "-n", "-1"}, {"events", "-n", "x"},
		{"scan", ""}, {"policy", "check", ""}, {"definitions", "import"}, {"definitions", "verify", ""}, {"quarantine", "restore", "x", "--to", ""}, {"exclusions", "add", "path"},
	} {
		if _, code, err := c.call(t, args...); code != 2 {
			t.Errorf("%v: exit code %d, %v; expected 2", args, code, err)
		}
	}
	if out, code, _ := c.call(t, "version"); code != 0 || out != "ampcli devel\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
	if out, code, _ := c.call(t, "--help"); code != 0 || !strings.Contains(out, "Exit codes:") {
		t.Errorf("exit code %d, %q", code, out)
	}
}

// TestHelpThatIsCutShort: help that could not be written is an error, as all other output.
func TestHelpThatIsCutShort(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c := place(t)
	c.out = full
	if err := c.execute(t.Context(), []string{"--help"}); !errors.Is(err, syscall.ENOSPC) || exitCode(err) != 1 {
		t.Errorf("%v", err)
	}
}

// write puts events into the log.
func (c *command) write(t *testing.T, events ...*monitor.Event) {
	t.Helper()
	l, err := monitor.OpenLog(c.events, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func exec(pid uint32) *monitor.Event {
	return &monitor.Event{
		Kind: monitor.Exec, Time: time.Unix(1748779200, 0), File: monitor.File{Path: "/bin/echo"}, Args: []string{"echo", "two words", "\x1b[2J"},
		Process: &monitor.Process{PID: pid, PPID: 42, UID: 1000, Comm: "echo", Parent: "bash", Start: time.Unix(1748779200, 0)},
	}
}

// TestGroups: what is none of a group's commands is an error, and nothing is the question which there are.
func TestGroups(t *testing.T) {
	c := place(t)
	for _, group := range []string{"definitions", "exclusions", "policy", "quarantine"} {
		if out, code, err := c.call(t, group, "odd"); code != 2 || out != "" || !strings.Contains(err.Error(), `unknown command "odd" for "ampcli `+group+`"`) {
			t.Errorf("%s odd: exit code %d, %q, %v", group, code, out, err)
		}
		if out, code, err := c.call(t, group); code != 0 || !strings.Contains(out, "Available Commands:") {
			t.Errorf("%s: exit code %d, %q, %v", group, code, out, err)
		}
	}
}

// TestErrorsInJapanese: an error says in Japanese too what is wrong, and its exit code is the same.
func TestErrorsInJapanese(t *testing.T) {
	c := place(t)
	c.onRoot(t)
	c.daemon(t, control.Status{Running: true})
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"odd", 2, "コマンドラインの指定に誤りがあります: unknown command"},
		{"status odd", 2, "ampcli --help を参照してください"},
		{"status --lang fr", 2, `--lang "fr": en または ja を指定してください`},
		{"status -o xml", 2, `--output "xml": text または json を指定してください`},
		{"events -f -n 3", 2, "同時に指定できません"},
		{"events -n -1", 2, "--lines -1: 0 以上を指定してください"},
		{"events -n x", 2, `--lines "x": 整数を指定してください`},
		{"exclusions add path", 2, "引数が 1 個指定されています。書式: ampcli exclusions add"},
		{"top --window 2m", 2, `--window "2m": 1m、5m または 15m を指定してください`},
		{"exclusions add path srv", 2, `コマンドラインの指定に誤りがあります: パス "srv"`},
		{"policy check /nonexistent", 2, "使用できません: open /nonexistent"},
		{"scan /nonexistent", map[bool]int{true: 2, false: 4}[os.Geteuid() == 0], "lstat /nonexistent"},
	} {
		_, code, err := c.call(t, strings.Fields(tt.args)...)
		if err == nil || code != tt.code || os.Geteuid() == 0 && !strings.Contains(fault.ErrorText(err).In(fault.Japanese), tt.says) {
			t.Errorf("%s: exit code %d, %v; expected %d, %q", tt.args, code, fault.ErrorText(err), tt.code, tt.says)
		}
	}
}

func TestEvents(t *testing.T) {
	c := place(t)
	if out, code, err := c.call(t, "events"); code != 0 || out != "" {
		t.Errorf("no log yet: exit code %d, %v, %q", code, err, out)
	}
	var events []*monitor.Event
	for pid := range uint32(30) {
		events = append(events, exec(pid+1))
	}
	events = append(events, &monitor.Event{Kind: monitor.Exit, Time: time.Unix(1748779201, 0), Signal: 9, ExitCode: -1, Process: &monitor.Process{PID: 30, PPID: 42, UID: 1000, EUID: 0, Comm: "echo", Parent: "bash"}})
	c.write(t, events...)
	for _, want := range []struct {
		args        []string
		lines       int
		first, last string
	}{
		{[]string{"events"}, 20, "pid 12 ", "pid 30 "},
		{[]string{"events", "-n", "2"}, 2, "exec pid 30 ", "exit pid 30 "},
		{[]string{"events", "-n", "100"}, 31, "pid 1 ", "signal 9"},
		{[]string{"events", "-n", "0"}, 31, "pid 1 ", "signal 9"},
		{[]string{"events", "-n", "1", "-o", "json"}, 1, `"class_uid":1007`, `"signal":9`},
	} {
		out, code, err := c.call(t, want.args...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if code != 0 || len(lines) != want.lines || !strings.Contains(lines[0], want.first) || !strings.Contains(lines[len(lines)-1], want.last) {
			t.Errorf("%v: exit code %d, %v\n%s", want.args, code, err, out)
		}
	}
	out, _, _ := c.call(t, "events", "-n", "2")
	if !strings.Contains(out, `uid 1000 (effective 0) parent 42 (bash) /bin/echo: echo "two words" "\x1b[2J"`) {
		t.Errorf("%s", out)
	}
}

// lines hands out what is written to it line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestFollowShowsWhatComes(t *testing.T) {
	c := place(t)
	c.write(t, exec(1))
	ctx, stop := context.WithCancel(t.Context())
	shown := make(lines, 100)
	c.out = shown
	done := make(chan error)
	go func() { done <- c.execute(ctx, []string{"events", "-f"}) }()
	// When following has begun cannot be seen from outside: events are written until one is shown.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for pid := uint32(2); ; pid++ {
		select {
		case line := <-shown:
			if strings.Contains(line, "pid 1 ") {
				t.Errorf("an old event was shown: %s", line)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return
		case <-tick.C:
			c.write(t, exec(pid))
		case <-t.Context().Done():
			t.Fatal("nothing was shown")
		}
	}
}

func TestLineThatIsNoEventIsShownAsItStands(t *testing.T) {
	if got := eventLine([]byte("torn\x1b{")); got != `? "torn\x1b{"` {
		t.Error(got)
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		errNotRunning: 1, fmt.Errorf("%w: x", errUsage): 2, &os.PathError{Err: os.ErrPermission}: 4, os.ErrNotExist: 1,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: %d, expected %d", err, got, want)
		}
	}
}
