package bpf

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

// wire is a record as the kernel part writes it.
type wire struct {
	version, kind uint8
	flags         uint16
	fixed, tail   string
}

func (w wire) bytes() []byte {
	n := binary.NativeEndian
	b := make([]byte, recordSize, recordSize+len(w.fixed)+len(w.tail))
	b = append(append(b, w.fixed...), w.tail...)
	n.PutUint32(b[offSize:], uint32(len(b)))
	b[offVersion], b[offKind] = w.version, w.kind
	n.PutUint16(b[offFlags:], w.flags)
	n.PutUint64(b[offTime:], 5_000_000_000)
	n.PutUint64(b[offStart:], 4_000_000_000)
	n.PutUint64(b[offParentStart:], 3_000_000_000)
	n.PutUint64(b[offCgroup:], 77)
	n.PutUint32(b[offPID:], 42)
	n.PutUint32(b[offPPID:], 1)
	n.PutUint32(b[offUID:], 1000)
	n.PutUint32(b[offEUID:], 0)
	n.PutUint32(b[offAUID:], 1001)
	n.PutUint32(b[offMerged:], 5)
	copy(b[offComm:], "ls\x00junk")
	copy(b[offParent:], "sixteen-bytes-xx")
	return b
}

// execWire is an exec of /usr/bin/ls, inode 99 on device 8:1, in /home.
func execWire(flags uint16, path, args string) wire {
	const exe, cwd = "/usr/bin/ls", "/home"
	n := binary.NativeEndian
	var b []byte
	b = n.AppendUint64(b, 99)
	b = n.AppendUint32(b, kernelDevice(8, 1))
	for _, s := range []string{path, exe, cwd, args} {
		b = n.AppendUint16(b, uint16(len(s)))
	}
	b = n.AppendUint32(b, 0)
	return wire{recordVersion, uint8(monitor.Exec), flags, string(b), path + exe + cwd + args}
}

func exitWire(flags uint16, status uint32) wire {
	n := binary.NativeEndian
	return wire{recordVersion, uint8(monitor.Exit), flags, string(n.AppendUint32(n.AppendUint32(nil, status), 0)), ""}
}

// fileWire is an event of a file with inode 99 and a target with inode 98, both on device 8:1.
func fileWire(kind monitor.Kind, flags uint16, path, target string) wire {
	n := binary.NativeEndian
	var b []byte
	for _, v := range []uint64{99, 1234, 5_000, 98} {
		b = n.AppendUint64(b, v)
	}
	for _, v := range []uint32{kernelDevice(8, 1), kernelDevice(8, 1), 0o100644, 7, 8} {
		b = n.AppendUint32(b, v)
	}
	b = n.AppendUint16(n.AppendUint16(b, uint16(len(path))), uint16(len(target)))
	return wire{recordVersion, uint8(kind), flags, string(b), path + target}
}

func fixedClock() *wallClock {
	return newWallClock(func() (wall, boot int64) { return 1_000_000_000_000, 5_000_000_000 })
}

