package connector

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// writes is what a process of a test did.
func writes(pid uint32, inode, n uint64) monitor.Activity {
	a := monitor.Activity{PID: pid, StartBoot: 1, UID: 5, Comm: "p" + fmt.Sprint(pid), Device: 1, Inode: inode}
	a.Kinds[monitor.FileWrite] = n
	return a
}

func TestTopTellsWhoIsBusy(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		s := w.source(0)
		s.did(writes(1<<22+1, 7, 1_000_000)) // before the first sample
		pass(2 * time.Second)
		s.deliver(t.Context(), &monitor.Event{Kind: monitor.Exec, Time: c.Now(), Process: &monitor.Process{
			PID: 1<<22 + 2, Exe: monitor.File{Path: "/srv/storm", Device: 1, Inode: 7}, Ancestors: []monitor.Ancestor{{Exe: "/bin/bash"}},
		}})
		for range 3 {
			s.deliver(t.Context(), &monitor.Event{Kind: monitor.FileWrite, Time: c.Now(), File: monitor.File{Path: "/srv/busy"}})
		}
		s.deliver(t.Context(), &monitor.Event{Kind: monitor.FlowOpen, Time: c.Now(), Flow: monitor.Flow{Protocol: 6, Remote: netip.MustParseAddrPort("192.0.2.1:443")}})
		s.did(writes(1<<22+2, 7, 60))
		s.did(writes(1<<22+3, 7, 30))
		s.did(writes(1<<22+4, 8, 50))
		pass(monitor.ActivityPeriod)
		a := c.handle(t.Context(), control.Request{Verb: control.ReadTop, Root: true})
		if a.Top == nil || len(a.Top.Windows) != 3 || a.Top.Private || a.Top.Source != "ebpf" || a.Top.Level != "normal" {
			t.Fatalf("%+v", a)
		}
		for _, w := range a.Top.Windows {
			if w.Events != 140 || w.Covered < 9 || len(w.Processes) != 3 || w.Processes[0].PID != 1<<22+2 || w.Processes[0].Exe != "/srv/storm" {
				t.Errorf("%d minutes: %+v", w.Minutes, w)
			}
			if len(w.Programs) != 2 {
				t.Fatalf("%+v", w.Programs)
			}
			p := w.Programs[0]
			if p.Exe != "/srv/storm" || p.Parent != "/bin/bash" || p.Processes != 2 || p.Events != 90 || p.UID != 5 || len(p.Kinds) != 1 || p.Kinds[0].Kind != "write" || p.Kinds[0].Rate != p.Rate || p.Rate <= 0 {
				t.Errorf("%+v", p)
			}
			if unknown := w.Programs[1]; unknown.Exe != "" || unknown.Comm != fmt.Sprint("p", 1<<22+4) {
				t.Errorf("%+v", unknown)
			}
			if len(w.Peers) != 1 || w.Peers[0] != (control.TopPeer{Address: "192.0.2.1", Port: 443, Protocol: "tcp", Flows: 1, AtLeast: 1}) {
				t.Errorf("%+v", w.Peers)
			}
			if !hasFile(w.Files, control.TopFile{Path: "/srv/busy", Events: 3, AtLeast: 3}) {
				t.Errorf("%+v", w.Files)
			}
		}
		a = c.handle(t.Context(), control.Request{Verb: control.ReadTop})
		for _, w := range a.Top.Windows {
			if !a.Top.Private || len(w.Files)+len(w.Peers) > 0 || len(w.Processes) != 3 {
				t.Errorf("not for root: %+v", w)
			}
		}
	})
}

func hasFile(files []control.TopFile, want control.TopFile) bool {
	for _, f := range files {
		if f == want {
			return true
		}
	}
	return false
}

// Another source counts from nought: what it has counted when it is first looked at says nothing of the last seconds.
func TestTopAfterAnotherSource(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.source(0).did(writes(1<<22+1, 7, 10))
		pass(2 * time.Second)
		w.source(0).fail <- errRefused
		for began := c.Now(); w.openings() < 2; pass(100 * time.Millisecond) {
			if c.Now().Sub(began) > 2*evaluationPeriod {
				t.Fatal("no other source was opened")
			}
		}
		w.source(1).did(writes(1<<22+1, 7, 1000))
		pass(2 * time.Second)
		w.source(1).did(writes(1<<22+1, 7, 5))
		pass(2 * monitor.ActivityPeriod)
		a := c.handle(t.Context(), control.Request{Verb: control.ReadTop})
		if n := a.Top.Windows[0].Events; n != 5 {
			t.Errorf("%d events, expected 5", n)
		}
	})
}

