package bpf

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/monitor"
)

// wire is a record as the kernel part writes it.
type wire struct {
	version, kind uint8
	flags         uint16
	status        uint32
	path, args    string
}

func (w wire) bytes() []byte {
	n := binary.NativeEndian
	b := make([]byte, recordSize, recordSize+len(w.path)+len(w.args))
	b = append(append(b, w.path...), w.args...)
	n.PutUint32(b[offSize:], uint32(len(b)))
	b[offVersion], b[offKind] = w.version, w.kind
	n.PutUint16(b[offFlags:], w.flags)
	n.PutUint64(b[offTime:], 5_000_000_000)
	n.PutUint64(b[offStart:], 4_000_000_000)
	n.PutUint64(b[offInode:], 99)
	n.PutUint32(b[offPID:], 42)
	n.PutUint32(b[offPPID:], 1)
	n.PutUint32(b[offUID:], 1000)
	n.PutUint32(b[offEUID:], 0)
	n.PutUint32(b[offStatus:], w.status)
	n.PutUint16(b[offPathSize:], uint16(len(w.path)))
	n.PutUint16(b[offArgsSize:], uint16(len(w.args)))
	copy(b[offComm:], "ls\x00junk")
	copy(b[offParent:], "sixteen-bytes-xx")
	return b
}

func fixedClock() *wallClock {
	return newWallClock(func() (wall, boot int64) { return 1_000_000_000_000, 5_000_000_000 })
}