func TestDecode(t *testing.T) {
	process := monitor.Process{
		PID: 42, PPID: 1, UID: 1000, EUID: 0, AUID: 1001, Cgroup: 77,
		Start: time.Unix(999, 0), StartBoot: 4 * time.Second,
		Comm: "ls", Parent: "sixteen-bytes-xx",
		Ancestors: []monitor.Ancestor{{PID: 1, StartBoot: 3 * time.Second, Exe: "sixteen-bytes-xx"}},
	}
	exe := monitor.File{Path: "/usr/bin/ls", Device: unix.Mkdev(8, 1), Inode: 99}
	given := func(path string) monitor.File { f := exe; f.Path = path; return f }
	source := monitor.File{Path: "/a", Device: unix.Mkdev(8, 1), Inode: 99}
	target := monitor.File{Path: "/b", Device: unix.Mkdev(8, 1), Inode: 98}
	written := source
	written.Size, written.Changed = 1234, 5_000
	cut, cutTarget := source, target
	cut.Truncated, cutTarget.Truncated = true, true
	joined, joinedTarget := source, target
	joined.Path, joined.Joined, joinedTarget.Path, joinedTarget.Joined = "/d/a", true, "/root/b", true
	for _, tt := range []struct {
		name string
		in   wire
		want monitor.Event
	}{
		{"create", fileWire(monitor.FileCreate, 0, "/a", ""), monitor.Event{File: source}},
		{"write", fileWire(monitor.FileWrite, 0, "/a", ""), monitor.Event{File: written}},
		{"delete", fileWire(monitor.FileDelete, flagPathTruncated, "/a", ""), monitor.Event{File: cut}},
		{"map", fileWire(monitor.FileMap, 0, "/a", ""), monitor.Event{File: source}},
		{"attributes", fileWire(monitor.FileAttributes, 0, "/a", ""), monitor.Event{File: source, Mode: 0o100644, Owner: 7, Group: 8}},
		{"rename", fileWire(monitor.FileRename, flagTargetTruncated, "/a", "/b"), monitor.Event{File: source, Target: cutTarget}},
		{"link", fileWire(monitor.FileLink, 0, "/a", "/b"), monitor.Event{File: source, Target: target}},
		{"copy", fileWire(monitor.FileCopy, 0, "/a", "/b"), monitor.Event{File: source, Target: target}},
		{"names", fileWire(monitor.FileRename, flagJoined, "/d/e\x00../f/../a", "/root\x00/../x/.././b"), monitor.Event{File: joined, Target: joinedTarget}},
		{"exec", execWire(0, "/bin/ls", "ls\x00-l\x00"), monitor.Event{File: given("/bin/ls"), Args: []string{"ls", "-l"}}},
		{"empty arguments", execWire(0, "/x", "\x00\x00a\x00\x00"), monitor.Event{File: given("/x"), Args: []string{"", "", "a", ""}}},
		{"no arguments", execWire(0, "/x", ""), monitor.Event{File: given("/x"), Args: []string{}}},
		{"cut off", execWire(flagArgsTruncated, "/x", "a\x00b"), monitor.Event{File: given("/x"), Args: []string{"a", "b"}, ArgsTruncated: true}},
		{"cut off, not flagged", execWire(0, "/x", "b"), monitor.Event{File: given("/x"), Args: []string{"b"}, ArgsTruncated: true}},
		{"relative", execWire(0, "./ls", ""), monitor.Event{File: exe, Args: []string{}}},
		{"descriptor", execWire(0, "/dev/fd/3", ""), monitor.Event{File: exe, Args: []string{}}},
		{"script", execWire(flagScript, "/x/y", ""), monitor.Event{File: monitor.File{Path: "/x/y"}, Args: []string{}}},
		{"relative script", execWire(flagScript, "../y", ""), monitor.Event{File: monitor.File{Path: "/y", Joined: true}, Args: []string{}}},
		{"script by descriptor", execWire(flagScript, "/dev/fd/3", ""), monitor.Event{File: monitor.File{Path: "/dev/fd/3"}, Args: []string{}}},
		{"long path", execWire(flagPathTruncated, "/x", ""), monitor.Event{File: monitor.File{Path: "/x", Truncated: true, Device: exe.Device, Inode: 99}, Args: []string{}}},
		{"exit status", exitWire(0, 3<<8), monitor.Event{ExitCode: 3}},
		{"success", exitWire(0, 0), monitor.Event{}},
		{"killed", exitWire(0, 9), monitor.Event{ExitCode: -1, Signal: 9}},
		{"core dumped", exitWire(0, 0x80|11), monitor.Event{ExitCode: -1, Signal: 11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decoder{clock: fixedClock(), args: []string{}}
			got, err := d.decode(tt.in.bytes())
			if err != nil {
				t.Fatal(err)
			}
			p := process
			if tt.in.kind == uint8(monitor.Exec) {
				p.Exe, p.Directory, p.Args = exe, "/home", tt.want.Args
			}
			tt.want.Kind, tt.want.Process, tt.want.Time, tt.want.Merged = monitor.Kind(tt.in.kind), &p, time.Unix(1000, 0), 5
			if diff := cmp.Diff(tt.want, *got, actions.SameEvents); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	good := execWire(0, "/bin/ls", "ls\x00")
	set := func(at int, v byte) []byte { b := good.bytes(); b[at] = v; return b }
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"half a header":      good.bytes()[:recordSize-1],
		"half a tail":        good.bytes()[:execSize+3],
		"version":            set(offVersion, 1),
		"path too long":      set(offExecPathSize+1, 0xff),
		"arguments too long": set(offExecArgsSize+1, 0xff),
		"arguments missing":  set(offExecArgsSize, 1),
		"size":               set(offSize, recordSize),
		"size of nothing":    set(offSize, 0),
		"size beyond":        set(offSize+3, 0xff),
		"file, too short":    fileWire(monitor.FileCreate, 0, "/a", "").bytes()[:fileSize],
		"exit, too long":     wire{recordVersion, uint8(monitor.Exit), 0, "12345678", "9"}.bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			d := decoder{clock: fixedClock()}
			if e, err := d.decode(b); err == nil || errors.Is(err, errUnknownKind) {
				t.Errorf("got %+v, error %v", e, err)
			}
		})
	}
	d := decoder{clock: fixedClock()}
	for _, kind := range []byte{0, 31, 77} {
		if _, err := d.decode(set(offKind, kind)); !errors.Is(err, errUnknownKind) {
			t.Errorf("got %v, want %v", err, errUnknownKind)
		}
	}
}

