package connector

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// topWindows are the windows that are told, in minutes.
var topWindows = []int{1, 5, 15}

// mostGrouped is how many processes of a window are put together to programs: all that the samples of the longest window can tell apart.
const mostGrouped = 8192

// top knows who makes the events. Its memory is bounded, 6 MB at most.
type top struct {
	processes *monitor.ActivityWindows
	things    *monitor.Busiest // files and peers
	programs  *programs
	sampled   time.Time // the loop's

	mu   sync.Mutex // of proc
	proc *monitor.Processes
}

func newTop() *top {
	return &top{
		processes: monitor.NewActivityWindows(), things: monitor.NewBusiest(), programs: newPrograms(),
		proc: monitor.NewProcesses(monitor.ProcessesOptions{Limit: 256, Bytes: 512 << 10}),
	}
}

// feed is called for each event, from the goroutine of the source. It neither waits nor allocates once it is warm.
func (t *top) feed(e *monitor.Event) {
	t.things.Feed(e)
	if e.Kind == monitor.Exec && e.Process != nil {
		t.programs.learn(e.Process)
	}
}

// sampleActivity takes what the open source has counted by process, as often as the windows want it.
func (c *core) sampleActivity() {
	now := c.Now()
	if age := now.Sub(c.top.sampled); age >= 0 && age < monitor.ActivityPeriod {
		return
	}
	c.top.sampled = now
	activity, err := c.feed.source.Activity()
	if err != nil {
		c.Log.Warn("who makes the events cannot be read", "source", c.feed.source.Name(), "error", err)
		return
	}
	c.top.processes.Add(now, activity)
}

// busiest answers who makes the events. It may be called from any goroutine.
func (c *core) busiest(root bool) *control.Top {
	now := c.Now()
	answer := &control.Top{Time: now.UTC(), Source: c.published.Load().Source.Name, Level: monitor.Normal.String(), Private: !root, Windows: []control.TopWindow{}}
	if load := c.load.Load(); load != nil && c.live.Load() != nil {
		answer.Level = load.Level.String()
	}
	c.top.mu.Lock()
	defer c.top.mu.Unlock()
	looked := make(map[uint32]*lookedUp)
	for _, minutes := range topWindows {
		answer.Windows = append(answer.Windows, c.top.window(now, minutes, root, looked))
	}
	return answer
}

func (t *top) window(now time.Time, minutes int, root bool, looked map[uint32]*lookedUp) control.TopWindow {
	span := time.Duration(minutes) * time.Minute
	busy := t.processes.Top(now, span, mostGrouped)
	w := control.TopWindow{
		Minutes: minutes, Covered: busy.Covered.Seconds(), Events: busy.Events, Rate: busy.Rate,
		Programs: []control.TopProgram{}, Processes: []control.TopProcess{}, Files: []control.TopFile{}, Peers: []control.TopPeer{},
	}
	for _, g := range grouped(busy.Processes) {
		w.Programs = append(w.Programs, t.program(g, busy.Covered, looked))
	}
	for i := range busy.Processes[:min(len(busy.Processes), control.MaxTopProcesses)] {
		w.Processes = append(w.Processes, t.process(&busy.Processes[i], busy.Covered, looked))
	}
	if root {
		t.addThings(&w, now, span)
	}
	return w
}

// mostThings is more than the sketches of the longest window can hold.
const mostThings = 4096

// addThings adds files and peers. Where events are spread over more files than the sketch can tell apart, those that it happens to hold are no
// busier than others: what may for its larger part be another's is left out.
func (t *top) addThings(w *control.TopWindow, now time.Time, span time.Duration) {
	busy := t.things.Top(now, span, mostThings)
	for _, f := range busy.Files {
		if stands(f.Tally) && len(w.Files) < control.MaxTopFiles {
			w.Files = append(w.Files, control.TopFile{Path: f.Path, Events: f.Count, AtLeast: f.Count - f.Error})
		}
	}
	for _, p := range busy.Peers {
		if stands(p.Tally) && len(w.Peers) < control.MaxTopPeers {
			w.Peers = append(w.Peers, control.TopPeer{
				Address: p.Addr.String(), Port: p.Port, Protocol: protocol(p.Protocol), Inbound: p.Inbound,
				Flows: p.Count, AtLeast: p.Count - p.Error, Bytes: p.Bytes,
			})
		}
	}
}

func stands(t monitor.Tally) bool { return t.Error <= t.Count/2 }

// protocol names the protocols that flows are of.
func protocol(number uint8) string {
	switch number {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	}
	return strconv.Itoa(int(number))
}

// group is the processes of one executable. The first is the busiest.
type group struct {
	first     *monitor.BusyProcess
	processes int
	events    uint64
	kinds     map[monitor.Kind]uint64
}

