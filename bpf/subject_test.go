package bpf

import (
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// What an exec says of a process stands in its later events too, whose records have only its number.
func TestLaterEventsKnowTheProgram(t *testing.T) {
	clock := fixedClock()
	var got []monitor.Event
	r := run{source: &source{}, handle: func(e *monitor.Event) { got = append(got, e.Clone()) }, decoder: decoder{clock: clock}, subjects: newSubjects(clock)}
	r.take(execWire(0, "/bin/ls", "ls\x00-l\x00").bytes())
	r.take(fileWire(monitor.FileWrite, 0, "/srv/a", "").bytes())
	r.take(exitWire(0, 0).bytes())
	if len(got) != 3 {
		t.Fatalf("%d events", len(got))
	}
	exec, write, exit := got[0].Process, got[1].Process, got[2].Process
	if exec.Exe.Path == "" || write.Exe != exec.Exe || len(write.Args) != 2 || write.Args[1] != "-l" || exit.Exe != exec.Exe {
		t.Errorf("exec by %+v, write by %+v, exit by %+v", exec, write, exit)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	clock := newWallClock(readClocks)
	r := run{source: &source{}, handle: func(*monitor.Event) {}, decoder: decoder{clock: clock}, subjects: newSubjects(clock)}
	r.take(execWire(0, "/bin/ls", "ls\x00-l\x00").bytes())
	record := fileWire(monitor.FileWrite, 0, "/srv/a", "").bytes()
	if n := testing.AllocsPerRun(1000, func() { r.take(record) }); n > 0 {
		t.Errorf("%v allocations an event of a known process", n)
	}
}