// The layouts in Go are those of the headers, as compiled.
func TestLayout(t *testing.T) {
	spec, err := loadProcess()
	if err != nil {
		t.Fatal(err)
	}
	head := map[string]uint32{
		"size": offSize, "version": offVersion, "kind": offKind, "flags": offFlags, "time": offTime, "start": offStart, "parent_start": offParentStart,
		"cgroup": offCgroup, "pid": offPID, "ppid": offPPID, "uid": offUID, "euid": offEUID, "auid": offAUID, "merged": offMerged,
		"comm": offComm, "parent": offParent,
	}
	exec := map[string]uint32{
		"head": 0, "inode": offExecInode, "device": offExecDevice, "path_size": offExecPathSize, "exe_size": offExecExeSize,
		"cwd_size": offExecCwdSize, "args_size": offExecArgsSize, "padding": execSize - 4,
	}
	checkLayout(t, spec, "amp_record", recordSize, head)
	checkLayout(t, spec, "amp_exec_record", execSize, exec)
	checkLayout(t, spec, "amp_exit_record", exitSize, map[string]uint32{"head": 0, "status": offExitStatus, "padding": exitSize - 4})
	checkLayout(t, spec, "amp_file_record", fileSize, map[string]uint32{
		"head": 0, "inode": offFileInode, "size": offFileBytes, "changed": offFileChanged, "target_inode": offFileTargetInode,
		"device": offFileDevice, "target_device": offFileTargetDevice, "mode": offFileMode, "owner": offFileOwner, "group": offFileGroup,
		"path_size": offFilePathSize, "target_size": offFileTargetSize,
	})
	for name, size := range map[string]int{
		"amp_settings": binary.Size(settings{}), "amp_executable": binary.Size(executable{}), "amp_prefix": binary.Size(prefix{}),
		"amp_process": binary.Size(process{}), "amp_activity": binary.Size(activityRecord{}), "amp_counts": binary.Size(kernelCounts{}),
	} {
		checkLayout(t, spec, name, size, nil)
	}
}

