package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

const patience = actions.Patience

// watch is a source that runs, and the events that it gave.
type watch struct {
	*source
	*actions.Watch
}

// startWatch starts a source for one test, which sees the processes' execs and exits.
func startWatch(tb testing.TB, o options) *watch {
	tb.Helper()
	needsBPF(tb)
	w, err := newWatch(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.end(); err != nil {
			tb.Error(err)
		}
	})
	if err := w.Set(monitor.Settings{Kinds: monitor.KindsOf(monitor.Exec, monitor.Exit)}); err != nil {
		tb.Fatal(err)
	}
	return w
}

// processes are the settings of a source on a host whose policy asks for nothing else.
var processes = monitor.Settings{Kinds: monitor.ProcessKinds}

func newWatch(ctx context.Context, o options) (*watch, error) {
	if o.name == "" {
		o.name = monitor.EBPFKernelBTF
	}
	s, err := open(ctx, processes, o)
	if err != nil {
		return nil, err
	}
	w := &watch{s, actions.NewWatch(s)}
	w.ByCalls, w.Blind = s.kernel.set == tracepointSet, w.blind
	w.Start()
	return w, nil
}

func (w *watch) end() error { return errors.Join(w.End(), w.Close()) }

// run runs a child to its end and returns its exec and its exit.
func (w *watch) run(t *testing.T, task string, change func(*command)) (execed, exited monitor.Event) {
	t.Helper()
	cmd := newCommand(change).cmd(task)
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	got := w.Wait(t, cmd.Process.Pid, 2)
	if len(got) != 2 || got[0].Kind != monitor.Exec || got[1].Kind != monitor.Exit {
		t.Fatalf("got %+v, expected an exec and an exit", got)
	}
	return got[0], got[1]
}

func TestExecAndExit(t *testing.T) {
	w := startWatch(t, options{})
	before := time.Now()
	execed, exited := w.run(t, "exit", nil)
	after := time.Now()

	want := monitor.Event{
		Kind: monitor.Exec, File: monitor.File{Path: program}, Args: []string{program},
		Process: &monitor.Process{PPID: uint32(os.Getpid()), UID: uint32(os.Getuid()), EUID: uint32(os.Geteuid()), Comm: "program", Parent: ownComm(t)},
	}
	exe, err := executableAt(program)
	if err != nil {
		t.Fatal(err)
	}
	file := monitor.File{Path: program, Device: statDevice(exe.Device), Inode: exe.Inode}
	want.File, want.Process.Exe = file, file
	want.Process.Directory, want.Process.Args, want.Process.AUID = programDir, []string{program}, ownLoginUID(t)
	opts := cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".Time" || name == ".Start" || name == ".StartBoot" || name == ".PID" || name == ".Ancestors" || name == ".Cgroup" || name == ".Label"
	}, cmp.Ignore())
	if diff := cmp.Diff(want, execed, opts, actions.SameEvents); diff != "" {
		t.Error(diff)
	}
	want.Kind, want.File, want.Args, want.ExitCode = monitor.Exit, monitor.File{}, nil, 3
	if diff := cmp.Diff(want, exited, opts, actions.SameEvents); diff != "" {
		t.Error(diff)
	}
	if a, b := execed.Process, exited.Process; a.StartBoot != b.StartBoot || !cmp.Equal(a.Ancestors, b.Ancestors) || a.Cgroup != b.Cgroup {
		t.Errorf("exec by %+v, exit by %+v, expected the same", a, b)
	}
	if a := execed.Process.Ancestors; len(a) == 0 || a[0].PID != uint32(os.Getpid()) || a[0].StartBoot == 0 || a[0].Exe != self(t) {
		t.Errorf("ancestors are %+v, expected this process first", a)
	}
	// The clocks are read one after the other, and the kernel's boot clock may be coarse.
	const slack = 20 * time.Millisecond
	times := []time.Time{before.Add(-slack), execed.Process.Start, execed.Time, exited.Time, after.Add(slack)}
	if !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Errorf("times are out of order: %v", times)
	}
}

