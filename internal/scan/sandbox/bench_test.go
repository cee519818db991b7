package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
)

// BenchmarkScan sends files of /usr/bin over the socket pair, as many at once as there are workers and one waiting for each.
func BenchmarkScan(b *testing.B) {
	needRoot(b)
	paths, err := filepath.Glob("/usr/bin/*")
	if err != nil {
		b.Fatal(err)
	}
	var files []*os.File
	var size int64
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || len(files) == 500 {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		files, size = append(files, f), size+info.Size()
	}
	o := options(b)
	o.Definitions = definitions(b, map[string]string{"large.hsb": manySignatures()})
	const inFlight = 4
	s := ready(b, o)
	b.SetBytes(size / int64(len(files)))
	var sent, got int
	for b.Loop() {
		for sent-got < inFlight {
			if err := s.Conn.Send(scan.Request{ID: uint64(sent + 1)}, files[sent%len(files)]); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		if m, err := s.Conn.ReceiveMessage(); err != nil || m.Answer == nil || m.Answer.Result == scan.Failed {
			b.Fatal(m, err)
		}
		got++
	}
	b.ReportMetric(float64(got)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkSmallScan is what a scan costs beside scanning.
func BenchmarkSmallScan(b *testing.B) {
	needRoot(b)
	s := ready(b, options(b))
	f := content(b, []byte("all is well\n"))
	for b.Loop() {
		s.scanFile(b, f, scan.Limits{})
	}
}

// BenchmarkStart is from the start of the process to its report, with next to no definitions.
func BenchmarkStart(b *testing.B) {
	needRoot(b)
	o := options(b)
	o.Check = true
	for b.Loop() {
		s := ready(b, o)
		s.end(b)
		s.Conn.Close()
	}
}
