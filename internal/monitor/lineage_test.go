package monitor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Whatever was kept before, a process is told with its own lineage.
func TestLineageIsItsOwn(t *testing.T) {
	var c lineages
	ancestor := func(pid uint32, start time.Duration, exe string) Ancestor {
		return Ancestor{PID: pid, StartBoot: start, Exe: exe}
	}
	long := strings.Repeat("x", largestLineage)
	all := []Process{
		{PPID: 1, Parent: "init", Ancestors: []Ancestor{ancestor(1, 5, "/init")}},
		{PPID: 1, Parent: "init"},
		{PPID: 1, Parent: "other", Ancestors: []Ancestor{ancestor(1, 5, "/init")}},
		{PPID: 1, Parent: "init", Ancestors: []Ancestor{ancestor(1, 6, "/init")}},
		{PPID: 1, Parent: "init", Ancestors: []Ancestor{ancestor(1, 5, "/init2")}},
		{PPID: 1, Parent: "init", Ancestors: []Ancestor{ancestor(1, 5, "/init"), ancestor(2, 4, "a")}},
		{PPID: 1, Parent: "init", Ancestors: []Ancestor{ancestor(1, 5, "/init"), ancestor(3, 4, "a")}},
		{PPID: 1, Parent: "init", Ancestors: []Ancestor{ancestor(1, 5, long)}},
		{PPID: 1 + lineageSlots, Parent: "init", Ancestors: []Ancestor{ancestor(1, 5, "/init")}},
		{},
	}
	say := func(l *lineage) string { return fmt.Sprintf("%s %s %s", l.parent, l.paths, l.ids) }
	for i := range all {
		for j := range all {
			c.of(&all[i])
			var want lineage
			want.make(&all[j])
			for range 2 {
				if got := say(c.of(&all[j])); got != say(&want) {
					t.Errorf("process %d after %d: %s, expected %s", j, i, got, say(&want))
				}
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		for i := range all {
			c.of(&all[i])
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Processes that come and go, execute, rename themselves and are taken over have the lines that copies of theirs have, which nothing is kept of.
func TestKeptLineageIsTheCopys(t *testing.T) {
	table := NewProcesses(ProcessesOptions{Limit: smallestTable, Proc: t.TempDir()})
	kept := newEncoder("host")
	random := rand.New(rand.NewPCG(1, 2))
	comms, starts := map[uint32]string{}, map[uint32]time.Duration{}
	const pids = 2 * smallestTable
	for i := range 3000 {
		pid := random.Uint32N(pids) + 1
		parent := pid/2 + pid%2*random.Uint32N(2)
		if starts[pid] == 0 || random.Uint32N(20) == 0 {
			starts[pid] = time.Duration(i + 1)
			comms[pid] = comms[parent]
		}
		if random.Uint32N(5) == 0 { // which its own next event tells the table, or that of a child
			comms[random.Uint32N(pids)+1] = string('a' + rune(random.Uint32N(4)))
		}
		s := Sight{
			ID: ProcessID{PID: pid, Start: starts[pid]}, Parent: ProcessID{PID: parent, Start: starts[parent]},
			Comm: comms[pid], ParentComm: comms[parent], Time: time.Duration(i + 1),
		}
		e := Event{Kind: FileDelete, File: File{Path: "/x"}}
		switch random.Uint32N(3) {
		case 0:
			e.Kind = Exec
			e.Process = table.Exec(&s, &Execution{Exe: File{Path: "/bin/" + comms[pid]}, Args: []string{"x"}})
			e.Args = e.Process.Args
		case 1:
			e.Process = table.Of(&s)
			table.Exit(s.ID)
		default:
			e.Process = table.Of(&s)
		}
		copied := e.Clone()
		if got, want := string(kept.append(nil, &e)), string(newEncoder("host").append(nil, &copied)); got != want {
			t.Fatalf("event %d:\n%s, expected\n%s", i, got, want)
		}
	}
}