// ownLoginUID reads /proc/self/loginuid, which only kernels with CONFIG_AUDIT have.
func ownLoginUID(t *testing.T) uint32 {
	b, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		return monitor.Unset
	}
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func ownComm(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

func TestExecArgs(t *testing.T) {
	w := startWatch(t, options{})
	many := make([]string, 200)
	for i := range many {
		many[i] = strings.Repeat("x", i%7)
	}
	exact := []string{strings.Repeat("a", 2000), strings.Repeat("b", 4096-2001-1)}
	for _, tt := range []struct {
		name      string
		args      []string
		want      []string
		truncated bool
	}{
		{"empty and spaces", []string{"", " ", "a b", ""}, nil, false},
		{"unicode", []string{"名前", "é\u0301", "\xff\xfe", "\n\t\x1b"}, nil, false},
		{"200 of them", many, nil, false},
		{"exactly 4 KiB", exact, nil, false},
		{"one byte over", append(slices.Clone(exact), ""), exact, true},
		{"10 KiB", []string{"x", strings.Repeat("y", 10_000)}, []string{"x", strings.Repeat("y", 4094)}, true},
		{"5000 empty ones", make([]string, 5000), make([]string, 4096), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			execed, _ := w.run(t, "exit", func(c *command) { c.args = tt.args })
			if tt.want == nil {
				tt.want = tt.args
			}
			if diff := cmp.Diff(tt.want, execed.Args); diff != "" {
				t.Error(diff)
			}
			if execed.ArgsTruncated != tt.truncated {
				t.Errorf("truncated %v, want %v", execed.ArgsTruncated, tt.truncated)
			}
		})
	}
}

func TestExecByNobody(t *testing.T) {
	needsRoot(t)
	execed, exited := startWatch(t, options{}).run(t, "exit", func(c *command) { c.uid = nobody })
	for _, e := range []monitor.Event{execed, exited} {
		if e.Process.UID != nobody || e.Process.EUID != nobody {
			t.Errorf("uid %d, euid %d, want %d", e.Process.UID, e.Process.EUID, nobody)
		}
	}
}

