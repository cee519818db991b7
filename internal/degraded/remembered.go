package degraded

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

// rememberedFiles are the files that were made last, so that a further name of one can be told with the first.
type rememberedFiles struct {
	ring [512]struct {
		device, inode uint64
		path          []byte
	}
	next int
}

func (m *rememberedFiles) add(device, inode uint64, path string) {
	if inode == 0 {
		return
	}
	e := &m.ring[m.next%len(m.ring)]
	e.device, e.inode, e.path = device, inode, append(e.path[:0], path...)
	m.next++
}

// find is the path under which a file was made, nil if that is not known. It is good until the next add.
func (m *rememberedFiles) find(device, inode uint64) []byte {
	for i := 1; i <= len(m.ring); i++ {
		if e := &m.ring[(m.next+len(m.ring)-i)%len(m.ring)]; e.inode == inode && e.device == device {
			return e.path
		}
	}
	return nil
}
