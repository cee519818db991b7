package connector

import (
	"sync"

	"github.com/ampconnector/amp/internal/monitor"
)

const (
	mostPrograms = 1024
	maxProgram   = 512 // bytes that are kept of a path
)

// fileID is a file as the kernel knows it.
type fileID struct{ device, inode uint64 }

// programs remembers the paths of what was executed, and by whom last, so that processes that have ended can be told by more than their comm.
// It has at most 1024 of them, about 1 MB.
type programs struct {
	mu    sync.Mutex
	known map[fileID]*program
	ring  []fileID // in the order in which they came
	next  int      // of ring, to be forgotten
}

// program is an executable. Its buffers are used again.
type program struct{ path, parent []byte }

func newPrograms() *programs { return &programs{known: make(map[fileID]*program, mostPrograms)} }

// learn takes what an exec says. It does not wait: while another goroutine reads, it learns nothing.
func (t *programs) learn(p *monitor.Process) {
	if p.Exe.Inode == 0 || p.Exe.Path == "" || p.Exe.Truncated || len(p.Exe.Path) > maxProgram || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	id := fileID{p.Exe.Device, p.Exe.Inode}
	x := t.known[id]
	if x == nil {
		x = t.place(id)
	}
	if string(x.path) != p.Exe.Path {
		x.path = append(x.path[:0], p.Exe.Path...)
	}
	if parent := parentOf(p); string(x.parent) != parent {
		x.parent = append(x.parent[:0], parent[:min(len(parent), maxProgram)]...)
	}
}

// place makes room for a program, in another's place if need be.
func (t *programs) place(id fileID) *program {
	if len(t.ring) < mostPrograms {
		t.ring = append(t.ring, id)
		t.known[id] = &program{}
		return t.known[id]
	}
	x := t.known[t.ring[t.next]]
	delete(t.known, t.ring[t.next])
	t.ring[t.next] = id
	t.next = (t.next + 1) % mostPrograms
	t.known[id] = x
	return x
}

// find gives the path of an executable and the parent that it had last, "" where they are not known.
func (t *programs) find(device, inode uint64) (path, parent string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.known[fileID{device, inode}]; x != nil {
		return string(x.path), string(x.parent)
	}
	return "", ""
}
