package bpf

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// BenchmarkTake is what the reader does with a record, from its bytes to its line in the log's buffer. The processes of programs are new ones each
// time, as on a host where one is started after the other, and those of files live on.
func BenchmarkTake(b *testing.B) {
	n := binary.NativeEndian
	programs := [][]byte{execWire(0, "/usr/bin/ls", "ls\x00-l\x00").bytes(), exitWire(0, 0).bytes()}
	files := [][]byte{
		fileWire(monitor.FileCreate, 0, "/srv/d12/f345.new", "").bytes(),
		fileWire(monitor.FileWrite, 0, "/srv/d12/f345.new", "").bytes(),
		fileWire(monitor.FileRename, 0, "/srv/d12/f345.new", "/srv/d12/f345").bytes(),
		fileWire(monitor.FileDelete, 0, "/srv/d12/f345", "").bytes(),
	}
	for name, records := range map[string][][]byte{"programs": programs, "files": files} {
		b.Run(name, func(b *testing.B) {
			log, err := monitor.OpenLog(filepath.Join(b.TempDir(), "events.jsonl"), 1<<30) // is not rotated
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			clock := newWallClock(readClocks)
			r := run{source: &source{}, decoder: decoder{clock: clock}, subjects: newSubjects(clock), handle: func(e *monitor.Event) {
				if err := log.Append(e); err != nil {
					b.Fatal(err)
				}
			}}
			const parent, parentStart = 1 << 22, 1 // no process has such a pid
			now, pid := uint64(parentStart), uint32(parent)
			shell := execWire(0, "/usr/bin/sh", "sh\x00")
			stamp := func(record []byte) {
				n.PutUint32(record[offPID:], pid)
				n.PutUint64(record[offStart:], now)
				n.PutUint64(record[offTime:], now+500_000)
			}
			first := shell.bytes()
			stamp(first)
			r.take(first)
			for _, record := range records {
				n.PutUint32(record[offPPID:], parent)
				n.PutUint64(record[offParentStart:], parentStart)
				copy(record[offParent:offParent+commSize], first[offComm:])
			}
			b.ReportAllocs()
			for b.Loop() {
				if name == "programs" {
					now += 1_000_000
					pid = pid%32768 + 1
				}
				for _, record := range records {
					stamp(record)
					r.take(record)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/event")
		})
	}
}
