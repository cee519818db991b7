package monitor

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// activityMost bounds the processes whose activity is kept. When there are more, the quietest quarter is forgotten.
const activityMost = 4096

type activeProcess struct {
	pid   uint32
	start time.Duration
}

// Activities is how much each process did, counted from its events by a source that has no count of the kernel's. The zero value is ready.
type Activities struct {
	mu   sync.Mutex
	by   map[activeProcess]*Activity
	last *Activity // of the event before, which often is of the same process
	key  activeProcess
}

// Add counts an event of p. What p is called and executes is taken anew at each exec.
func (a *Activities) Add(p *Process, k Kind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := activeProcess{p.PID, p.StartBoot}
	if a.last == nil || a.key != key {
		a.last, a.key = a.of(key, p), key
	}
	if k == Exec {
		describe(a.last, p)
	}
	a.last.Kinds[k]++
}

func (a *Activities) of(key activeProcess, p *Process) *Activity {
	if found := a.by[key]; found != nil {
		return found
	}
	if a.by == nil {
		a.by = make(map[activeProcess]*Activity)
	}
	if len(a.by) >= activityMost {
		a.forget()
	}
	made := &Activity{PID: p.PID, StartBoot: uint64(p.StartBoot)}
	describe(made, p)
	a.by[key] = made
	return made
}

func describe(a *Activity, p *Process) {
	a.UID, a.Device, a.Inode = p.UID, p.Exe.Device, p.Exe.Inode
	if a.Comm != p.Comm {
		a.Comm = strings.Clone(p.Comm)
	}
}

func total(a *Activity) (n uint64) {
	for _, m := range a.Kinds {
		n += m
	}
	return n
}

func (a *Activities) forget() {
	type quiet struct {
		key activeProcess
		n   uint64
	}
	all := make([]quiet, 0, len(a.by))
	for k, v := range a.by {
		all = append(all, quiet{k, total(v)})
	}
	slices.SortFunc(all, func(x, y quiet) int { return cmp.Compare(x.n, y.n) })
	for _, q := range all[:len(all)/4] {
		delete(a.by, q.key)
	}
}

// List is what the processes did, in no order.
func (a *Activities) List() []Activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Activity, 0, len(a.by))
	for _, v := range a.by {
		list = append(list, *v)
	}
	return list
}
