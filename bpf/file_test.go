package bpf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

// Every action on files gives the same events in each hook set.
func TestFileActions(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		before := w.Lost(t)
		for _, name := range actions.Files() {
			t.Run(name, func(t *testing.T) {
				w.CheckFiles(t, program, name)
			})
		}
		if lost := w.Lost(t) - before; lost != 0 {
			t.Errorf("lost %d events", lost)
		}
	})
}

// BenchmarkFile makes, fills, closes and removes files, and gives the programs' own time for each call, as the kernel counts it
// (kernel.bpf_stats_enabled), and the records' bytes.
func BenchmarkFile(b *testing.B) {
	w := startWatch(b, options{})
	if err := w.Set(monitor.Settings{Kinds: monitor.FileKinds}); err != nil {
		b.Fatal(err)
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skipf("needs statistics of eBPF programs: %v", err)
	}
	defer stats.Close()
	path := filepath.Join(b.TempDir(), "file")
	for b.Loop() {
		if err := errors.Join(os.WriteFile(path, []byte("1"), 0o600), os.Remove(path)); err != nil {
			b.Fatal(err)
		}
	}
	for name, p := range w.kernel.programs {
		if st, err := p.Stats(); err == nil && st.RunCount > uint64(b.N)/2 {
			b.ReportMetric(float64(st.Runtime.Nanoseconds())/float64(st.RunCount), "ns/"+strings.TrimPrefix(name, "amp_"))
		}
	}
}