func TestDecode(t *testing.T) {
	process := monitor.Process{
		PID: 42, PPID: 1, UID: 1000, EUID: 0,
		Start: time.Unix(999, 0), StartBoot: 4 * time.Second,
		Comm: "ls", Parent: "sixteen-bytes-xx",
	}
	at := time.Unix(1000, 0)
	for _, tt := range []struct {
		name string
		in   wire
		want monitor.Event
	}{
		{"exec", wire{1, 1, 0, 0, "/bin/ls", "ls\x00-l\x00"}, monitor.Event{Kind: monitor.Exec, Path: "/bin/ls", Args: []string{"ls", "-l"}}},
		{"empty arguments", wire{1, 1, 0, 0, "/x", "\x00\x00a\x00\x00"}, monitor.Event{Kind: monitor.Exec, Path: "/x", Args: []string{"", "", "a", ""}}},
		{"no arguments", wire{1, 1, 0, 0, "/x", ""}, monitor.Event{Kind: monitor.Exec, Path: "/x", Args: []string{}}},
		{"cut off", wire{1, 1, flagArgsTruncated, 0, "/x", "a\x00b"}, monitor.Event{Kind: monitor.Exec, Path: "/x", Args: []string{"a", "b"}, ArgsTruncated: true}},
		{"cut off, not flagged", wire{1, 1, 0, 0, "/x", "b"}, monitor.Event{Kind: monitor.Exec, Path: "/x", Args: []string{"b"}, ArgsTruncated: true}},
		{"exit status", wire{version: 1, kind: 2, status: 3 << 8}, monitor.Event{Kind: monitor.Exit, ExitCode: 3}},
		{"success", wire{version: 1, kind: 2}, monitor.Event{Kind: monitor.Exit}},
		{"killed", wire{version: 1, kind: 2, status: 9}, monitor.Event{Kind: monitor.Exit, ExitCode: -1, Signal: 9}},
		{"core dumped", wire{version: 1, kind: 2, status: 0x80 | 11}, monitor.Event{Kind: monitor.Exit, ExitCode: -1, Signal: 11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decoder{clock: fixedClock(), args: []string{}}
			got, err := d.decode(tt.in.bytes())
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Process, tt.want.Time = process, at
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	good := wire{1, 1, 0, 0, "/bin/ls", "ls\x00"}
	set := func(at int, v byte) []byte { b := good.bytes(); b[at] = v; return b }
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"half a header":      good.bytes()[:recordSize-1],
		"half a tail":        good.bytes()[:recordSize+3],
		"version":            set(offVersion, 2),
		"path too long":      set(offPathSize+1, 0xff),
		"arguments too long": set(offArgsSize+1, 0xff),
		"size":               set(offSize, recordSize),
		"size beyond":        set(offSize+3, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			d := decoder{clock: fixedClock()}
			if e, err := d.decode(b); err == nil || errors.Is(err, errUnknownKind) {
				t.Errorf("got %+v, error %v", e, err)
			}
		})
	}
	d := decoder{clock: fixedClock()}
	if _, err := d.decode(set(offKind, 77)); err != errUnknownKind {
		t.Errorf("got %v, want %v", err, errUnknownKind)
	}
}

// The layout in Go is that of headers/record.h, as compiled.
func TestLayout(t *testing.T) {
	spec, err := loadProcess()
	if err != nil {
		t.Fatal(err)
	}
	var record *btf.Struct
	if err := spec.Types.TypeByName("amp_record", &record); err != nil {
		t.Fatal(err)
	}
	if record.Size != recordSize {
		t.Errorf("struct amp_record has %d bytes, recordSize is %d", record.Size, recordSize)
	}
	want := map[string]uint32{
		"size": offSize, "version": offVersion, "kind": offKind, "flags": offFlags, "time": offTime, "start": offStart, "inode": offInode,
		"pid": offPID, "ppid": offPPID, "uid": offUID, "euid": offEUID, "status": offStatus, "path_size": offPathSize, "args_size": offArgsSize,
		"comm": offComm, "parent": offParent,
	}
	got := map[string]uint32{}
	for _, m := range record.Members {
		got[m.Name] = m.Offset.Bytes()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExitsSeen(t *testing.T) {
	var x exits
	for i, tt := range []struct {
		pid   uint32
		start uint64
		more  bool
		want  bool
	}{
		{1, 10, false, false},
		{1, 10, false, false}, // a single thread's exit comes once; it is not remembered
		{2, 10, true, false},
		{2, 10, true, true},
		{2, 10, false, true},
		{2, 11, false, false}, // the pid's next process
	} {
		if got := x.seen(tt.pid, tt.start, tt.more); got != tt.want {
			t.Errorf("call %d: got %v", i, got)
		}
	}
	for i := range uint32(1000) {
		x.seen(100+i, 1, true)
	}
	if x.seen(2, 10, false) || !x.seen(1099, 1, false) || !x.seen(1036, 1, false) || x.seen(1035, 1, false) {
		t.Error("expected the last 64 to be remembered")
	}
}

func TestWallClock(t *testing.T) {
	wall, boot := int64(1_000), int64(10)
	c := newWallClock(func() (int64, int64) { return wall * 1e9, boot * 1e9 })
	check := func(boot uint64, want int64) {
		t.Helper()
		c.follow(boot * 1e9)
		if got := c.at(boot * 1e9).UnixNano(); got != want*1e9 {
			t.Errorf("boot time %d s is %d ns, want %d s", boot, got, want)
		}
	}
	check(10, 1000)
	wall, boot = 5_011, 11 // the clock was set forward
	check(10, 1000)        // not looked at yet
	check(11, 5011)
	c.read = func() (int64, int64) { return 5_012*1e9 + 50e6, 12 * 1e9 } // it drifts
	check(12, 5012)
}

func FuzzDecode(f *testing.F) {
	f.Add(wire{1, 1, 0, 0, "/bin/ls", "ls\x00-l\x00"}.bytes())
	f.Add(wire{1, 1, flagScript, 0, "", "\x00\x00"}.bytes())
	f.Add(wire{version: 1, kind: 2, status: 139}.bytes())
	d := decoder{clock: fixedClock()}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := d.decode(b)
		if err != nil {
			return
		}
		n := len(e.Path)
		for _, a := range e.Args {
			n += len(a)
			if strings.Contains(a, "\x00") {
				t.Errorf("argument %q", a)
			}
		}
		if n > len(b)-recordSize {
			t.Errorf("%d bytes of strings from a record of %d", n, len(b))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	record := wire{1, 1, 0, 0, "/usr/bin/gcc", "gcc\x00-O2\x00-c\x00-o\x00main.o\x00main.c\x00"}.bytes()
	d := decoder{clock: newWallClock(readClocks)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(record); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	record := wire{1, 1, 0, 0, "/bin/ls", "ls\x00-l\x00"}.bytes()
	d := decoder{clock: newWallClock(readClocks)}
	if n := testing.AllocsPerRun(1000, func() { d.decode(record) }); n > 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// What the reader makes of records, without a kernel.
func TestTake(t *testing.T) {
	var got []monitor.Event
	r := run{source: &source{}, handle: func(e *monitor.Event) { got = append(got, e.Clone()) }, decoder: decoder{clock: fixedClock()}}
	r.take(wire{version: 1, kind: kindExit, flags: flagThreads, status: 9}.bytes())
	r.take(wire{version: 1, kind: kindExit, status: 9}.bytes()) // the same exit, seen by another thread
	r.take(wire{version: 1, kind: 77}.bytes())
	r.take(wire{version: 2, kind: kindExit}.bytes())
	r.take(nil)
	if len(got) != 1 || got[0].Signal != 9 || r.handled.Load() != 1 || r.damaged.Load() != 2 {
		t.Errorf("handled %d, damaged %d, events %+v, expected 1, 2 and one exit", r.handled.Load(), r.damaged.Load(), got)
	}
}
