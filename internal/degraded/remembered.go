package degraded

import "bytes"

// rememberedExecs are the files that processes opened to execute them, until the process connector tells that they did.
type rememberedExecs struct {
	ring [256]struct {
		pid  uint32 // 0: free
		path []byte
	}
	next int
}

func (m *rememberedExecs) add(pid uint32, path string) {
	e := &m.ring[m.next%len(m.ring)]
	e.pid, e.path = pid, append(e.path[:0], path...)
	m.next++
}

// take appends the paths that a process opened to list, in their order, and forgets them. They are good until the next add.
func (m *rememberedExecs) take(pid uint32, list [][]byte) [][]byte {
	for i := range m.ring {
		e := &m.ring[(m.next+i)%len(m.ring)]
		if e.pid == pid && len(list) < cap(list) {
			list = append(list, e.path)
			e.pid = 0
		}
	}
	return list
}

// has reports whether a process opened the file.
func (m *rememberedExecs) has(pid uint32, path string) bool {
	for i := range m.ring {
		if e := &m.ring[i]; e.pid == pid && view(e.path) == path {
			return true
		}
	}
	return false
}

// first is the process that opened the oldest file, 0 if there is none.
func (m *rememberedExecs) first() uint32 {
	for i := range m.ring {
		if e := &m.ring[(m.next+i)%len(m.ring)]; e.pid != 0 {
			return e.pid
		}
	}
	return 0
}

// rememberedFiles are the files that were made lately, so that a further name of one can be told with the first. Each has one place, which
// it may lose to another.
type rememberedFiles [512]struct {
	id   []byte // as fanotify calls the file, else device and inode
	path []byte
}

// place is where a file is remembered, if it is. The hash is FNV-1a.
func (m *rememberedFiles) place(id []byte) int {
	h := uint32(2166136261)
	for _, b := range id {
		h = (h ^ uint32(b)) * 16777619
	}
	return int(h>>16^h) % len(m)
}

func (m *rememberedFiles) add(id []byte, path string) {
	e := &m[m.place(id)]
	e.id, e.path = append(e.id[:0], id...), append(e.path[:0], path...)
}

// find is the path that a file has, "" if that is not known. It is good until the next add.
func (m *rememberedFiles) find(id []byte) string {
	if e := &m[m.place(id)]; len(id) > 0 && bytes.Equal(e.id, id) {
		return view(e.path)
	}
	return ""
}
