package bpf

// exits remembers the last exits of which a second record may come: when two threads of a process end at once, both can see that
// no thread is left. The zero value is ready.
type exits struct {
	ring [64]struct {
		pid   uint32
		start uint64
	}
	n int // how many were ever remembered
}

// seen reports whether this exit was remembered before, and remembers it if more may come.
func (x *exits) seen(pid uint32, start uint64, more bool) bool {
	for i := range min(x.n, len(x.ring)) {
		if x.ring[i].pid == pid && x.ring[i].start == start {
			return true
		}
	}
	if more {
		e := &x.ring[x.n%len(x.ring)]
		e.pid, e.start = pid, start
		x.n++
	}
	return false
}
