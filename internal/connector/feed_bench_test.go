package connector

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/monitor"
)

// What the way from the kernel to the event log takes, with the real source, sink and log. Each is one series of events, whatever -benchtime
// says; its figures are metrics, and ns/op is left out where it is only how long the series is.

const (
	benchPatience = 30 * time.Second
	benchLogCap   = 256 << 20 // bytes: no rotation, so that the file can be compared with what was appended

	latencyEvents = 2000
	latencyPeriod = 3 * time.Millisecond

	idleTime = 5 * time.Second
)

// benchFeed is a feed as the daemon has it, with the daemon's bounds on Go's memory.
type benchFeed struct {
	*feed
	log  *monitor.Log
	path string // of the log
}

// withEventLog opens an event log; with is what the sink gets in its place.
func withEventLog(b *testing.B, with func(*monitor.Log) EventLog) (*sink, *monitor.Log, string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "events.jsonl")
	log, err := monitor.OpenLog(path, benchLogCap)
	if err != nil {
		b.Fatal(err)
	}
	s := &sink{}
	if err := s.open(benchLogCap, func() (EventLog, error) { return with(log), nil }); err != nil {
		b.Fatal(err)
	}
	return s, log, path
}

// openBenchFeed starts a feed of some kinds; the test's end closes it.
func openBenchFeed(b *testing.B, kinds monitor.Kinds, with func(*monitor.Log) EventLog) benchFeed {
	b.Helper()
	likeTheDaemon(b)
	source := openBenchSource(b, kinds)
	s, log, path := withEventLog(b, with)
	f := benchFeed{startFeed(b.Context(), source, time.Now(), s, newTop(), &recordedScanner{}), log, path}
	b.Cleanup(func() {
		_, err := f.feed.close()
		if err := errors.Join(err, s.close()); err != nil {
			b.Error(err)
		}
	})
	return f
}

func plainLog(l *monitor.Log) EventLog { return l }

func likeTheDaemon(b *testing.B) {
	percent, limit := debug.SetGCPercent(gcPercent), debug.SetMemoryLimit(memoryLimit)
	b.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
}

// openBenchSource skips where the kernel does not let us.
func openBenchSource(b *testing.B, kinds monitor.Kinds) monitor.Source {
	b.Helper()
	source, err := openSource(b.Context(), monitor.EBPFKernelBTF, monitor.Settings{Kinds: kinds}, bpf.Types{})
	if errors.Is(err, fs.ErrPermission) {
		b.Skipf("needs a kernel that lets eBPF programs load: %v", err)
	}
	if err != nil {
		b.Fatal(err)
	}
	return source
}

// onMemory is a folder on a file system in memory: a disk would bound how fast files are made.
func onMemory(b *testing.B) string {
	b.Helper()
	const shm = "/dev/shm"
	if st := (unix.Statfs_t{}); unix.Statfs(shm, &st) != nil || st.Type != unix.TMPFS_MAGIC {
		b.Skipf("needs a tmpfs at %s", shm)
	}
	dir, err := os.MkdirTemp(shm, "amp-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// timedLog notes when an event came to the log.
type timedLog struct {
	*monitor.Log
	prefix string // of the files that count

	mu    sync.Mutex
	lines int           // appended
	came  []timedAppend // those that count
}

type timedAppend struct {
	line     int // of the log, from 0
	event    time.Time
	appended time.Time
}

func (l *timedLog) Append(e *monitor.Event) error {
	err := l.Log.Append(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(e.File.Path, l.prefix) {
		l.came = append(l.came, timedAppend{l.lines, e.Time, time.Now()})
	}
	l.lines++
	return err
}

func (l *timedLog) appends() []timedAppend {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.came)
}

// growth is when a file had which size.
type growth struct {
	file *os.File // inotify(7)
	done chan struct{}
	seen []grown // good once done
}

type grown struct {
	at   time.Time
	size int64
}

// watchGrowth notes each write to the file at path, until it is ended.
func watchGrowth(path string) (*growth, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	g := &growth{file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_add_watch", err), g.file.Close())
	}
	go func() {
		defer close(g.done)
		buf := make([]byte, 4096)
		for {
			if _, err := g.file.Read(buf); err != nil {
				return
			}
			now := time.Now()
			if st, err := os.Stat(path); err == nil {
				g.seen = append(g.seen, grown{now, st.Size()})
			}
		}
	}()
	return g, nil
}

func (g *growth) end() []grown {
	g.file.Close()
	<-g.done
	return g.seen
}

// lineEnds are the offsets behind the lines of a file.
func lineEnds(path string) ([]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var ends []int64
	for i, c := range text {
		if c == '\n' {
			ends = append(ends, int64(i)+1)
		}
	}
	return ends, nil
}

// BenchmarkLatency is the time from an event in the kernel until the log took it (appended), and until its line stands in the log's file
// (written), with a file made every 3 ms. The reader sleeps up to 100 ms while events come, and the log gathers lines for up to 200 ms.
func BenchmarkLatency(b *testing.B) {
	dir := onMemory(b)
	timed := &timedLog{prefix: dir}
	f := openBenchFeed(b, monitor.KindsOf(monitor.FileCreate), func(l *monitor.Log) EventLog { timed.Log = l; return timed })
	g, err := watchGrowth(f.path)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		timed.came = nil // nothing comes from this folder now
		makeFilesSlowly(b, dir)
		waitUntil(b, "the events of all files", func() bool { return len(timed.appends()) >= latencyEvents })
	}
	if err := f.log.Flush(); err != nil {
		b.Fatal(err)
	}
	seen := g.end()
	ends, err := lineEnds(f.path)
	if err != nil {
		b.Fatal(err)
	}
	var appended, written []time.Duration
	for _, a := range timed.appends() {
		appended = append(appended, a.appended.Sub(a.event))
		i, _ := slices.BinarySearchFunc(seen, ends[a.line], func(g grown, end int64) int { return int(g.size - end) })
		if i < len(seen) { // the last write may not have been told
			written = append(written, seen[i].at.Sub(a.event))
		}
	}
	b.ReportMetric(0, "ns/op")
	reportQuantiles(b, appended, "appended")
	reportQuantiles(b, written, "written")
}

func makeFilesSlowly(b *testing.B, dir string) {
	tick := time.NewTicker(latencyPeriod)
	defer tick.Stop()
	for i := range latencyEvents {
		<-tick.C
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			b.Fatal(err)
		}
	}
}

