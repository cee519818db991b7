package queue

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// What is written through a mapping that was there during the scan changes no time of the file: that it was clean says nothing of it.
func TestAFileThatSomebodyHasMappedIsNotKnown(t *testing.T) {
	w := newWorld(t, nil)
	w.file("f", "harmless so far, and longer than what is to come")
	f, err := os.OpenFile(w.dir+"/f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := unix.Mmap(int(f.Fd()), 0, len(bad), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	mapping[0] = 'H' // ctime changes here
	w.q.Offer(wrote(w.look(w.dir + "/f")))
	w.drain()
	if len(w.findings) != 0 || w.names() != "f" {
		t.Fatal(w.findings)
	}
	copy(mapping, bad)
	if err := unix.Munmap(mapping); err != nil {
		t.Fatal(err)
	}
	w.q.Offer(&monitor.Event{Kind: monitor.Exec, Process: nobody, File: w.look(w.dir + "/f")})
	w.drain()
	if len(w.findings) != 1 {
		t.Errorf("%d findings, scanned %q", len(w.findings), w.names())
	}
	w.q.Offer(&monitor.Event{Kind: monitor.Exec, Process: nobody, File: w.look(w.dir + "/f")})
	w.drain()
	if c := w.q.Counts(); c.Known != 1 {
		t.Errorf("nobody has it mapped any more, and still it is not known: %+v", c)
	}
}
