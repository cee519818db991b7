package monitor

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"
)

var noon = time.Unix(1_790_000_010, 0)

func did(pid uint32, writes, execs uint64) Activity {
	a := Activity{PID: pid, StartBoot: uint64(pid) * 1000, UID: 5, Comm: fmt.Sprint("p", pid), Device: 1, Inode: uint64(pid)}
	a.Kinds[FileWrite], a.Kinds[Exec] = writes, execs
	return a
}

func TestActivityWindows(t *testing.T) {
	w := NewActivityWindows()
	if got := w.Top(noon, time.Minute, 10); got.Events != 0 || got.Covered != 0 || len(got.Processes) != 0 {
		t.Errorf("no sample: %+v", got)
	}
	w.Add(noon, []Activity{did(1, 1_000_000, 0), did(2, 5, 5)})
	if got := w.Top(noon, time.Minute, 10); got.Events != 0 {
		t.Errorf("what was done before the first sample: %+v", got)
	}
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * ActivityPeriod) }
	w.Add(at(1), []Activity{did(1, 1_000_100, 0), did(2, 5, 15), did(3, 7, 0)})
	w.Add(at(1).Add(time.Second), []Activity{did(1, 2_000_000, 0)}) // too early
	w.Add(at(2), []Activity{did(1, 1_000_100, 0), did(3, 2, 0)})    // 2 was overlooked, 3 began anew
	w.Add(at(3), []Activity{did(1, 1_000_100, 0), did(2, 5, 16), did(3, 2, 0)})
	got := w.Top(at(3), time.Minute, 10)
	if got.Covered != 3*ActivityPeriod || got.Events != 120 || got.Rate != 4 || got.Kinds[FileWrite] != 109 || got.Kinds[Exec] != 11 {
		t.Errorf("%+v", got)
	}
	want := []struct {
		pid    uint32
		events uint64
	}{{1, 100}, {2, 11}, {3, 9}}
	if len(got.Processes) != len(want) {
		t.Fatalf("%+v", got.Processes)
	}
	for i, p := range got.Processes {
		if p.PID != want[i].pid || p.Events != want[i].events || p.Rate != float64(want[i].events)/30 || p.Comm != fmt.Sprint("p", p.PID) || p.Inode != uint64(p.PID) || p.UID != 5 {
			t.Errorf("%d: %+v, expected %v", i, p, want[i])
		}
	}
	if got := w.Top(at(3), 20*time.Second, 1); got.Covered != 2*ActivityPeriod || got.Events != 3 || len(got.Processes) != 1 || got.Processes[0].PID != 3 {
		t.Errorf("20 s: %+v", got)
	}
	w.Restart()
	w.Add(at(4), []Activity{did(1, 50, 0)})
	w.Add(at(5), []Activity{did(1, 51, 0)})
	if got := w.Top(at(5), 10*time.Second, 1); got.Events != 1 {
		t.Errorf("another source: %+v", got)
	}
	if got := w.Top(at(5), time.Hour, 1); got.Events != 121 {
		t.Errorf("what was done before stays: %+v", got)
	}
	if got := w.Top(at(500), LongestWindow, 1); got.Events != 0 {
		t.Errorf("long ago: %+v", got)
	}
}

// A clock that goes back loses a sample, and nothing more.
func TestActivityWindowsClock(t *testing.T) {
	w := NewActivityWindows()
	w.Add(noon, nil)
	w.Add(noon.Add(-time.Hour), []Activity{did(1, 7, 0)})
	w.Add(noon.Add(-time.Hour+ActivityPeriod), []Activity{did(1, 9, 0)})
	if got := w.Top(noon.Add(-time.Hour+ActivityPeriod), time.Minute, 1); got.Events != 2 || got.Covered != ActivityPeriod {
		t.Errorf("%+v", got)
	}
}

