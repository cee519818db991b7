package connector

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan/queue"
)

// benchScanning is a scanner with definitions of the size that hosts have, and a tree to scan. "lab scans --write DIR" makes the former.
func benchScanning(b *testing.B) (s *scanning, tree string) {
	b.Helper()
	set, tree := os.Getenv("AMP_BENCH_DEFINITIONS"), os.Getenv("AMP_BENCH_TREE")
	if set == "" || tree == "" {
		b.Skip("AMP_BENCH_DEFINITIONS and AMP_BENCH_TREE name no directories of definitions and of files to scan")
	}
	s = newScanning(b)
	if err := os.CopyFS(s.places.builtIn, os.DirFS(set)); err != nil {
		b.Fatal(err)
	}
	s.Apply(scanOn())
	s.until("ready", isReady)
	return s, tree
}

// demand scans a tree as a person does.
func (s *scanning) demand(ctx context.Context, tree string, progress func(queue.Progress)) queue.Summary {
	sum, err := s.session.Load().queue.ScanPath(ctx, queue.ScanOptions{Paths: []string{tree}}, progress)
	if err != nil && ctx.Err() == nil {
		s.t.Error(err)
	}
	return sum
}

// processTime is user and system time of a process, which proc(5) has in hundredths of a second.
func processTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, uerr := strconv.Atoi(fields[11])
	system, serr := strconv.Atoi(fields[12])
	if uerr != nil || serr != nil {
		b.Fatal(uerr, serr)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkScanTree scans a tree that nobody scanned before, then again without a change, and then a copy of it.
func BenchmarkScanTree(b *testing.B) {
	s, tree := benchScanning(b)
	for b.Loop() {
		pid, self := s.State().PID, os.Getpid()
		daemon, service := processTime(b, self), processTime(b, pid)
		cold := s.demand(b.Context(), tree, func(queue.Progress) {})
		daemon, service = processTime(b, self)-daemon, processTime(b, pid)-service
		b.Logf("cold: %+v; %v of CPU time here, %v in the service", cold, daemon, service)
		const times = 20
		var again queue.Summary
		began, before := time.Now(), processTime(b, self)
		for range times {
			again = s.demand(b.Context(), tree, func(queue.Progress) {})
		}
		took, used := time.Since(began)/times, (processTime(b, self)-before)/times
		b.Logf("again: %+v; %v each, %v of CPU time; %d MB resident", again, took, used, s.State().MemoryBytes/1e6)
		copied := filepath.Join(b.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(tree)); err != nil {
			b.Fatal(err)
		}
		daemonCopy, serviceCopy := processTime(b, self), processTime(b, pid)
		same := s.demand(b.Context(), copied, func(queue.Progress) {})
		b.Logf("copy: %+v; %v of CPU time here, %v in the service", same, processTime(b, self)-daemonCopy, processTime(b, pid)-serviceCopy)
		b.ReportMetric(float64(daemon+service)/float64(used), "times-less-CPU")
		b.ReportMetric(float64(cold.Took)/float64(took), "times-faster")
	}
}

// manySmall makes a folder of small files, and returns what makes all of them new again.
func (s *scanning) manySmall(b *testing.B, n int) (folder string, renew func()) {
	b.Helper()
	folder = filepath.Join(s.dir, "small")
	if err := os.Mkdir(folder, 0o755); err != nil {
		b.Fatal(err)
	}
	generation := 0
	renew = func() {
		generation++
		for i := range n {
			if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), fmt.Appendf(nil, "file %d of generation %d\n", i, generation), 0o600); err != nil {
				b.Error(err)
			}
		}
	}
	renew()
	return folder, renew
}

// BenchmarkSwitch lets other definitions take the place of those that a scan uses, and tells the longest time between two answers.
func BenchmarkSwitch(b *testing.B) {
	s, _ := benchScanning(b)
	folder, renew := s.manySmall(b, 2000)
	n := s.session.Load()
	for b.Loop() {
		ctx, stop := context.WithCancel(b.Context())
		var (
			mu       sync.Mutex
			last     time.Time
			at       int // 0 before the switch, 1 while it goes on
			gaps     [2][]time.Duration
			failures uint64
		)
		var scans sync.WaitGroup
		scans.Go(func() {
			for ctx.Err() == nil {
				sum := s.demand(ctx, folder, func(queue.Progress) {
					mu.Lock()
					defer mu.Unlock()
					now := time.Now()
					if !last.IsZero() {
						gaps[at] = append(gaps[at], now.Sub(last))
					}
					last = now
				})
				mu.Lock()
				failures += sum.Failed + sum.SetAside + sum.Unreadable
				last = time.Time{}
				mu.Unlock()
				renew()
			}
		})
		time.Sleep(3 * time.Second)
		mu.Lock()
		at = 1
		mu.Unlock()
		set := *n.live.Load()
		set.ID += "x"
		n.live.Store(&set)
		began := time.Now()
		switched, err := n.supervisor.Switch(b.Context())
		took := time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		mu.Lock()
		for i, when := range []string{"before", "during"} {
			slices.Sort(gaps[i])
			b.Logf("%s: %d answers, gap p50 %v, p99 %v, longest %v", when, len(gaps[i]), quantile(gaps[i], 50), quantile(gaps[i], 99), quantile(gaps[i], 100))
		}
		b.Logf("it took %v, %+v, %d failures", took, switched, failures)
		mu.Unlock()
		stop()
		scans.Wait()
		if failures > 0 {
			b.Errorf("%d scans failed", failures)
		}
	}
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}

// BenchmarkVerdict is from the close of a program of 1 MB, which its event tells of at once, to the verdict on it: with nothing beside it, and while a
// tree is scanned on demand.
func BenchmarkVerdict(b *testing.B) {
	s, tree := benchScanning(b)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil || len(program) < 1<<20 {
		b.Fatal(len(program), err)
	}
	program = program[:1<<20]
	copy(program[1<<20-32:], "amp-bench-marker-of-a-dropped-on")
	drop := func(name string) time.Duration {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, append(program[:1<<20-64], append([]byte(fmt.Sprintf("%-32s", name)), program[1<<20-32:]...)...), 0o755); err != nil {
			b.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			b.Fatal(err)
		}
		closed := time.Now()
		s.Event(&monitor.Event{
			Kind: monitor.FileWrite, Time: closed, Process: &monitor.Process{PID: 1, Comm: "writer"},
			File: monitor.File{Path: path, Device: st.Dev, Inode: st.Ino, Size: uint64(st.Size), Changed: st.Ctim.Nano()},
		})
		for {
			if e, ok := s.detected(path); ok {
				return e.Time.Sub(closed)
			}
			if time.Since(closed) > time.Minute {
				b.Fatalf("no verdict on %s within a minute", path)
			}
			time.Sleep(time.Millisecond)
		}
	}
	for b.Loop() {
		for _, beside := range []string{"nothing", "a scan on demand"} {
			ctx, stop := context.WithCancel(b.Context())
			var scans sync.WaitGroup
			if beside != "nothing" {
				scans.Go(func() {
					for ctx.Err() == nil {
						s.demand(ctx, tree, func(queue.Progress) {})
					}
				})
				time.Sleep(time.Second)
			}
			var all []time.Duration
			for i := range 60 { // fewer than the tree lasts for
				all = append(all, drop(fmt.Sprintf("%s-%d", strings.Fields(beside)[0], i)))
			}
			stop()
			scans.Wait()
			slices.Sort(all)
			b.Logf("beside %s: p50 %v, p99 %v, longest %v", beside, quantile(all, 50), quantile(all, 99), quantile(all, 100))
		}
	}
}
