package degraded

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// activityMost bounds the processes whose activity is kept. When there are more, the quietest quarter is forgotten.
const activityMost = 4096

type processKey struct {
	pid   uint32
	start time.Duration
}

// activities is how much each process did.
type activities struct {
	mu   sync.Mutex
	by   map[processKey]*monitor.Activity
	last *monitor.Activity // of the event before, which often is of the same process
	key  processKey
}

// add counts an event of p. What p is called and executes is taken anew at each exec.
func (a *activities) add(p *monitor.Process, k monitor.Kind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := processKey{p.PID, p.StartBoot}
	if a.last == nil || a.key != key {
		a.last, a.key = a.of(key, p), key
	}
	if k == monitor.Exec {
		describe(a.last, p)
	}
	a.last.Kinds[k]++
}

func (a *activities) of(key processKey, p *monitor.Process) *monitor.Activity {
	if found := a.by[key]; found != nil {
		return found
	}
	if a.by == nil {
		a.by = make(map[processKey]*monitor.Activity)
	}
	if len(a.by) >= activityMost {
		a.forget()
	}
	made := &monitor.Activity{PID: p.PID, StartBoot: uint64(p.StartBoot)}
	describe(made, p)
	a.by[key] = made
	return made
}

func describe(a *monitor.Activity, p *monitor.Process) {
	a.UID, a.Device, a.Inode = p.UID, p.Exe.Device, p.Exe.Inode
	if a.Comm != p.Comm {
		a.Comm = strings.Clone(p.Comm)
	}
}

func total(a *monitor.Activity) (n uint64) {
	for _, m := range a.Kinds {
		n += m
	}
	return n
}

func (a *activities) forget() {
	type quiet struct {
		key processKey
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

func (a *activities) list() []monitor.Activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]monitor.Activity, 0, len(a.by))
	for _, v := range a.by {
		list = append(list, *v)
	}
	return list
}
