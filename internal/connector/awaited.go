package connector

import (
	"fmt"
	"strings"
	"sync"

	"github.com/ampconnector/amp/internal/monitor"
)

// awaited is the canary that a feed looks out for: which of its kinds have arrived.
type awaited struct {
	token string
	news  chan struct{} // something arrived; holds one

	mu    sync.Mutex
	pid   uint32 // of the canary's process as the kernel numbers it; 0 until that is known
	ppid  uint32 // of the one that started it, by the event of its exec
	seen  monitor.Kinds
	wrong string // an event of the canary's file that named another process
}

func newAwaited(token string) *awaited { return &awaited{token: token, news: make(chan struct{}, 1)} }

// isProcess says which process is the canary's.
func (a *awaited) isProcess(pid uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pid = pid
}

// look tells whether e is of the canary. Its token is random and known to nobody else: an exec is known by its arguments, a file by its
// name, all else by the process. So is an exec without arguments: on one processor the canary may be done before the degraded source can read them.
func (a *awaited) look(e *monitor.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case e.Kind == monitor.Exec:
		named := len(e.Args) >= 2 && e.Args[len(e.Args)-2] == a.token
		if !named && (len(e.Args) > 0 || a.pid == 0 || e.Process.PID != a.pid) {
			return
		}
		a.pid, a.ppid = e.Process.PID, e.Process.PPID
	case monitor.FileKinds.Has(e.Kind):
		if !strings.Contains(e.File.Path, a.token) && !strings.Contains(e.Target.Path, a.token) {
			return
		}
		if a.pid != 0 && e.Process.PID != a.pid {
			a.wrong = fmt.Sprintf("%s of %s came from process %d, expected process %d", e.Kind, e.File.Path, e.Process.PID, a.pid)
			return
		}
	case a.pid == 0 || e.Process == nil || e.Process.PID != a.pid:
		return
	}
	a.seen |= monitor.KindsOf(e.Kind)
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// state is what has arrived until now.
func (a *awaited) state() (pid, ppid uint32, seen monitor.Kinds, wrong string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pid, a.ppid, a.seen, a.wrong
}
