package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ampconnector/amp/internal/control"
)

// busyTop is a busy host.
func busyTop() *control.Top {
	kinds := []control.KindRate{{Kind: "write", Rate: 200}, {Kind: "exec", Rate: 1.25}}
	top := &control.Top{Time: time.Unix(1_790_000_000, 0), Source: "ebpf", Level: "reduced"}
	for _, minutes := range []int{1, 5, 15} {
		top.Windows = append(top.Windows, control.TopWindow{
			Minutes: minutes, Covered: 60, Events: 12000, Rate: float64(200 * minutes),
			Programs:  []control.TopProgram{{Exe: "/srv/st\x1b[31morm", Comm: "storm", UID: 0, Parent: "/bin/bash", Processes: 3, Events: 12000, Rate: 200, Kinds: kinds}},
			Processes: []control.TopProcess{{PID: 4711, UID: 4294967294, Comm: "sto rm", Events: 6000, Rate: 100, Kinds: kinds}},
			Files:     []control.TopFile{{Path: "/srv/ファイル", Events: 50, AtLeast: 50}, {Path: "/srv/b", Events: 9, AtLeast: 3}},
			Peers:     []control.TopPeer{{Address: "192.0.2.1", Port: 443, Protocol: "tcp", Flows: 7, AtLeast: 7, Bytes: 900}},
		})
	}
	return top
}

// answers makes the daemon answer all that it is asked with the same.
func (c *command) answers(t *testing.T, a control.Answer) {
	t.Helper()
	c.handles(t, func(control.Request) control.Answer { return a })
}

func TestTop(t *testing.T) {
	c := place(t)
	c.answers(t, control.Answer{Top: busyTop()})
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"top"}, []string{"200 events a second over 1m0s", "source ebpf", "load reduced", `"/srv/st\x1b[31morm", by /bin/bash: write 200, exec 1.2`, "4711  4294967294  (\"sto rm\")", "50  /srv/ファイル", "≤9  /srv/b", "-> 192.0.2.1 tcp/443"}},
		{[]string{"top", "-n", "1", "--window", "15m"}, []string{"3000 events a second"}},
		{[]string{"top", "--lang", "ja"}, []string{"1 秒あたり 200 件", "負荷 縮小", "親 /bin/bash"}},
	} {
		out, code, err := c.call(t, tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q: exit %d, %v, expected %q in\n%s", tt.args, code, err, want, out)
			}
		}
		if strings.ContainsRune(out, '\x1b') {
			t.Errorf("%q: a control sequence came through", tt.args)
		}
	}
	for args, windows := range map[string]int{"top -o json": 3, "top -o json --window 5m": 1} {
		out, _, err := c.call(t, strings.Fields(args)...)
		var top control.Top
		if err := json.Unmarshal([]byte(out), &top); err != nil || len(top.Windows) != windows || top.Windows[windows-1].Processes[0].PID != 4711 {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTopUsage(t *testing.T) {
	c := place(t)
	for args, want := range map[string]int{"top --window 2m": 2, "top -n -1": 2, "top x": 2, "top": 1} {
		out, code, err := c.call(t, strings.Fields(args)...)
		if code != want || err == nil || out != "" {
			t.Errorf("%s: exit %d, %v, %q", args, code, err, out)
		}
	}
	private := busyTop()
	private.Private = true
	c.answers(t, control.Answer{Top: private})
	if out, _, _ := c.call(t, "top"); !strings.Contains(out, "to root only") || strings.Contains(out, "/srv/b") {
		t.Errorf("not for root:\n%s", out)
	}
}

func TestClipped(t *testing.T) {
	for _, tt := range []struct {
		line    string
		columns int
		want    string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"あいう", 5, "あい"}, {"e\u0301x", 1, "e\u0301"}, {"x", 0, ""}, {"", 5, ""}} {
		if got := clipped(tt.line, tt.columns); got != tt.want {
			t.Errorf("%q in %d columns: %q, expected %q", tt.line, tt.columns, got, tt.want)
		}
	}
}

func TestLimitsForScreens(t *testing.T) {
	for rows := range 200 {
		l := limitsFor(rows)
		if lines := 2 + 8 + l.programs + l.processes + l.files + l.peers; l.programs < 0 || l.files < 0 || rows >= 10 && lines > rows {
			t.Errorf("%d rows: %+v are %d lines", rows, l, lines)
		}
	}
}

// pseudoterminal opens a pty(7) of a size.
func pseudoterminal(t *testing.T, columns, rows uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudoterminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no pseudoterminals: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestTopOnAScreen(t *testing.T) {
	c := place(t)
	c.answers(t, control.Answer{Top: busyTop()})
	for name, key := range map[string]string{"q": "q", "Ctrl-C": "\x03"} {
		master, slave := pseudoterminal(t, 40, 12)
		before, err := term.GetState(int(slave.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		shown, drawn := make(chan string, 1), make(chan bool, 64)
		go func() {
			var all []byte
			buf := make([]byte, 4096)
			for !strings.Contains(string(all), leaveScreen) {
				n, err := master.Read(buf)
				if err != nil {
					break
				}
				all = append(all, buf[:n]...)
				if strings.Contains(string(buf[:n]), clearRest) {
					drawn <- true
				}
			}
			shown <- string(all)
		}()
		done := make(chan error, 1)
		s := &screen{in: slave, out: slave, period: 20 * time.Millisecond}
		go func() {
			done <- s.show(t.Context(), func(ctx context.Context, columns, rows int) []string { return c.topScreen(ctx, 1, columns, rows) })
		}()
		<-drawn
		<-drawn
		io.WriteString(master, "x"+key)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text := <-shown
		if !strings.HasPrefix(text, enterScreen+home) || !strings.HasSuffix(text, leaveScreen) {
			t.Errorf("%s: %q", name, text)
		}
		checkFrame(t, strings.Split(text, home)[1])
		after, _ := term.GetState(int(slave.Fd()))
		if *after != *before {
			t.Errorf("%s: the terminal was left otherwise than it was", name)
		}
	}
}

// checkFrame looks at one picture: no line is longer than the window is wide, and no more of them than it is high.
func checkFrame(t *testing.T, frame string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(frame, clearRest), "\r\n")
	if len(lines) > 12 || !strings.Contains(frame, "4711") {
		t.Errorf("%d lines:\n%q", len(lines), frame)
	}
	for _, line := range lines {
		line = strings.TrimSuffix(line, clearLine)
		if clipped(line, 40) != line || strings.ContainsRune(line, '\x1b') {
			t.Errorf("line %q", line)
		}
	}
}

func TestScreenSaysThatTheDaemonDoesNotAnswer(t *testing.T) {
	c := place(t)
	lines := c.topScreen(t.Context(), 1, 200, 24)
	if len(lines) != 1 || !strings.Contains(lines[0], "the daemon is not running") {
		t.Errorf("%q", lines)
	}
}

func TestSmallScreens(t *testing.T) {
	c := place(t)
	c.answers(t, control.Answer{Top: busyTop()})
	for rows := 1; rows < 12; rows++ {
		if lines := c.topScreen(t.Context(), 1, 20, rows); len(lines) > rows || len(lines) == 0 {
			t.Errorf("%d lines on %d rows", len(lines), rows)
		}
	}
}
