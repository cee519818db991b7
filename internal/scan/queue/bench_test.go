package queue

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// atOnce is a scanner that says of each file that nothing is in it.
type atOnce struct{ epoch verdicts.Epoch }

func (a atOnce) Failed() bool { return false }

func (a atOnce) Scan(context.Context, supervise.Job) (supervise.Answer, error) {
	return supervise.Answer{Answer: scan.Answer{ID: 1, Result: scan.Clean}, Epoch: a.epoch}, nil
}

// BenchmarkUnchangedTree goes through a tree in which nothing changed since it was scanned.
func BenchmarkUnchangedTree(b *testing.B) {
	const folders, filesInOne = 100, 30
	dir := b.TempDir()
	for i := range folders {
		below := filepath.Join(dir, fmt.Sprint("folder-", i))
		if err := os.Mkdir(below, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range filesInOne {
			if err := os.WriteFile(filepath.Join(below, fmt.Sprint("file-", j)), []byte("x"), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	time.Sleep(50 * time.Millisecond) // a file that was changed just now has no verdict that lasts
	epoch := verdicts.Epoch{Definitions: "1", Engine: "1"}
	store := verdicts.New(filepath.Join(dir, "verdicts.db"), verdicts.Options{})
	store.Begin(epoch)
	q := New(Config{Scanner: atOnce{epoch}, Memory: store, OnVerdict: func(Finding) Done { return Done{} }, Workers: 3, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	defer running.Wait()
	defer cancel()
	tree := func() Summary {
		var paths []string
		for i := range folders {
			paths = append(paths, filepath.Join(dir, fmt.Sprint("folder-", i)))
		}
		s, err := q.ScanPath(ctx, ScanOptions{Paths: paths}, func(Progress) {})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	tree()
	b.ReportAllocs()
	for b.Loop() {
		if s := tree(); s.Known != folders*filesInOne {
			b.Fatalf("%+v", s)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/(folders*filesInOne), "µs/file")
}

// forgetful knows contents and no files.
type forgetful struct{ *verdicts.Store }

func (forgetful) Lookup(verdicts.Identity) (verdicts.Verdict, verdicts.Epoch, bool) {
	return verdicts.Verdict{}, verdicts.Epoch{}, false
}

// BenchmarkKnownContent looks at new files with the content of one that was scanned.
func BenchmarkKnownContent(b *testing.B) {
	for _, size := range []int{6 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			dir := b.TempDir()
			epoch := verdicts.Epoch{Definitions: "1", Engine: "1"}
			store := verdicts.New(filepath.Join(dir, "verdicts.db"), verdicts.Options{})
			store.Begin(epoch)
			q := New(Config{Scanner: atOnce{epoch}, Memory: forgetful{store}, OnVerdict: func(Finding) Done { return Done{} }, Log: slog.New(slog.DiscardHandler)})
			path := filepath.Join(dir, "file")
			if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
				b.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			q.scan(b.Context(), f, job{path: path})
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if r := q.scan(b.Context(), f, job{path: path}); !r.known {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}