// A set-user-ID program runs with another effective user.
func TestExecSetUID(t *testing.T) {
	needsRoot(t)
	path := filepath.Join(programDir, "setuid")
	if err := errors.Join(os.Link(program, path), unix.Chmod(path, 0o4755)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(program, 0o755)
	if st := (unix.Statfs_t{}); unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOSUID != 0 {
		t.Skipf("needs a file system without nosuid at %s", programDir)
	}
	execed, _ := startWatch(t, options{}).run(t, "exit", func(c *command) { c.path, c.uid = path, nobody })
	if p := execed.Process; p.UID != nobody || p.EUID != 0 {
		t.Errorf("uid %d, euid %d, want %d and 0", p.UID, p.EUID, nobody)
	}
}

func TestExitBySignal(t *testing.T) {
	_, exited := startWatch(t, options{}).run(t, "abort", nil)
	if exited.Signal != int(unix.SIGKILL) || exited.ExitCode != -1 {
		t.Errorf("signal %d, exit code %d, want 9 and -1", exited.Signal, exited.ExitCode)
	}
}

// A process of many threads ends once, however they race.
func TestExitOfThreads(t *testing.T) {
	w := startWatch(t, options{})
	var pids []int
	for range 20 {
		cmd := newCommand(nil).cmd("threads")
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 5 {
			t.Fatalf("exit code %d, want 5", code)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	w.run(t, "exit", nil) // all that came before it is there
	for _, pid := range pids {
		got := w.Of(pid)
		if len(got) != 2 || got[1].ExitCode != 5 {
			t.Errorf("process %d: %+v, expected an exec and an exit with 5", pid, got)
		}
	}
}

// running starts a child that lives until the test is over, and returns its first n events.
func (w *watch) running(t *testing.T, task string, n int, change func(*command)) []monitor.Event {
	t.Helper()
	cmd := newCommand(change).cmd(task)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	got := w.Wait(t, cmd.Process.Pid, n)
	in.(io.Closer).Close()
	cmd.Wait()
	return got
}

func TestExecPath(t *testing.T) {
	w := startWatch(t, options{})
	script := filepath.Join(programDir, "script")
	if err := os.WriteFile(script, []byte("#!"+program+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, want string
	}{
		{"absolute", program, program},
		{"relative", "./program", program},
		{"relative, odd", "../" + filepath.Base(programDir) + "//program", program},
		{"script", script, script},
		{"relative script", "./script", script},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.running(t, "wait", 1, func(c *command) { c.path = tt.path })
			if got[0].File.Path != tt.want {
				t.Errorf("got %s, want %s", got[0].File.Path, tt.want)
			}
		})
	}
	for task, want := range map[string]string{"fexecve": program, "memory": "/memfd:copy (deleted)"} {
		t.Run(task, func(t *testing.T) {
			got := w.running(t, task, 2, nil)
			if got[1].File.Path != want || got[1].Process.Exe.Path != want || !slices.Equal(got[1].Args, []string{"by-descriptor"}) {
				t.Errorf("got %s by %s %q, want %s", got[1].File.Path, got[1].Process.Exe.Path, got[1].Args, want)
			}
		})
	}
}

// The programs load where the kernel shows no BTF, with layouts from elsewhere.
func TestOpenWithGivenTypes(t *testing.T) {
	needsRoot(t)
	needsBPF(t)
	if _, err := os.Stat(KernelBTFPath); err != nil {
		t.Skipf("needs the kernel's BTF as layouts to give: %v", err)
	}
	child(t, "hidden-btf", func(c *command) { c.flags = unix.CLONE_NEWNS })
}

func TestOpenRefused(t *testing.T) {
	s, err := Open(cancelled(), processes)
	if !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestVerifierErrorIsBrief(t *testing.T) {
	log := slices.Repeat([]string{"123: (bf) r1 = r2 " + strings.Repeat("; R1=inv", 20)}, 5000)
	err := brief(&ebpf.VerifierError{Cause: unix.EACCES, Log: append(log, "R1 invalid mem access 'inv'")})
	if !errors.Is(err, unix.EACCES) || !strings.HasSuffix(err.Error(), "R1 invalid mem access 'inv'") || len(err.Error()) > 1000 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}

// TestReaderSleepsWhileMapsAreMade: settings that want more than those before have more maps made, beside the reader.
func TestReaderSleepsWhileMapsAreMade(t *testing.T) {
	needsBPF(t)
	s, err := open(t.Context(), processes, options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asked := make(chan error, 1)
	enough := make(chan struct{})
	go func() {
		var err error
		for err == nil {
			select {
			case <-enough:
				asked <- nil
				return
			default:
				err = s.askToBeWoken()
			}
		}
		asked <- err
	}()
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		s.mu.Lock()
		for range 1000 { // as makeMaps does, more often
			s.kernel.maps["more"] = nil
			delete(s.kernel.maps, "more")
		}
		s.mu.Unlock()
	}
	close(enough)
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

func TestRunEndsWithContextAndAgain(t *testing.T) {
	needsBPF(t)
	s, err := Open(t.Context(), processes)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := s.Run(ctx, func(*monitor.Event) {}); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

func TestRunEndsWithClose(t *testing.T) {
	needsBPF(t)
	s, err := Open(t.Context(), processes)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(t.Context(), func(*monitor.Event) {}) }()
	if err := errors.Join(s.Close(), s.Close(), <-done); err != nil {
		t.Error(err)
	}
	if _, err := s.Counts(); err != nil {
		t.Errorf("Counts after Close: %v", err)
	}
	if err := s.Run(t.Context(), func(*monitor.Event) {}); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
}

// An event after a quiet time comes at once, not at the reader's next look.
func TestLatencyAfterQuiet(t *testing.T) {
	w := startWatch(t, options{})
	var best time.Duration = time.Hour
	for range 10 {
		time.Sleep(3 * pollInterval) // the quiet time itself is what is tested
		cmd := newCommand(nil).cmd("exit")
		start := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Wait(t, cmd.Process.Pid, 1)
		best = min(best, time.Since(start))
		cmd.Wait()
	}
	if best > patience/30 {
		t.Errorf("the fastest of ten took %v", best)
	}
	t.Logf("fastest of ten: %v", best)
}

// burst makes n short processes, several at a time.
func burst(tb testing.TB, n int) {
	tb.Helper()
	path := "/bin/true"
	if _, err := os.Stat(path); err != nil {
		path = program
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range n / 4 {
				attr := &syscall.ProcAttr{Env: []string{childEnv + "=exit"}}
				pid, err := syscall.ForkExec(path, []string{"burst"}, attr)
				if err != nil {
					tb.Error(err)
					return
				}
				syscall.Wait4(pid, nil, 0, nil)
			}
		})
	}
	all.Wait()
}

// bursts counts what was seen of a burst.
func (w *watch) bursts() (execs, exits int) {
	for _, events := range w.All() {
		if e := events[0]; e.Kind == monitor.Exec && slices.Equal(e.Args, []string{"burst"}) {
			execs++
			for _, e := range events[1:] {
				if e.Kind == monitor.Exit {
					exits++
				}
			}
		}
	}
	return execs, exits
}

// why tells losses apart.
func (w *watch) why() string {
	kernel, _ := w.kernel.kernelCounts()
	s := fmt.Sprintf("exec %v, exit %v", kernel[monitor.Exec], kernel[monitor.Exit])
	for name, p := range w.kernel.programs {
		if st, err := p.Stats(); err == nil {
			s += fmt.Sprintf(", %s was running already: %d", name, st.RecursionMisses)
		}
	}
	return s
}

// Each event comes once, also where hooks have two programs: that the kernel of this host may not need them is no matter.
func TestBurstIsSeen(t *testing.T) {
	for _, second := range []bool{false, true} {
		t.Run(fmt.Sprintf("second=%t", second), func(t *testing.T) {
			w := startWatch(t, options{second: second})
			n := 3000
			if testing.Short() {
				n = 500
			}
			burst(t, n)
			w.run(t, "exit", nil) // all that came before it is there
			counts, err := w.Counts()
			if err != nil {
				t.Fatal(err)
			}
			execs, exits := w.bursts()
			t.Logf("%d execs and %d exits of %d; %+v (%s)", execs, exits, n, counts.Total(), w.why())
			if execs != n || exits != n || counts.Total().Lost() != 0 {
				t.Errorf("%d execs and %d exits of %d, %d lost", execs, exits, n, counts.Total().Lost())
			}
		})
	}
}

// With a small ring and a reader that does not read, every event is either handled or counted.
func TestLossIsCounted(t *testing.T) {
	needsBPF(t)
	s, err := open(t.Context(), processes, options{name: monitor.EBPFKernelBTF, ring: uint32(os.Getpagesize())})
	if err != nil {
		t.Fatal(err)
	}
	w := actions.NewWatch(s)
	const n = 1000
	burst(t, n)
	for h := range s.kernel.hooks() { // no more events: the counts hold still
		s.kernel.detach(h)
	}
	if err := s.Run(cancelled(), w.Keep); err != nil {
		t.Fatal(err)
	}
	counts, err := s.Counts()
	if err != nil {
		t.Fatal(err)
	}
	loss := counts.Total()
	t.Logf("%+v", loss)
	if loss.Lost() == 0 || loss.Handled == 0 || loss.Shed == 0 {
		t.Errorf("%+v, expected some of each", loss)
	}
	if total := loss.Handled + loss.Lost() + loss.Shed; total < 2*n {
		t.Errorf("%d handled, %d lost and %d shed are %d, expected at least %d", loss.Handled, loss.Lost(), loss.Shed, total, 2*n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if again, err := s.Counts(); err != nil || again.Total() != loss {
		t.Errorf("after Close %+v, %v, want %+v", again, err, loss)
	}
}

// BenchmarkExec gives the programs' own time for each event, as the kernel counts it (kernel.bpf_stats_enabled).
func BenchmarkExec(b *testing.B) {
	w := startWatch(b, options{})
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skipf("needs statistics of eBPF programs: %v", err)
	}
	defer stats.Close()
	burst(b, max(b.N, 4))
	for name, p := range w.kernel.programs {
		st, err := p.Stats()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(st.Runtime.Nanoseconds())/float64(max(st.RunCount, 1)), "ns/"+strings.TrimPrefix(name, "amp_"))
	}
}