func TestActivityWindowsAreBounded(t *testing.T) {
	w := NewActivityWindows()
	all := make([]Activity, 15_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range activitySamples + 10 {
		for i := range all {
			all[i].PID, all[i].Comm = uint32(n*len(all)+i), "comm"
			all[i].Kinds[FileWrite] = uint64(n + i)
		}
		w.Add(noon.Add(time.Duration(n)*ActivityPeriod), all[:4096+n%2*10_000])
		if w.before.used > comparedProcesses {
			t.Fatalf("%d are remembered", w.before.used)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	clear(all)
	t.Logf("%d bytes in samples, %d on the heap", unsafe.Sizeof(*w), int64(after.HeapAlloc)-int64(before.HeapAlloc))
	if size := unsafe.Sizeof(*w); size > 1<<20 {
		t.Errorf("%d bytes", size)
	}
	if got := w.Top(w.last, LongestWindow, 1000); len(got.Processes) != 1000 || got.Covered != LongestWindow-ActivityPeriod && got.Covered != LongestWindow {
		t.Errorf("%d processes in %v", len(got.Processes), got.Covered)
	}
	runtime.KeepAlive(w)
}

func TestBusiest(t *testing.T) {
	b := NewBusiest()
	if got := b.Top(noon, time.Minute, 5); len(got.Files) != 0 || got.Covered != 0 {
		t.Errorf("%+v", got)
	}
	write := func(path string, at time.Time, merged uint32) {
		b.Feed(&Event{Kind: FileWrite, Time: at, File: File{Path: path}, Merged: merged})
	}
	// One in four events is of the one file; the others are of files that are never seen again.
	random := rand.New(rand.NewPCG(1, 2))
	now := noon
	for i := range 20_000 {
		now = noon.Add(time.Duration(i) * 40 * time.Millisecond)
		if random.IntN(4) == 0 {
			write("/var/log/busy", now, 1)
		} else {
			write(fmt.Sprint("/tmp/", i), now, 0)
		}
	}
	got := b.Top(now, LongestWindow, 2)
	if len(got.Files) != 2 || got.Files[0].Path != "/var/log/busy" || got.Files[0].Count < 9000 || got.Files[0].Count-got.Files[0].Error > 11000 || got.Covered < 13*time.Minute {
		t.Errorf("%+v", got)
	}
	lately := b.Top(now, time.Minute, 2)
	if f := lately.Files[0]; f.Path != "/var/log/busy" || f.Count < 400 || f.Count > 1200 || lately.Covered != time.Minute {
		t.Errorf("the last minute: %+v", lately)
	}
	if got := b.Top(now.Add(time.Hour), LongestWindow, 2); len(got.Files) != 0 {
		t.Errorf("an hour later: %+v", got)
	}
	write("/early", now.Add(time.Hour), 0)
	write("/late", now.Add(time.Hour-time.Minute), 0) // it waited in a queue
	if got := b.Top(now.Add(time.Hour), time.Minute, 2); len(got.Files) != 2 {
		t.Errorf("an event that came late: %+v", got)
	}
	write("/timeless", time.Time{}, 0)
	if got := b.Top(now.Add(time.Hour), time.Minute, 3); len(got.Files) != 3 {
		t.Errorf("an event without a time: %+v", got)
	}
	write("/back", now, 0) // the clock was put back
	if got := b.Top(now, time.Minute, 2); len(got.Files) != 1 || got.Files[0].Path != "/back" || got.Files[0].Count != 1 || got.Covered != busyPeriod {
		t.Errorf("after the clock was put back: %+v", got)
	}
	if got := b.Top(now.Add(5*time.Minute), time.Minute, 2); len(got.Files) != 0 {
		t.Errorf("the last minute, five minutes later: %+v", got)
	}
}

// A sketch may tell more than there was, by no more than it says, and never less of what it tells.
func TestCountersKeepTheirPromise(t *testing.T) {
	var c counters
	random := rand.New(rand.NewPCG(3, 4))
	truth := make(map[uint64]uint64)
	const events = 50_000
	for range events {
		hash := uint64(random.ExpFloat64() * 40)
		truth[hash]++
		least := ^uint64(0)
		if c.used == busyCounters {
			least = slices.Min(c.count[:])
		}
		if at, taken := c.add(hash, 1, 0); taken && c.err[at] > least {
			t.Fatalf("a counter of %d was taken, the lowest is %d", c.err[at], least)
		}
	}
	told := make(map[uint64]bool)
	for i, hash := range c.hash {
		told[hash] = true
		if n := truth[hash]; c.count[i] < n || c.count[i]-c.err[i] > n {
			t.Errorf("%d came %d times, told are %d to %d", hash, n, c.count[i]-c.err[i], c.count[i])
		}
	}
	for hash, n := range truth {
		if n > events/busyCounters && !told[hash] {
			t.Errorf("%d came %d times and is not told", hash, n)
		}
	}
}

func TestBusiestPeers(t *testing.T) {
	b := NewBusiest()
	flow := func(kind Kind, local, remote string, inbound bool, sent uint64) {
		b.Feed(&Event{Kind: kind, Time: noon, Flow: Flow{Protocol: 6, Inbound: inbound, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), Sent: sent}})
	}
	for port := range 10 { // the side that is not listened at has another port each time
		flow(FlowOpen, fmt.Sprint("10.0.0.1:", 40000+port), "192.0.2.1:443", false, 0)
		flow(FlowClose, fmt.Sprint("10.0.0.1:", 40000+port), "192.0.2.1:443", false, 100)
		if port < 5 {
			flow(FlowOpen, "10.0.0.1:22", fmt.Sprint("192.0.2.9:", 50000+port), true, 0)
		}
	}
	b.Feed(&Event{Kind: Exec, Time: noon})
	b.Feed(&Event{Kind: Listen, Time: noon})
	got := b.Top(noon, time.Minute, 5).Peers
	want := []BusyPeer{
		{Peer{netip.MustParseAddr("192.0.2.1"), 443, 6, false}, Tally{10, 0}, 1000},
		{Peer{netip.MustParseAddr("192.0.2.9"), 22, 6, true}, Tally{5, 0}, 0},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v, expected %+v", got, want)
	}
	b.mu.Lock()
	flow(FlowOpen, "10.0.0.1:22", "192.0.2.9:1", true, 0)
	b.mu.Unlock()
	if b.Skipped() != 1 {
		t.Errorf("%d were skipped", b.Skipped())
	}
}

// busyEvents are more files than there are counters, so that counters change hands all the time.
func busyEvents() []Event {
	events := make([]Event, 1000)
	for i := range events {
		events[i] = Event{Kind: FileWrite, Time: noon, File: File{Path: fmt.Sprintf("/usr/src/linux/drivers/net/%d.c", i)}}
	}
	return events
}

func TestFeedCostsNoAllocation(t *testing.T) {
	b := NewBusiest()
	events, i := busyEvents(), 0
	feed := func() { b.Feed(&events[i%len(events)]); i++ }
	for range 5000 {
		feed()
	}
	if n := testing.AllocsPerRun(1000, feed); n > 0 {
		t.Errorf("%v allocations for a file", n)
	}
	e := Event{Kind: FlowOpen, Time: noon, Flow: Flow{Remote: netip.MustParseAddrPort("[fe80::1%eth0]:5")}}
	if n := testing.AllocsPerRun(1000, func() { b.Feed(&e) }); n > 0 {
		t.Errorf("%v allocations for a flow", n)
	}
}

func BenchmarkFeed(b *testing.B) {
	busiest := NewBusiest()
	events, i := busyEvents(), 0
	b.ReportAllocs()
	for b.Loop() {
		busiest.Feed(&events[i%len(events)])
		i++
	}
}

// BenchmarkAdd is what a sample takes where as many processes are told as a source keeps, of which few did something since the last.
func BenchmarkAdd(b *testing.B) {
	all := make([]Activity, 4096)
	for i := range all {
		all[i] = Activity{PID: uint32(i + 1), StartBoot: 1, Comm: "true"}
		all[i].Kinds[Exec] = 1
	}
	w, now := NewActivityWindows(), time.Unix(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(ActivityPeriod)
		for i := range 16 {
			all[i].Kinds[FileWrite]++
		}
		w.Add(now, all)
	}
}

// BenchmarkAddChurn is the same on a host where all of them are new ones each time.
func BenchmarkAddChurn(b *testing.B) {
	all := make([]Activity, 4096)
	w, now := NewActivityWindows(), time.Unix(1, 0)
	pid := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(ActivityPeriod)
		for i := range all {
			pid++
			all[i] = Activity{PID: pid, StartBoot: uint64(pid), Comm: "true"}
			all[i].Kinds[Exec], all[i].Kinds[Exit] = 1, 1
		}
		w.Add(now, all)
	}
}