// checkLayout compares a structure of an object with its size, and with the offsets of its members unless they are nil.
func checkLayout(t *testing.T, spec *ebpf.CollectionSpec, name string, size int, want map[string]uint32) {
	t.Helper()
	var s *btf.Struct
	if err := spec.Types.TypeByName(name, &s); err != nil {
		t.Fatal(err)
	}
	if int(s.Size) != size {
		t.Errorf("struct %s has %d bytes, expected %d", name, s.Size, size)
	}
	got := map[string]uint32{}
	for _, m := range s.Members {
		got[m.Name] = m.Offset.Bytes()
	}
	if diff := cmp.Diff(want, got); want != nil && diff != "" {
		t.Errorf("struct %s: %s", name, diff)
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
	c.read = func() (int64, int64) { return 1_012*1e9 + 30e6, 12*1e9 + 30e6 } // set back
	if c.follow(12*1e9 + 20e6); c.at(12*1e9+20e6).UnixNano() != 1_012*1e9+20e6 {
		t.Errorf("20 ms after the last look a clock that was set is not followed: %s", c.at(12*1e9+20e6))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(execWire(0, "/bin/ls", "ls\x00-l\x00").bytes())
	f.Add(execWire(flagScript, "x", "\x00\x00").bytes())
	f.Add(exitWire(0, 139).bytes())
	f.Add(fileWire(monitor.FileRename, flagJoined, "/d/e\x00../f/../a", "/root\x00/../x/.././b").bytes())
	d := decoder{clock: fixedClock()}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := d.decode(b)
		if err != nil {
			return
		}
		n := len(e.Process.Exe.Path) + len(e.Target.Path)
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
	for name, w := range map[string]wire{
		"exec":   execWire(0, "/usr/bin/gcc", "gcc\x00-O2\x00-c\x00-o\x00main.o\x00main.c\x00"),
		"exit":   exitWire(0, 0),
		"write":  fileWire(monitor.FileWrite, 0, "/usr/lib/x86_64-linux-gnu/libc.so.6", ""),
		"rename": fileWire(monitor.FileRename, flagJoined, "/usr/lib\x00x86_64-linux-gnu/libc.so.6", "/usr/lib\x00x86_64-linux-gnu/libc.so.7"),
	} {
		b.Run(name, func(b *testing.B) {
			record := w.bytes()
			d := decoder{clock: newWallClock(readClocks)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.decode(record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d := decoder{clock: newWallClock(readClocks)}
	for _, w := range []wire{execWire(0, "/bin/ls", "ls\x00-l\x00"), execWire(flagScript, "./ls", "ls\x00-l\x00"), exitWire(0, 0),
		fileWire(monitor.FileRename, flagJoined, "/d\x00a", "/d\x00b"), fileWire(monitor.FileWrite, 0, "/a", "")} {
		record := w.bytes()
		if n := testing.AllocsPerRun(1000, func() { d.decode(record) }); n > 0 {
			t.Errorf("kind %d: %v allocations a record", w.kind, n)
		}
	}
}

// What the reader makes of records, without a kernel.
func TestTake(t *testing.T) {
	var got []monitor.Event
	r := run{source: &source{}, handle: func(e *monitor.Event) { got = append(got, e.Clone()) }, decoder: decoder{clock: fixedClock()}, subjects: newSubjects(fixedClock())}
	r.take(exitWire(flagThreads, 9).bytes())
	r.take(exitWire(0, 9).bytes()) // the same exit, seen by another thread
	r.take(wire{version: recordVersion, kind: 31}.bytes())
	r.take(wire{version: 1, kind: uint8(monitor.Exit)}.bytes())
	r.take(nil)
	var c monitor.Counts
	r.tally.addTo(&c)
	if exits := c.Kinds[monitor.Exit]; len(got) != 1 || got[0].Signal != 9 || exits != (monitor.Count{Handled: 1, Damaged: 1}) || c.Total().Damaged != 2 {
		t.Errorf("counted %+v, events %+v, expected 1 handled, 2 damaged and one exit", c.Total(), got)
	}
}

func TestJoin(t *testing.T) {
	for _, tt := range []struct{ dir, name, want string }{
		{"/a/b", "c", "/a/b/c"},
		{"/a/b", "./c//d/", "/a/b/c/d"},
		{"/a/b", "../../../c", "/c"},
		{"/a/b", "/c/../d/.", "/d"},
		{"/", "c", "/c"},
		{"/a", "..", "/"},
		{"", "", "/"},
		{"/a", "", "/a"},
		{"/a", "...", "/a/..."},
	} {
		if got := string(join([]byte("x")[:0], tt.dir, tt.name)); got != tt.want {
			t.Errorf("%q and %q: got %q, want %q", tt.dir, tt.name, got, tt.want)
		}
		if want := filepath.Join("/", tt.dir, tt.name); !filepath.IsAbs(tt.name) && want != tt.want {
			t.Errorf("%q and %q: want %q, filepath has %q", tt.dir, tt.name, tt.want, want)
		}
	}
}