// This process lives: its executable and its parent are found, though nothing was seen of them.
func TestTopLooksAtTheLiving(t *testing.T) {
	top := newTop()
	p := monitor.NewProcesses(monitor.ProcessesOptions{}).Read(uint32(os.Getpid()))
	if p == nil {
		t.Skip("/proc does not have this process")
	}
	busy := monitor.BusyProcess{PID: p.PID, StartBoot: uint64(p.StartBoot), Inode: p.Exe.Inode}
	exe, ppid, parent := top.identify(&busy, make(map[uint32]*lookedUp))
	if exe != p.Exe.Path || ppid != uint32(os.Getppid()) || parent == "" {
		t.Errorf("%q, %d, %q", exe, ppid, parent)
	}
	for name, other := range map[string]monitor.BusyProcess{
		"another process had the pid":      {PID: p.PID, StartBoot: uint64(p.StartBoot) + 1e9, Inode: p.Exe.Inode},
		"it executes something else now":   {PID: p.PID, StartBoot: uint64(p.StartBoot), Inode: p.Exe.Inode + 1},
		"there is no process with this id": {PID: 1<<22 + 1, StartBoot: 1},
	} {
		if exe, ppid, parent := top.identify(&other, make(map[uint32]*lookedUp)); exe != "" || ppid != 0 || parent != "" {
			t.Errorf("%s: %q, %d, %q", name, exe, ppid, parent)
		}
	}
}

func TestProgramsAreBounded(t *testing.T) {
	known := newPrograms()
	learn := func(i uint64) {
		known.learn(&monitor.Process{Exe: monitor.File{Path: fmt.Sprint("/bin/", i), Device: 1, Inode: i + 1}, Parent: "sh"})
	}
	for i := range uint64(3 * mostPrograms) {
		learn(i)
	}
	if len(known.known) != mostPrograms || len(known.ring) != mostPrograms {
		t.Errorf("%d programs, %d in the ring", len(known.known), len(known.ring))
	}
	if path, _ := known.find(1, 1); path != "" {
		t.Errorf("the oldest is still %q", path)
	}
	if path, parent := known.find(1, 3*mostPrograms); path != fmt.Sprint("/bin/", 3*mostPrograms-1) || parent != "sh" {
		t.Errorf("the youngest is %q of %q", path, parent)
	}
}

func TestFeedOfTopDoesNotAllocate(t *testing.T) {
	top := newTop()
	processes := make([]monitor.Process, 8)
	for i := range processes {
		processes[i] = monitor.Process{Exe: monitor.File{Path: fmt.Sprint("/usr/bin/", i), Device: 1, Inode: uint64(i%4 + 1)}, Parent: fmt.Sprint("parent", i)}
	}
	now, i := time.Now(), 0
	feed := func() {
		top.feed(&monitor.Event{Kind: monitor.Exec, Time: now, Process: &processes[i%len(processes)]})
		top.feed(&monitor.Event{Kind: monitor.FileWrite, Time: now, File: processes[i%len(processes)].Exe})
		i++
	}
	for range 100 {
		feed()
	}
	if n := testing.AllocsPerRun(1000, feed); n > 0 {
		t.Errorf("%v allocations for two events", n)
	}
}

// Where events are spread over more files than can be told apart, none of them is called busy but the one that is.
func TestOnlyWhatStandsOutIsTold(t *testing.T) {
	top := newTop()
	now := time.Unix(1_790_000_010, 0)
	for i := range 6000 {
		top.feed(&monitor.Event{Kind: monitor.FileWrite, Time: now, File: monitor.File{Path: fmt.Sprint("/srv/", i)}})
		if i%10 == 0 {
			top.feed(&monitor.Event{Kind: monitor.FileWrite, Time: now, File: monitor.File{Path: "/srv/busy"}})
		}
	}
	w := top.window(now, 1, true, make(map[uint32]*lookedUp))
	if len(w.Files) != 1 || w.Files[0].Path != "/srv/busy" || w.Files[0].Events < 600 {
		t.Errorf("%+v", w.Files)
	}
}