// grouped puts the processes of each executable together, or of each comm where the executable is not known, and gives the busiest.
func grouped(processes []monitor.BusyProcess) []*group {
	type key struct {
		device, inode uint64
		comm          string
	}
	index := make(map[key]*group)
	var all []*group
	for i := range processes {
		p := &processes[i]
		k := key{p.Device, p.Inode, ""}
		if p.Inode == 0 {
			k.comm = p.Comm
		}
		g := index[k]
		if g == nil {
			g = &group{first: p, kinds: make(map[monitor.Kind]uint64)}
			index[k] = g
			all = append(all, g)
		}
		g.processes++
		g.events += p.Events
		for k, n := range p.Kinds {
			g.kinds[monitor.Kind(k)] += n
		}
	}
	slices.SortStableFunc(all, func(a, b *group) int { return cmp.Compare(b.events, a.events) })
	return all[:min(len(all), control.MaxTopPrograms)]
}

func (t *top) program(g *group, covered time.Duration, looked map[uint32]*lookedUp) control.TopProgram {
	p := g.first
	exe, _, parent := t.identify(p, looked)
	return control.TopProgram{
		Exe: exe, Device: p.Device, Inode: p.Inode, Comm: p.Comm, PID: p.PID, UID: p.UID, Parent: parent,
		Processes: g.processes, Events: g.events, Rate: rate(g.events, covered), Kinds: kindRates(g.kinds, covered),
	}
}

func (t *top) process(p *monitor.BusyProcess, covered time.Duration, looked map[uint32]*lookedUp) control.TopProcess {
	exe, ppid, parent := t.identify(p, looked)
	kinds := make(map[monitor.Kind]uint64)
	for k, n := range p.Kinds {
		kinds[monitor.Kind(k)] = n
	}
	return control.TopProcess{
		PID: p.PID, UID: p.UID, PPID: ppid, Comm: p.Comm, Exe: exe, Parent: parent, Events: p.Events, Rate: p.Rate, Kinds: kindRates(kinds, covered),
	}
}

func rate(n uint64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}

// kindRates are the kinds that came, the fastest first.
func kindRates(kinds map[monitor.Kind]uint64, covered time.Duration) []control.KindRate {
	rates := []control.KindRate{}
	for k, n := range kinds {
		if n > 0 {
			rates = append(rates, control.KindRate{Kind: k.String(), Rate: rate(n, covered)})
		}
	}
	slices.SortFunc(rates, func(a, b control.KindRate) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Kind, b.Kind))
	})
	return rates
}

// lookedUp is what proc(5) said of a process, during one answer.
type lookedUp struct {
	found  bool
	id     time.Duration // when it began
	exe    monitor.File
	ppid   uint32
	parent string
}

// tick is by how much proc(5) may tell another start of a process than the kernel's clock: one of its clock ticks, rounded either way.
const tick = 20 * time.Millisecond

// identify finds out the executable and the parent of a process: from proc(5) while it lives, else from what was seen to be executed.
func (t *top) identify(p *monitor.BusyProcess, looked map[uint32]*lookedUp) (exe string, ppid uint32, parent string) {
	l := looked[p.PID]
	if l == nil {
		l = t.look(p.PID)
		looked[p.PID] = l
	}
	began := l.id - time.Duration(p.StartBoot)
	same := l.found && began.Abs() <= tick && (p.Inode == 0 || l.exe.Inode == p.Inode)
	if same {
		exe, ppid, parent = l.exe.Path, l.ppid, l.parent
	}
	known, by := t.programs.find(p.Device, p.Inode)
	if exe == "" {
		exe = known
	}
	if parent == "" {
		parent = by
	}
	return cut(exe), ppid, cut(parent)
}

// cut keeps whoever runs programs with long paths from pushing others out of an answer, whose length is bounded.
func cut(path string) string {
	if len(path) <= maxProgram {
		return path
	}
	return strings.ToValidUTF8(path[:maxProgram], "") + "…"
}

func (t *top) look(pid uint32) *lookedUp {
	p := t.proc.Read(pid)
	if p == nil {
		return &lookedUp{}
	}
	l := &lookedUp{found: true, id: p.StartBoot, exe: p.Exe, ppid: p.PPID}
	l.exe.Path, l.parent = strings.Clone(p.Exe.Path), strings.Clone(parentOf(p)) // the table reuses the memory
	return l
}

// parentOf is the path of the parent's executable, else its comm.
func parentOf(p *monitor.Process) string {
	if len(p.Ancestors) > 0 && p.Ancestors[0].Exe != "" {
		return p.Ancestors[0].Exe
	}
	return p.Parent
}
