package connector

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// perl is the program that can call the kernel as it likes without threads of its own.
func perl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("perl")
	if err != nil {
		t.Skipf("needs perl: %v", err)
	}
	return path
}

// reborn makes a process with the pid that it is given (clone3(2) with set_tid), which makes a file, executes true with a word, and ends.
const reborn = `
my ($pid, $file, $word) = @ARGV;
my $tid = pack("i", $pid);
my $args = pack("Q11", 0, 0, 0, 0, 17, 0, 0, 0, unpack("Q", pack("P", $tid)), 1, 0);
my $made = syscall(435, $args, length $args);
if ($made < 0) { print 0 + $!; exit }
if ($made == 0) {
	open my $f, ">", $file or exit 1;
	close $f;
	exec "/bin/true", $word;
}
waitpid $made, 0;
`

// life is one of several processes with the same pid.
type life struct {
	parent     string // its program
	parentPID  uint32
	file, word string
	from, to   time.Time
}

// A pid that comes again at once is another process in all its events: also before it has executed anything, when it is still what its
// parent is.
func TestPIDsThatComeAgain(t *testing.T) {
	if foreignPIDs() {
		t.Skip("needs the kernel's first PID namespace")
	}
	l := startLive(t)
	parents := []string{copyOf(t, perl(t), l.dir, "first-perl"), copyOf(t, perl(t), l.dir, "second-perl")}
	pid := uint32(freePID(t))
	var events []monitor.Event
	l.listen(func(e *monitor.Event) {
		if e.Process != nil && e.Process.PID == pid {
			events = append(events, e.Clone())
		}
	})
	var lives []life
	for i := range 6 {
		x := life{parent: parents[i%2], file: filepath.Join(l.dir, fmt.Sprint("made-", i)), word: fmt.Sprint("life-", i), from: time.Now()}
		cmd := exec.Command(x.parent, "-e", reborn, fmt.Sprint(pid), x.file, x.word)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, &out)
		}
		if out.Len() > 0 {
			number, _ := strconv.Atoi(out.String())
			errno := syscall.Errno(number)
			if slices.Contains([]syscall.Errno{syscall.ENOSYS, syscall.EPERM, syscall.E2BIG}, errno) {
				t.Skipf("needs clone3(2) with set_tid: %v", errno)
			}
			t.Fatalf("clone3: %v", errno)
		}
		x.parentPID, x.to = uint32(cmd.Process.Pid), time.Now()
		lives = append(lives, x)
	}
	l.mark()
	starts := map[time.Duration]bool{}
	for _, x := range lives {
		born := check(t, l, &x, events)
		if starts[born] {
			t.Errorf("%s began when another did", x.word)
		}
		starts[born] = true
	}
	t.Logf("pid %d came %d times, %d events", pid, len(lives), len(events))
}

// check looks at the events of one life, and returns when it began.
func check(t *testing.T, l *live, x *life, events []monitor.Event) time.Duration {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(events, func(e monitor.Event) bool { return e.Kind == monitor.Exec && slices.Contains(e.Args, x.word) })
	if i < 0 {
		t.Errorf("%s: no exec came", x.word)
		return 0
	}
	p := events[i].Process
	const slack = 150 * time.Millisecond // of the converted clock
	if p.Start.Before(x.from.Add(-slack)) || p.Start.After(x.to.Add(slack)) {
		t.Errorf("%s: began %v, expected between %v and %v", x.word, p.Start, x.from, x.to)
	}
	var kinds monitor.Kinds
	for _, e := range events {
		q := e.Process
		if q.StartBoot != p.StartBoot {
			continue
		}
		kinds |= monitor.KindsOf(e.Kind)
		if q.PPID != x.parentPID || len(q.Ancestors) == 0 || q.Ancestors[0].PID != x.parentPID || q.Ancestors[0].Exe != x.parent {
			t.Errorf("%s: %s with parent %d, ancestors %+v, expected %d %s", x.word, e.Kind, q.PPID, q.Ancestors, x.parentPID, x.parent)
		}
		if want := x.parent; e.Kind == monitor.FileCreate && (e.File.Path != x.file || q.Exe.Path != want) {
			t.Errorf("%s: made %s as %s %q, expected %s as %s", x.word, e.File.Path, q.Exe.Path, q.Args, x.file, want)
		}
		if e.Kind == monitor.Exit && !slices.Contains(q.Args, x.word) {
			t.Errorf("%s: ended as %q", x.word, q.Args)
		}
	}
	if want := monitor.KindsOf(monitor.FileCreate, monitor.Exec, monitor.Exit); kinds&want != want {
		t.Errorf("%s: kinds %v came, expected %v among them", x.word, names(kinds), names(want))
	}
	return p.StartBoot
}

