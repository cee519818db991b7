package connector

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

const daemonEnv = "AMP_CONNECTOR_TEST_DAEMON"

func init() { liveRoles["daemon"] = playDaemon }

// playDaemon is a daemon in a process of its own, that writes its ledger as often as it can once its source is proved. It says how far it is.
func playDaemon(t *testing.T) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // whoever started it is gone
	}()
	l := newLive(t, os.Getenv(daemonEnv))
	fmt.Println("begun 0")
	l.start()
	fmt.Println("ready 0")
	l.until("the first canary", func(s *control.Status) bool { return s.Canary != nil && s.Canary.OK })
	fmt.Println("proved 0")
	for i := 0; ; i++ {
		l.set(func(l *live) { l.denied = !l.denied })
		l.ask(control.Evaluate)
		if i == 5 {
			fmt.Println("writing 0")
		}
	}
}

// Whenever the daemon is killed, it leaves files that the next one can read, and nothing in the kernel.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	moments := []struct {
		word  string
		later time.Duration
		storm bool
	}{
		{"begun", 20 * time.Millisecond, false},
		{"begun", 300 * time.Millisecond, false}, // among the programs, where nothing slows it down
		{"ready", 0, false},                      // the canary is on its way
		{"proved", 0, false},
		{"writing", 7 * time.Millisecond, true},
	}
	whole := 0 // programs of a daemon that was proved
	for _, m := range moments {
		programs := killedDaemon(t, dir, m.word, m.later, m.storm)
		within(t, "the end of the killed daemon's programs", func() bool { return len(alive(t, programs)) == 0 })
		s, err := fault.ReadLedger(filepath.Join(dir, "faults.json"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("killed at %s: the ledger: %v", m.word, err)
		}
		torn := tornLines(t, filepath.Join(dir, "events.jsonl"))
		t.Logf("killed %v after %s: %d programs gone, %d faults in the ledger, %d torn lines", m.later, m.word, len(programs), len(s.Findings), torn)
		if m.word == "proved" {
			whole = len(programs)
		}
	}
	l := newLive(t, dir)
	l.start()
	status := l.until("the canary of the next daemon", func(s *control.Status) bool { return s.Canary != nil && s.Canary.OK })
	if status.Mode != control.Normal || status.Ledger.Damage != "" || status.Ledger.Error != "" {
		t.Errorf("mode %s, ledger %+v", status.Mode, status.Ledger)
	}
	if now := len(named(t, numbersOf(os.Getpid(), "prog_id"))); now != whole || whole == 0 {
		t.Errorf("%d programs, one of the killed had %d", now, whole)
	}
	last := l.mark()
	within(t, "an event in the log", func() bool { return strings.Contains(logOf(t, l), last) })
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		switch f.Name() {
		case "pid", "sock", "faults.json", "faults.json.new", "faults.json.lock", "events.jsonl", "events.jsonl.1", "detections.jsonl":
		default:
			t.Errorf("%s was left", f.Name())
		}
	}
}

// killedDaemon runs a daemon until it says a word, and a little longer, kills it, and returns its programs.
func killedDaemon(t *testing.T, dir, word string, later time.Duration, storm bool) map[uint32]bool {
	t.Helper()
	cmd := role(t, "daemon", fmt.Sprint(daemonEnv, "=", dir))
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var storming sync.WaitGroup
	over := make(chan struct{})
	if storm {
		storming.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					exec.Command("/bin/true", "storm").Run()
				}
			}
		})
	}
	said(t, bufio.NewScanner(out), word)
	time.Sleep(later)
	unix.Kill(cmd.Process.Pid, unix.SIGSTOP) // its programs hold still while they are counted
	programs := named(t, numbersOf(cmd.Process.Pid, "prog_id"))
	cmd.Process.Kill()
	cmd.Wait()
	close(over)
	storming.Wait()
	return programs
}

// named are those of the programs that are called as ours are.
func named(t *testing.T, ids map[uint32]bool) map[uint32]bool {
	t.Helper()
	ours := map[uint32]bool{}
	for id := range alive(t, ids) {
		p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
		if err != nil {
			continue
		}
		if info, err := p.Info(); err == nil && strings.HasPrefix(info.Name, "amp_") {
			ours[id] = true
		}
		p.Close()
	}
	return ours
}

// alive are those of the programs that the kernel still has.
func alive(t *testing.T, ids map[uint32]bool) map[uint32]bool {
	t.Helper()
	all := map[uint32]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if id = next; ids[uint32(id)] {
			all[uint32(id)] = true
		}
	}
}

// tornLines counts the lines of a log that are none. Only the last one that each of the killed wrote may be.
func tornLines(t *testing.T, path string) (torn int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if _, err := monitor.ParseLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			torn++
		}
	}
	if torn > 5 {
		t.Errorf("%d lines are torn", torn)
	}
	return torn
}
