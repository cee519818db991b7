package bpf

import (
	"context"
	"os/exec"
	"slices"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// What was read before is told of no other process, and reading the same processes again allocates nothing.
func TestActivityReader(t *testing.T) {
	one, other := &process{Start: 5, PID: 1}, &process{Start: 6, PID: 2}
	ofOne := &activityRecord{Exe: executable{Inode: 7, Device: 1<<20 | 2}, UID: 8, Comm: [commSize]byte{'o', 'n', 'e'}}
	ofOne.Kinds[monitor.Exec] = 3
	ofOther := &activityRecord{Comm: [commSize]byte{'o', 't', 'h', 'e', 'r'}}
	ofOther.Kinds[monitor.Exit] = 4
	wantOne := monitor.Activity{PID: 1, StartBoot: 5, UID: 8, Comm: "one", Device: 1<<8 | 2, Inode: 7}
	wantOne.Kinds[monitor.Exec] = 3
	wantOther := monitor.Activity{PID: 2, StartBoot: 6, Comm: "other"}
	wantOther.Kinds[monitor.Exit] = 4
	var a activityReader
	for i, turn := range []struct {
		processes []*process
		records   []*activityRecord
		want      []monitor.Activity
	}{
		{[]*process{one, other}, []*activityRecord{ofOne, ofOther}, []monitor.Activity{wantOne, wantOther}},
		{[]*process{other}, []*activityRecord{ofOther}, []monitor.Activity{wantOther}},
		{[]*process{other, one}, []*activityRecord{ofOther, ofOne}, []monitor.Activity{wantOther, wantOne}},
	} {
		a.all = a.all[:0]
		for i := range turn.processes {
			a.add(turn.processes[i], turn.records[i])
		}
		if !slices.Equal(a.all, turn.want) {
			t.Errorf("turn %d: %+v, expected %+v", i, a.all, turn.want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { a.all = a.all[:0]; a.add(other, ofOther); a.add(one, ofOne) }); n != 0 {
		t.Errorf("%v allocations to read the same again, expected none", n)
	}
}

// BenchmarkActivity is what it takes to read what 4096 processes did, which is as many as are kept.
func BenchmarkActivity(b *testing.B) {
	needsBPF(b)
	s, err := open(context.Background(), monitor.Settings{Kinds: monitor.KindsOf(monitor.Exec)}, options{name: monitor.EBPFKernelBTF})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for range 5000 {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
	all, err := s.Activity()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Activity(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(all)), "processes")
}
