package queue

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// compiler is a process as a build of a large tree has them by the thousand.
func compiler(pid int) *monitor.Process {
	p := &monitor.Process{
		PID: uint32(pid), StartBoot: time.Duration(pid), Comm: "cc1", Parent: "gcc", Directory: "/home/build/linux-6.1",
		Exe:  monitor.File{Path: "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", Device: 1, Inode: 2},
		Args: strings.Fields("/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -nostdinc -I ./arch/x86/include -I ./arch/x86/include/generated -I ./include -D KBUILD_MODFILE=x -o /tmp/ccE4zLZF.s"),
	}
	for i, exe := range []string{"/usr/bin/x86_64-linux-gnu-gcc-12", "/usr/bin/dash", "/usr/bin/make", "/usr/bin/make", "/usr/bin/bash", "/usr/sbin/sshd", "/usr/lib/systemd/systemd"} {
		p.Ancestors = append(p.Ancestors, monitor.Ancestor{PID: uint32(i), StartBoot: time.Second, Exe: exe})
	}
	return p
}

func objectFile(i int, name string) monitor.File {
	return monitor.File{Path: name, Device: 5, Inode: uint64(i + 10), Size: 100, Changed: 5}
}

// heap is what is in use, in bytes.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What waits takes the memory that is counted for it, and no more than it may.
func TestMemoryOfWhatWaits(t *testing.T) {
	const most = 8 << 20
	long := "/" + strings.Repeat("x", 4000)
	for _, tt := range []struct {
		name string
		all  bool // it fits
		fill func(q *Queue, i int)
	}{
		{"compiler, two files each", true, func(q *Queue, i int) {
			q.Offer(&monitor.Event{Kind: monitor.FileWrite, Process: compiler(i / 2), File: objectFile(i, fmt.Sprintf("/home/build/linux-6.1/drivers/net/ethernet/%d.o", i))})
		}},
		{"long paths", false, func(q *Queue, i int) {
			q.Offer(&monitor.Event{Kind: monitor.FileRename, Process: nobody, File: objectFile(i, long), Target: objectFile(i, long+"a")})
		}},
		{"other names of a file", false, func(q *Queue, i int) {
			q.Offer(&monitor.Event{Kind: monitor.FileLink, Process: nobody, File: objectFile(i/8, long+"a"), Target: objectFile(i/8, fmt.Sprint(long, i))})
		}},
		{"processes with long arguments, executed", false, func(q *Queue, i int) {
			p := compiler(i)
			p.Args = []string{long}
			q.Offer(&monitor.Event{Kind: monitor.Exec, Process: p, File: objectFile(i, "/bin/x")})
		}},
	} {
		w := newWorld(t, func(c *Config) { c.Bytes = most })
		q, before := w.q, heap()
		for i := range 8192 {
			tt.fill(q, i)
		}
		c, used, counted := q.Counts(), heap()-before, q.waiting.bytes
		t.Logf("%s: %d wait, %d dropped, %d KiB used, %d KiB counted", tt.name, c.Waiting, c.Dropped, used>>10, counted>>10)
		if counted > most+most/8 || used > most+most/2 {
			t.Errorf("%s: %d bytes used, %d counted, expected at most %d", tt.name, used, counted, most)
		}
		if tt.all != (c.Dropped == 0) || c.Waiting == 0 {
			t.Errorf("%s: %d wait, %d dropped", tt.name, c.Waiting, c.Dropped)
		}
		q.mu.Lock()
		for q.waiting.pop() != nil {
		}
		if q.waiting.bytes != 0 || q.waiting.count != 0 {
			t.Errorf("%s: nothing waits, and %d bytes are counted", tt.name, q.waiting.bytes)
		}
		q.mu.Unlock()
	}
}
