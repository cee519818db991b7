package engine

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
)

// combinations are definitions for which the library keeps books in each scan.
func combinations() string {
	var b strings.Builder
	for i := range 10_000 {
		sum := sha256.Sum256(fmt.Append(nil, i))
		fmt.Fprintf(&b, "Combination.%d;Engine:81-255,Target:0;0&1;%x;%x\n", i, sum[:14], sum[16:])
	}
	return b.String()
}

// pageFaults are those of the process so far for which nothing was read from a disk.
func pageFaults(t testing.TB) int64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return usage.Minflt
}

// withCombinations is an engine whose definitions make the library allocate much for each file, and a small file.
func withCombinations(t testing.TB) (*Engine, *os.File) {
	t.Helper()
	e, err := load(t, map[string]string{"a.ldb": combinations()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("all is well\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return e, f
}

// What the library allocates for one file is not given back to the kernel before the next.
func TestMemoryIsKept(t *testing.T) {
	e, f := withCombinations(t)
	runtime.LockOSThread() // each thread has a heap of its own
	defer runtime.UnlockOSThread()
	const scans = 10
	var before int64
	for i := range 2 * scans {
		if i == scans {
			before = pageFaults(t)
		}
		if a := e.Scan(f, scan.Limits{}); a.Result != scan.Clean {
			t.Fatal(a)
		}
	}
	if each := (pageFaults(t) - before) / scans; each > 200 {
		t.Errorf("%d page faults a scan: memory goes back and forth", each)
	}
}

// BenchmarkManyCombinations scans a small file with definitions that make the library allocate much for each.
func BenchmarkManyCombinations(b *testing.B) {
	e, f := withCombinations(b)
	before := pageFaults(b)
	for b.Loop() {
		if a := e.Scan(f, scan.Limits{}); a.Result != scan.Clean {
			b.Fatal(a)
		}
	}
	b.ReportMetric(float64(pageFaults(b)-before)/float64(b.N), "faults/op")
}

// BenchmarkSmallScan is the library's part of what a scan costs beside scanning.
func BenchmarkSmallScan(b *testing.B) {
	e, err := load(b, map[string]string{"a.ndb": signature})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "x")
	if err := os.WriteFile(path, []byte("all is well\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		if a := e.Scan(f, scan.Limits{}); a.Result != scan.Clean {
			b.Fatal(a)
		}
	}
}
