package monitor

import (
	"bytes"
	"encoding/binary"
)

// The cache of lineages, by the pid of the parent. Its memory is at most about lineageSlots × largestLineage, and what the longest lineage takes.
const (
	lineageSlots   = 64
	largestLineage = 4 << 10 // bytes; a longer one is made anew each time
)

// lineages keep the JSON of what processes have in common with all others that their parent starts. Of what a program's start tells,
// half the numbers are in it.
type lineages struct {
	slots   [lineageSlots]lineage
	longest lineage
	key     []byte
}

// lineage is the JSON of a parent and its ancestors.
type lineage struct {
	ancestry uint64 // of the last process that had it
	key      []byte // all that it is made of
	parent   []byte // an object
	paths    []byte // an array, the eldest first
	ids      []byte // likewise
}

// of finds that of a process. It is good until the next call.
func (c *lineages) of(p *Process) *lineage {
	l := &c.slots[p.PPID%lineageSlots]
	if p.ancestry != 0 && l.ancestry == p.ancestry {
		return l
	}
	n := binary.NativeEndian
	k := n.AppendUint32(c.key[:0], p.PPID)
	k = n.AppendUint32(k, uint32(len(p.Parent)))
	k = append(k, p.Parent...)
	for i := range p.Ancestors {
		a := &p.Ancestors[i]
		k = n.AppendUint32(k, a.PID)
		k = n.AppendUint64(k, uint64(a.StartBoot))
		k = n.AppendUint32(k, uint32(len(a.Exe)))
		k = append(k, a.Exe...)
	}
	c.key = k
	if len(l.key) > 0 && bytes.Equal(l.key, k) {
		l.ancestry = p.ancestry
		return l
	}
	c.longest.make(p)
	if made := &c.longest; len(k)+len(made.parent)+len(made.paths)+len(made.ids) <= largestLineage {
		*l, c.longest = c.longest, *l
		l.key, l.ancestry = append(l.key[:0], k...), p.ancestry
		return l
	}
	return &c.longest
}

// make writes the JSON of a process's lineage.
func (l *lineage) make(p *Process) {
	l.parent = appendParent(l.parent[:0], p)
	l.paths = append(l.paths[:0], '[')
	l.ids = append(l.ids[:0], '[')
	for i := len(p.Ancestors) - 1; i >= 0; i-- {
		l.paths = appendString(l.paths, p.Ancestors[i].Exe)
		l.ids = appendID(l.ids, p.Ancestors[i].PID, int64(p.Ancestors[i].StartBoot))
		if i > 0 {
			l.paths, l.ids = append(l.paths, ','), append(l.ids, ',')
		}
	}
	l.paths, l.ids = append(l.paths, ']'), append(l.ids, ']')
}