// copyOf puts a copy of a program into dir.
func copyOf(t *testing.T, program, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// freePID is a pid that nobody has, just below the one that was given last, so that it is not given for long.
func freePID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	for pid := cmd.Process.Pid - 1; pid > 300; pid-- {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return pid
		}
	}
	t.Fatal("no pid is free")
	return 0
}

// bomb forks as much as it can for two seconds and something, in a cgroup that bounds it. Where it can no more, its processes end, so that
// there is always room for others.
const bomb = `
open my $f, "+<", $ARGV[0] or die $!;
syswrite $f, "0" or die $!;
close $f;
$SIG{CHLD} = "IGNORE";
my ($root, $end) = ($$, time + 3);
while (time < $end) {
	next if defined fork;
	exit if $$ != $root;
	select undef, undef, undef, 0.001;
}
`

// A fork bomb in a cgroup with a bound costs the host a CPU, but neither hides what others execute nor makes the daemon slow to answer.
func TestForkBomb(t *testing.T) {
	program := perl(t)
	group := pidsGroup(t, 200)
	l := startLive(t)
	const word = "beside-the-bomb"
	var told atomic.Uint64
	l.listen(func(e *monitor.Event) {
		if e.Kind == monitor.Exec && len(e.Args) == 2 && e.Args[1] == word {
			told.Add(1)
		}
	})
	before := l.ask(control.ReadStatus)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-e", bomb, filepath.Join(group, "cgroup.procs"))
	cmd.Stderr = t.Output()
	// The first process of a PID namespace takes all others with it when it ends, and inherits all orphans.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var made atomic.Uint64
	slowest := time.Duration(0)
	var beside sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		beside.Go(func() {
			for ; ; made.Add(1) {
				select {
				case <-over:
					return
				default:
				}
				if err := exec.Command("/bin/true", word).Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for running := true; running; {
		asked := time.Now()
		l.ask(control.Evaluate)
		slowest = max(slowest, time.Since(asked))
		select {
		case err := <-ended:
			if running = false; err != nil {
				t.Errorf("the bomb ended with %v", err)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	close(over)
	beside.Wait()
	l.mark()
	after := l.ask(control.ReadStatus)
	lost := lostOf(after, monitor.Exec) - lostOf(before, monitor.Exec)
	ends, _ := produced(after, monitor.Exit)
	endsBefore, _ := produced(before, monitor.Exit)
	refused, err := os.ReadFile(filepath.Join(group, "pids.events"))
	if err != nil || !bytes.Contains(refused, []byte("max ")) || bytes.Contains(refused, []byte("max 0\n")) {
		t.Errorf("%q, %v; expected that forks were refused", refused, err)
	}
	t.Logf("%d ends of processes, forks refused: %s; beside it %d execs, %d told, %d lost; slowest answer %v",
		ends-endsBefore, bytes.TrimSpace(refused), made.Load(), told.Load(), lost, slowest.Round(time.Millisecond))
	if told.Load() > made.Load() || told.Load()+lost < made.Load() {
		t.Errorf("%d execs: %d told and %d lost", made.Load(), told.Load(), lost)
	}
	if slowest > livePatience {
		t.Errorf("an answer took %v", slowest)
	}
	if ends-endsBefore < 200 {
		t.Errorf("%d processes ended: that was no bomb", ends-endsBefore)
	}
}

func lostOf(s *control.Status, kind monitor.Kind) uint64 {
	for _, k := range s.Source.Kinds {
		if k.Kind == kind.String() {
			return k.Lost
		}
	}
	return 0
}

// pidsGroup makes a cgroup with so many processes at most, of either version.
func pidsGroup(t *testing.T, most int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	var why error
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids"} {
		group := filepath.Join(root, fmt.Sprint("amp-test-", os.Getpid()))
		if err := os.Mkdir(group, 0o755); err != nil {
			why = errors.Join(why, err)
			continue
		}
		// Without making the file: where it is not there, this is no cgroup.
		bound, err := os.OpenFile(filepath.Join(group, "pids.max"), os.O_WRONLY, 0)
		if err == nil {
			_, err = fmt.Fprint(bound, most)
			err = errors.Join(err, bound.Close())
		}
		if err != nil {
			why = errors.Join(why, err, os.Remove(group))
			continue
		}
		t.Cleanup(func() { within(t, "an empty cgroup", func() bool { return os.Remove(group) == nil }) })
		return group
	}
	t.Skipf("needs a cgroup with the controller of pids: %v", why)
	return ""
}

const processesEnv = "AMP_CONNECTOR_TEST_PROCESSES"

func init() { liveRoles["processes"] = playProcesses }

// playProcesses makes processes one after the other that end without having executed anything: what they are to execute is not there.
func playProcesses(*testing.T) error {
	want, err := strconv.Atoi(os.Getenv(processesEnv))
	if err != nil {
		return err
	}
	const longest = 30 * time.Second // on a machine that is busy with other things
	started := time.Now()
	for made := 1; made <= want; made++ {
		if _, err := syscall.ForkExec("/nonexistent", []string{"nobody"}, &syscall.ProcAttr{}); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case made == want/5:
			fmt.Println("warm", made)
		case made == want || made > want/5 && time.Since(started) > longest:
			fmt.Println("made", made)
			return nil
		}
	}
	return nil
}

// Processes that come and go, several times as many as there are pids, leave nothing in the daemon's memory.
func TestManyShortProcesses(t *testing.T) {
	want := 100000
	if testing.Short() || raced() { // with the race detector the memory says nothing
		want = 20000
	}
	l := startLive(t)
	var parent atomic.Uint32
	var told atomic.Uint64
	l.listen(func(e *monitor.Event) {
		if e.Kind == monitor.Exit && e.Process != nil && e.Process.PPID == parent.Load() {
			told.Add(1)
		}
	})
	before, memory := l.ask(control.ReadStatus), resident(t)
	cmd := role(t, "processes", fmt.Sprint(processesEnv, "=", want), "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parent.Store(uint32(cmd.Process.Pid))
	lines := bufio.NewScanner(out)
	said(t, lines, "warm") // what the daemon remembers of processes, which is bounded, is full by now
	warm := resident(t)
	most := warm
	var looking sync.WaitGroup
	over := make(chan struct{})
	looking.Go(func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-tick:
				most = max(most, resident(t))
			case <-over:
				return
			}
		}
	})
	made := uint64(said(t, lines, "made"))
	took := time.Since(started)
	l.mark()
	close(over)
	looking.Wait()
	after := resident(t)
	s := l.ask(control.ReadStatus)
	_, untold := produced(s, monitor.Exit)
	_, untoldBefore := produced(before, monitor.Exit)
	counted := untold - untoldBefore
	t.Logf("%d processes in %v, %.0f a second: ends of %d told, %d counted; resident %.1f MB before, %.1f after a fifth, %.1f at most, %.1f after",
		made, took.Round(time.Millisecond), float64(made)/took.Seconds(), told.Load(), counted, float64(memory)/1e6, float64(warm)/1e6, float64(most)/1e6, float64(after)/1e6)
	if !foreignPIDs() && (told.Load() > made || told.Load()+counted < made) {
		t.Errorf("%d processes: the ends of %d were told and %d counted", made, told.Load(), counted)
	}
	if grown := int64(most) - int64(warm); grown > 16<<20 && !raced() {
		t.Errorf("grown by %d bytes", grown)
	}
}
