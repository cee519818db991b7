package bpf

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// Every action on files gives the same events in each hook set.
func TestFileActions(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		before := w.lost(t)
		for _, name := range slices.Sorted(maps.Keys(fileActions())) {
			t.Run(name, func(t *testing.T) {
				pid, r := act(t, name)
				if err := r.removed(); err != nil {
					t.Error(err)
				}
				w.checkFileEvents(t, pid, r)
			})
		}
		if lost := w.lost(t) - before; lost != 0 {
			t.Errorf("lost %d events", lost)
		}
	})
}

// checkFileEvents compares what was seen of an action on files with what it says.
func (w *watch) checkFileEvents(t *testing.T, pid int, r report) {
	t.Helper()
	w.ended(t, pid, func() bool { return len(w.fileEvents(pid, r)) >= len(r.Events) }) // what the end of a process closes comes after its exit
	got := w.fileEvents(pid, r)
	for i := range r.Events {
		r.Events[i] = w.asSeen(r.Events[i], got, i)
	}
	if diff := cmp.Diff(r.Events, got, sameEvents); diff != "" {
		t.Errorf("events (- as expected, + as seen):\n%s", diff)
	}
}

// fileEvents are the events of a process below its directory, as far as they do not belong to its removal at the end. What kernels
// and file systems differ in is left out.
func (w *watch) fileEvents(pid int, r report) []monitor.Event {
	var got []monitor.Event
	dir := ""
	for _, e := range w.of(pid) {
		if !monitor.FileKinds.Has(e.Kind) || !strings.Contains(e.File.Path, "/amp-bpf-files-") && e.File.Path != "/" {
			continue
		}
		if dir == "" {
			dir = e.File.Path
		}
		if e.Kind == monitor.FileDelete && e.File.Path == dir {
			continue
		}
		e.Process, e.Time = nil, time.Time{}
		// Threads that end at once on two processors both tell what they close, amp_exit_closes().
		if n := len(got); n > 0 && w.kernel.set == tracepointSet && e.Kind == monitor.FileWrite && got[n-1].Kind == e.Kind && got[n-1].File == e.File {
			continue
		}
		got = append(got, e)
	}
	if n := len(r.Events); len(got) > n {
		extra := got[n:]
		if !slices.ContainsFunc(extra, func(e monitor.Event) bool { return e.Kind != monitor.FileDelete }) {
			got = got[:n]
		}
	}
	return got
}

// asSeen takes over into want what an event says beside it, once that was looked at.
func (w *watch) asSeen(want monitor.Event, got []monitor.Event, i int) monitor.Event {
	if i >= len(got) || got[i].Kind != want.Kind {
		return want
	}
	e := got[i]
	byName := w.kernel.set == tracepointSet && (e.Kind == monitor.FileCreate && e.File.Joined || e.Kind == monitor.FileAttributes && e.File.Joined ||
		monitor.KindsOf(monitor.FileRename, monitor.FileLink, monitor.FileDelete).Has(e.Kind))
	if byName {
		want.File.Joined, want.Target.Joined = true, e.Target.Path != ""
		want.Mode, want.Owner, want.Group = e.Mode, e.Owner, e.Group
		return want
	}
	if e.File.Inode != 0 {
		want.File.Inode = e.File.Inode
	}
	if e.File.Device != 0 {
		want.File.Device = e.File.Device
	}
	want.Target.Inode, want.Target.Device = e.Target.Inode, e.Target.Device
	if e.Kind == monitor.FileMap {
		want.Merged = e.Merged // whoever made them, and of a file before that had the inode number
	}
	if e.Kind == monitor.FileWrite && time.Since(time.Unix(0, e.File.Changed)).Abs() < time.Hour {
		want.File.Changed = e.File.Changed
	}
	return want
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
