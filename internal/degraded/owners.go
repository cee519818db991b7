package degraded

import (
	"bytes"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Bounds of a search for the owners of sockets.
const (
	linksMost = 20_000 // descriptors that are looked at, some 20 ms
	linksEach = 4096   // of one process, before all others have been looked at: a proxy may have more than all of them
	hotMost   = 32     // processes that had sockets before, and are looked at first
)

// owners finds the processes that have sockets open, by the links below /proc/PID/fd.
type owners struct {
	proc string
	hot  []uint32
	buf  [4096]byte // of links
}

func newOwners() owners { return owners{proc: "/proc"} }

// find sets the process of each inode, 0 where none was found in the time that there is.
func (o *owners) find(inodes map[uint32]uint32) {
	left, links := len(inodes), linksMost
	if left == 0 {
		return
	}
	var large []uint32 // processes with more than linksEach
	look := func(pid uint32, most int) (found int) {
		most = min(most, links)
		rest := most
		found = o.search(pid, inodes, &rest)
		if links, left = links-(most-rest), left-found; rest <= 0 && most == linksEach {
			large = append(large, pid)
		}
		return found
	}
	for _, pid := range o.hot {
		look(pid, linksEach)
	}
	if left <= 0 {
		return
	}
	for _, pid := range o.pids() {
		if left <= 0 || links <= 0 {
			return
		}
		if !slices.Contains(o.hot, pid) && look(pid, linksEach) > 0 {
			o.warm(pid)
		}
	}
	for _, pid := range large {
		if left > 0 && links > 0 && look(pid, linksMost) > 0 && !slices.Contains(o.hot, pid) {
			o.warm(pid)
		}
	}
}

// warm has a process looked at first from now on.
func (o *owners) warm(pid uint32) {
	if o.hot = append(o.hot, pid); len(o.hot) > hotMost {
		o.hot = slices.Delete(o.hot, 0, 1)
	}
}

// pids are all processes, the youngest numbers first.
func (o *owners) pids() (pids []uint32) {
	d, err := os.Open(o.proc)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.ParseUint(name, 10, 32); err == nil {
			pids = append(pids, uint32(pid))
		}
	}
	slices.Sort(pids)
	slices.Reverse(pids)
	return pids
}

// search looks at the descriptors of a process, and returns how many of the inodes it has that nobody else had.
func (o *owners) search(pid uint32, inodes map[uint32]uint32, links *int) (found int) {
	d, err := os.Open(o.proc + "/" + strconv.FormatUint(uint64(pid), 10) + "/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	for *links > 0 {
		names, err := d.Readdirnames(256)
		for _, name := range names {
			*links--
			n, e := unix.Readlinkat(int(d.Fd()), name, o.buf[:])
			if e != nil {
				continue
			}
			inode := socketInode(o.buf[:n])
			if owner, ok := inodes[inode]; ok && owner == 0 && inode != 0 {
				inodes[inode] = pid
				found++
			}
		}
		if err != nil {
			return found
		}
	}
	return found
}

// socketInode reads socket:[NUMBER]; 0 is another link.
func socketInode(link []byte) uint32 {
	n, ok := bytes.CutPrefix(link, []byte("socket:["))
	n, ok2 := bytes.CutSuffix(n, []byte("]"))
	if !ok || !ok2 {
		return 0
	}
	inode, err := strconv.ParseUint(string(n), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(inode)
}
