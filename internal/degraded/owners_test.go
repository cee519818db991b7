package degraded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// descriptors makes what /proc/PID/fd of a process has: sockets with these numbers.
func descriptors(t *testing.T, proc string, pid, first, count int) {
	t.Helper()
	dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", first+i), filepath.Join(dir, strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// A process with more sockets than are looked at in all keeps no other from being found, whichever is younger, and is looked through as far as there is time.
func TestOwnersBesideAProxy(t *testing.T) {
	const small, proxy = 100, 900
	o := newOwners()
	o.proc = t.TempDir()
	descriptors(t, o.proc, small, 1, 2)
	descriptors(t, o.proc, proxy, 1_000_000, linksMost+1000)
	for _, round := range []string{"first", "with those that had sockets before looked at first"} {
		inodes := map[uint32]uint32{2: 0, 3: 0}
		for i := range uint32(linksMost) {
			inodes[1_000_000+i] = 0
		}
		o.find(inodes)
		found := 0
		for inode, pid := range inodes {
			if inode >= 1_000_000 && pid == proxy {
				found++
			}
		}
		if inodes[2] != small || inodes[3] != 0 || found < linksMost/2 {
			t.Errorf("%s: %d, %d, and %d of the proxy's; expected %d, 0, and most", round, inodes[2], inodes[3], found, small)
		}
	}
}