func reportQuantiles(b *testing.B, all []time.Duration, what string) {
	slices.Sort(all)
	for _, q := range []struct {
		name string
		part float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}} {
		at := all[min(int(q.part*float64(len(all))), len(all)-1)]
		b.ReportMetric(float64(at.Microseconds())/1000, what+"-"+q.name+"-ms")
	}
}

func waitUntil(b *testing.B, what string, is func() bool) {
	b.Helper()
	for end := time.Now().Add(benchPatience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("waited %v for %s", benchPatience, what)
		}
	}
}

// BenchmarkStart is the time from opening a source of all kinds until the first event of a program that is started then is handled, and the
// CPU time of this process for it.
func BenchmarkStart(b *testing.B) {
	likeTheDaemon(b)
	var cpu time.Duration
	for b.Loop() {
		before := cpuTime(b)
		first := make(chan struct{})
		seen := sync.OnceFunc(func() { close(first) })
		s := &sink{}
		s.open(0, func() (EventLog, error) { return calledLog{seen}, nil })
		source := openBenchSource(b, everyKind)
		f := startFeed(b.Context(), source, time.Now(), s, newTop(), &recordedScanner{})
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
		select {
		case <-first:
		case <-time.After(benchPatience):
			b.Fatal("no event came")
		}
		cpu += cpuTime(b) - before
		b.StopTimer() // the kernel takes its time to let go of programs
		if _, err := f.close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/op")
	b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// everyKind is what the policy asks for by default.
const everyKind = ^monitor.Kinds(0)

// calledLog only tells that an event came.
type calledLog struct{ came func() }

func (l calledLog) Append(*monitor.Event) error { l.came(); return nil }
func (calledLog) Flush() error                  { return nil }
func (calledLog) Dropped() uint64               { return 0 }
func (calledLog) Failing() error                { return nil }
func (calledLog) SetCap(int64) error            { return nil }
func (calledLog) Close() error                  { return nil }

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle is the CPU time that a source of all kinds and its log take while this process does nothing else. What others on the
// machine do is handled too: events/s says how much that was.
func BenchmarkIdle(b *testing.B) {
	f := openBenchFeed(b, everyKind, plainLog)
	handled := func() uint64 {
		counts, err := f.source.Counts()
		if err != nil {
			b.Fatal(err)
		}
		return counts.Total().Handled
	}
	for b.Loop() {
		events, cpu, from := handled(), cpuTime(b), time.Now()
		time.Sleep(idleTime)
		took := time.Since(from).Seconds()
		b.ReportMetric(float64(cpuTime(b)-cpu)/took, "cpu-ns/s")
		b.ReportMetric(float64(handled()-events)/took, "events/s")
	}
	b.ReportMetric(0, "ns/op")
}

// The rates that BenchmarkSustained steps through, in files a second.
const (
	firstRate = 5000
	rateStep  = 1.15
	stepTime  = 2 * time.Second
	rateKept  = 0.95 // part of a rate that the programs have to reach, else they cannot go faster
	fullSpeed = 1e9  // files a second: more than anything can make
	fullTurns = 3    // at full speed, since what else the machine does may have slowed the programs down
)

// BenchmarkSustained is the highest rate of events at which all of them are in the log. Programs make, write, close and delete files on a
// tmpfs, three events a file, at a rate that grows by 15 % every two seconds, until an event is lost or shed, or the programs cannot go
// faster and lose none at full speed either: then generator-bound is 1. above- is of the step that was too fast.
func BenchmarkSustained(b *testing.B) {
	for _, programs := range []int{1, 2} {
		b.Run(fmt.Sprintf("programs=%d", programs), func(b *testing.B) {
			dir := onMemory(b)
			f := openBenchFeed(b, monitor.KindsOf(monitor.FileCreate, monitor.FileWrite, monitor.FileDelete), plainLog)
			for b.Loop() {
				f.sustained(b, dir, programs)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// stepResult is what became of the events of one step, a second.
type stepResult struct {
	files, handled, produced, lost, shed float64
}

func (s stepResult) tooFast() bool { return s.lost+s.shed > 0 }

func (f benchFeed) sustained(b *testing.B, dir string, programs int) {
	best, last := stepResult{}, stepResult{}
	turn := func(rate float64) bool {
		if last = f.step(b, dir, programs, rate); !last.tooFast() && last.handled > best.handled {
			best = last
		}
		return !last.tooFast()
	}
	rate := float64(firstRate)
	for turn(rate) && last.files >= rateKept*rate {
		rate *= rateStep
	}
	for n := 0; n < fullTurns && !last.tooFast(); n++ {
		turn(fullSpeed)
	}
	b.ReportMetric(best.handled, "events/s")
	if !last.tooFast() {
		b.ReportMetric(1, "generator-bound")
		return
	}
	b.ReportMetric(0, "generator-bound")
	b.ReportMetric(last.produced, "above-produced/s")
	b.ReportMetric(last.handled, "above-handled/s")
	b.ReportMetric(last.lost, "above-lost/s")
	b.ReportMetric(last.shed, "above-shed/s")
}

// step makes files at a rate, and counts once all that came of it was handled.
func (f benchFeed) step(b *testing.B, dir string, programs int, rate float64) stepResult {
	counts := func() (monitor.Counts, monitor.Count) {
		c, err := f.source.Counts()
		if err != nil {
			b.Fatal(err)
		}
		return c, c.Total()
	}
	_, before := counts()
	dropped := f.log.Dropped()
	made, took := generate(b, dir, programs, rate)
	waitUntil(b, "the queue to be empty", func() bool { c, _ := counts(); return c.QueueBytes == 0 })
	_, after := counts()
	if now := f.log.Dropped(); now != dropped {
		b.Fatalf("%d events could not be written to the log", now-dropped)
	}
	per := func(after, before uint64) float64 { return float64(after-before) / took.Seconds() }
	r := stepResult{
		files: per(made, 0), handled: per(after.Handled, before.Handled),
		lost: per(after.Lost(), before.Lost()), shed: per(after.Shed, before.Shed),
	}
	r.produced = r.handled + r.lost + r.shed + per(after.Merged, before.Merged) + per(after.Excluded, before.Excluded)
	return r
}

// generatorEnv makes this test binary a program that makes files: "RATE NANOSECONDS DIRECTORY".
const generatorEnv = "AMP_BENCH_GENERATOR"

// init is the generator's main: the flags that TestMain would read are none of its.
func init() {
	task := os.Getenv(generatorEnv)
	if task == "" {
		return
	}
	if err := actAsGenerator(task); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// actAsGenerator makes files, a thousandth of the rate at a time, once it is told to start, and says how many.
func actAsGenerator(task string) error {
	var rate float64
	var length time.Duration
	var dir string
	if _, err := fmt.Sscan(task, &rate, &length, &dir); err != nil {
		return fmt.Errorf("read %s: %w", generatorEnv, err)
	}
	path := filepath.Join(dir, fmt.Sprint(os.Getpid()))
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	made, from := 0, time.Now()
	for now := time.Duration(0); now < length; now = time.Since(from) {
		for due := int(rate * now.Seconds()); made < due && time.Since(from) < length; made++ {
			if err := makeFile(path); err != nil {
				return err
			}
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Println(made, int64(time.Since(from)))
	return nil
}

func makeFile(path string) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	_, err = unix.Write(fd, []byte("x"))
	return errors.Join(err, unix.Close(fd), unix.Unlink(path))
}

// generate runs programs that together make files at a rate. It says how many they made, and how long the slowest took.
func generate(b *testing.B, dir string, programs int, rate float64) (made uint64, took time.Duration) {
	type program struct {
		cmd *exec.Cmd
		in  io.Closer
		out io.Reader
	}
	var all []program
	for range programs {
		cmd := exec.CommandContext(b.Context(), "/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%f %d %s", generatorEnv, rate/float64(programs), stepTime, dir))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err, err2, cmd.Start()); err != nil {
			b.Fatal(err)
		}
		if _, err := fmt.Fscan(out, new(string)); err != nil {
			b.Fatal(err)
		}
		all = append(all, program{cmd, in, out})
	}
	for _, p := range all { // together, once each is there
		p.in.Close()
	}
	for _, p := range all {
		var n uint64
		var ns time.Duration
		_, err := fmt.Fscan(p.out, &n, &ns)
		if err := errors.Join(err, p.cmd.Wait()); err != nil {
			b.Fatal(err)
		}
		made, took = made+n, max(took, ns)
	}
	return made, took
}
