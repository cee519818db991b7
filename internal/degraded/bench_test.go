package degraded

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// benchRun is a reader that reads nothing: what it is to handle is handed to it.
func benchRun(b *testing.B, kinds monitor.Kinds) *run {
	b.Helper()
	o := openSource(b, monitor.Settings{Kinds: kinds}, options{groups: namedGroups})
	b.Cleanup(func() { o.Close() })
	r := newRun(o, func(*monitor.Event) {})
	r.dirs.keep = true
	return r
}

// A record of a file whose process and directory are known. The file itself is looked up in the file system.
func BenchmarkFileRecord(b *testing.B) {
	all, err := events(recorded(b, "fanotify-rename.bin")[0])
	if err != nil {
		b.Fatal(err)
	}
	for _, mask := range []struct {
		name string
		bits uint64
	}{{"write", unix.FAN_CLOSE_WRITE}, {"delete", unix.FAN_DELETE}} {
		b.Run(mask.name, func(b *testing.B) {
			r := benchRun(b, allOfThem)
			rec := all[0]
			for _, a := range all {
				if a.mask&unix.FAN_CREATE != 0 {
					rec = a
				}
			}
			rec.mask, rec.pid = mask.bits, 1
			r.dirs.learn(rec.entry.dir, "/tmp")
			r.tellRecord(&rec)
			b.ReportAllocs()
			for b.Loop() {
				r.tellRecord(&rec)
			}
		})
	}
}

func BenchmarkParseFanotify(b *testing.B) {
	buf := recorded(b, "fanotify-rename.bin")[0]
	var r fanotifyRecord
	size, err := r.next(buf)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.next(buf[:size])
	}
}

// What it costs to ask for all sockets of this host.
func BenchmarkDump(b *testing.B) {
	r := benchRun(b, allOfThem)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range diagProtocols {
			for _, f := range diagFamilies {
				if _, err := r.source.flows.dumper.dump(f, p, func(*diagSocket) {}); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

func BenchmarkExclusions(b *testing.B) {
	f, err := monitor.NewFilter(monitor.Settings{Kinds: allOfThem, Reduced: true})
	if err != nil {
		b.Fatal(err)
	}
	e := monitor.Event{Kind: monitor.FileWrite, Process: &monitor.Process{PID: 1}, File: monitor.File{Path: "/home/someone/src/project/build/output/file.o"}}
	b.ReportAllocs()
	for b.Loop() {
		f.Judge(&e, true)
	}
}
