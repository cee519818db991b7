package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// script puts a tool into a scratch root that needs no account files.
func script(t *testing.T, text string) scratch {
	t.Helper()
	s := scratch{t.TempDir()}
	s.write(t, "/usr/sbin/tool", "#!/bin/sh\n"+text, 0o755)
	return s
}

// fifo makes a named pipe by which a tool and its test meet.
func (s scratch) fifo(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A tool gets nothing to read, one pipe for what it says, no terminal, and no other descriptor: neither the lock nor our end of the pipe.
func TestToolInheritsNothing(t *testing.T) {
	s := script(t, `
for fd in /proc/$$/fd/*; do [ ${fd##*/} -gt 9 ] || { readlink $fd > /dev/null && printf "%s " ${fd##*/} && readlink $fd; }; done
(true < /dev/tty) 2> /dev/null && echo a terminal
exit 0
`)
	h := s.host()
	lock, err := Acquire(t.Context(), h, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	for name, run := range map[string]func(context.Context, string, ...string) ([]byte, error){"Run": h.Run, "Ask": h.Ask} {
		out, err := run(t.Context(), "tool")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			if fields := strings.Fields(line); len(fields) == 2 {
				to, _, _ := strings.Cut(fields[1], ":")
				got = append(got, fields[0]+" "+to)
			}
		}
		if want := "0 /dev/null, 1 pipe, 2 pipe"; strings.Join(got, ", ") != want || strings.Contains(string(out), "a terminal") {
			t.Errorf("%s: %s; want %s", name, out, want)
		}
	}
}

// One program may be many tools, which the name tells apart that it is called by: sh(1) is a link on most hosts, env(1) on those whose tools are one program.
func TestToolKeepsItsName(t *testing.T) {
	fi, err := os.Lstat("/usr/bin/sh")
	if err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Skip("/usr/bin/sh is no link here")
	}
	if got, err := NewHost(host.At("/"), nil).tool("sh"); got != "/usr/bin/sh" || err != nil {
		t.Errorf("%q, %v; expected /usr/bin/sh", got, err)
	}
}

// An answer is what a tool says on standard output. An error has what it complained of, and what it said where it complained of nothing.
func TestToolAnswer(t *testing.T) {
	s := script(t, `case $1 in
both) echo err >&2; echo out;;
fail) echo why >&2; echo out; exit 9;;
quiet) echo out; exit 9;;
much) head -c 200000 /dev/zero >&2; echo out;;
esac
`)
	for word, why := range map[string]string{"both": "", "much": "", "fail": "tool fail: exit status 9: why", "quiet": "tool quiet: exit status 9: out"} {
		out, err := s.host().Ask(t.Context(), "tool", word)
		if string(out) != "out\n" || err == nil && why != "" || err != nil && err.Error() != why {
			t.Errorf("%s: %q, %v; want what it said and the error %q", word, out, err, why)
		}
	}
	if _, err := s.host().Ask(t.Context(), "nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a tool that is not there: %v", err)
	}
}

func TestToolOutput(t *testing.T) {
	const many = 3 * maxOutput
	s := script(t, fmt.Sprintf(`
case $1 in
both) echo out; echo err >&2;;
much) head -c %d /dev/zero | tr '\0' x; echo; echo end;;
left) (sleep 60 & echo $! > %s); echo said;;
fail) echo why >&2; exit 9;;
esac
`, many, "$2"))
	for _, row := range []struct {
		args   []string
		want   string
		length int
		status int
	}{
		{[]string{"both"}, "out\nerr\n", 8, 0},
		{[]string{"much"}, "xx\nend\n", maxOutput, 0},
		{[]string{"left", filepath.Join(s.dir, "pid")}, "said\n", 5, 0},
		{[]string{"fail"}, "why\n", 4, 9},
		{[]string{"silent"}, "", 0, 0},
	} {
		began := time.Now()
		out, err := s.host().Run(t.Context(), "tool", row.args...)
		var exit *exec.ExitError
		if (err != nil) != (row.status != 0) || errors.As(err, &exit) && exit.ExitCode() != row.status {
			t.Errorf("%s: %v, exit status %d expected", row.args, err, row.status)
		}
		if len(out) != row.length || !bytes.HasSuffix(out, []byte(row.want)) {
			t.Errorf("%s: %d bytes, %.40q at the end; want %d, %q", row.args, len(out), out[max(0, len(out)-20):], row.length, row.want)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: took %s", row.args, took)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "pid")); err == nil {
		exec.Command("kill", strings.TrimSpace(string(b))).Run()
	}
}

// What was written before the tool ended is read, however soon after.
func TestToolOutputAtTheEnd(t *testing.T) {
	for range 500 {
		o, err := newToolOutput()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.write.WriteString("said\n"); err != nil {
			t.Fatal(err)
		}
		o.collect()
		if got := string(o.end()); got != "said\n" {
			t.Fatalf("read %q", got)
		}
	}
}

// A canceled run tells the tool to end, and returns when it has ended.
func TestToolCanceled(t *testing.T) {
	s := script(t, `trap 'echo told > "$1/told"; exit 1' TERM
echo > "$1/started"
while :; do sleep 0.05; done
`)
	started := s.fifo(t, "started")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		os.ReadFile(started)
		cancel()
	}()
	if _, err := s.host().Run(ctx, "tool", s.dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "told")); err != nil {
		t.Errorf("the tool was not told, or was not waited for: %v", err)
	}
}

func init() {
	sweepPlans["tool"] = func(_ context.Context, h *Host) Plan {
		return Plan{Name: "tool", Items: []Item{{Step: &toolStep{}}}}
	}
	register(func() Step { return &toolStep{} })
}

// toolStep runs the tool of a scratch root.
type toolStep struct{ jotting }

func (s *toolStep) Kind() string                                { return "test-tool" }
func (s *toolStep) Needed(context.Context, *Host) (bool, error) { return true, nil }
func (s *toolStep) Undo(context.Context, *Host) error           { return nil }
func (s *toolStep) Apply(ctx context.Context, h *Host) error {
	_, err := h.Run(ctx, "tool", h.Root.Dir())
	return err
}

// A tool whose program is killed works on to its end, though nobody reads any more what it says; until then it keeps the lock.
func TestToolOutlivesItsProgram(t *testing.T) {
	s := script(t, `set -e
echo > "$1/started"
read line < "$1/go"
head -c 10000 /dev/zero
echo said
echo whole > "$1/whole"
`)
	started, release := s.fifo(t, "started"), s.fifo(t, "go")
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), sweepPlanEnv+"=tool", sweepRootEnv+"="+s.dir)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	program.Process.Kill()
	program.Wait()
	var locked *LockedError
	if _, err := Acquire(t.Context(), NewHost(host.At(s.dir), nil), "next", 0); !errors.As(err, &locked) || !locked.Gone {
		t.Fatalf("the lock, while the tool runs: %v", err)
	}
	if err := os.WriteFile(release, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	lock, err := Acquire(t.Context(), NewHost(host.At(s.dir), nil), "next", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if b, err := os.ReadFile(filepath.Join(s.dir, "whole")); err != nil || string(b) != "whole\n" {
		t.Errorf("the tool did not come to its end: %q, %v", b, err)
	}
}
