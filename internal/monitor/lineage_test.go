package monitor

import (
	"fmt"
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
