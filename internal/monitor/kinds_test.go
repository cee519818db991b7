package monitor

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const containerID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// subjectOf is a process of which all is known.
func subjectOf() *Process {
	return &Process{
		PID: 4711, PPID: 4700, UID: 1000, EUID: 0, AUID: 1001, Start: at.Add(-time.Second), StartBoot: 12345678901, Comm: "cc1", Parent: "gcc",
		Exe:       File{Path: "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", Device: 2049, Inode: 1<<64 - 1},
		Args:      []string{"cc1", "-quiet", "main.c", "-o", "/tmp/cc.s"},
		Directory: "/home/build/project", Cgroup: 9876, Container: containerID, Label: "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023",
		Ancestors: []Ancestor{
			{PID: 4700, StartBoot: 12345670000, Exe: "/usr/bin/gcc"}, {PID: 4600, StartBoot: 12345660000, Exe: "/usr/bin/make"},
			{PID: 900, StartBoot: 10000000, Exe: "/usr/bin/bash"}, {PID: 1, Exe: "systemd"},
		},
	}
}

// eventsOfAllKinds has one or more of each, with all that such an event can have.
func eventsOfAllKinds() []Event {
	file := File{Path: "/home/build/project/main.o", Device: 2049, Inode: 77}
	target := File{Path: "/home/build/project/other.o", Device: 2049, Inode: 78}
	v4 := Flow{Protocol: 6, Local: netip.MustParseAddrPort("10.0.0.2:41000"), Remote: netip.MustParseAddrPort("192.0.2.1:443")}
	v6 := Flow{Protocol: 17, Inbound: true, Local: netip.MustParseAddrPort("[fe80::1%eth0]:53"), Remote: netip.MustParseAddrPort("[fe80::2%eth0]:5353")}
	closed := v4
	closed.Sent, closed.Received, closed.Duration = 100, 1<<40, 90*time.Minute+time.Millisecond
	inbound := closed
	inbound.Inbound = true
	written := file
	written.Size, written.Changed = 4096, 1790000000123456789
	odd := File{Path: "/tmp/\xff", Truncated: true, Joined: true}
	events := []Event{
		{Kind: Exec, File: File{Path: "/usr/bin/cc"}, Args: []string{"cc1", "-quiet", "main.c", "-o", "/tmp/cc.s"}},
		{Kind: Exec, File: File{Path: "/usr/lib/gcc/x86_64-linux-gnu/12/cc1"}, Args: []string{"a b", ""}, ArgsTruncated: true},
		{Kind: Exec, File: odd, Args: []string{"x"}},
		{Kind: Exit, ExitCode: 3},
		{Kind: Exit, ExitCode: -1, Signal: 11},
		{Kind: FileCreate, File: file, Merged: 7},
		{Kind: FileCreate, File: odd},
		{Kind: FileWrite, File: written},
		{Kind: FileRename, File: file, Target: target},
		{Kind: FileRename, File: odd, Target: odd},
		{Kind: FileLink, File: file, Target: target},
		{Kind: FileDelete, File: file},
		{Kind: FileAttributes, File: file, Mode: 0o104755, Owner: 1000, Group: 1<<32 - 1},
		{Kind: FileMap, File: file},
		{Kind: FileCopy, File: file, Target: target},
		{Kind: FlowOpen, Flow: v4},
		{Kind: FlowOpen, Flow: v6},
		{Kind: FlowClose, Flow: closed},
		{Kind: FlowClose, Flow: inbound},
		{Kind: Listen, Flow: Flow{Protocol: 6, Local: netip.MustParseAddrPort("[::]:8080")}},
		{Kind: FlowOpen, Flow: Flow{Protocol: 132}},
		{Kind: ModuleLoad, Name: "nf_tables", File: File{Path: "/lib/modules/6.1/nf_tables.ko"}},
		{Kind: BPFLoad, Name: "amp_exec", Subtype: 17},
		{Kind: Trace, OtherPID: 99, Subtype: 0x4206},
		{Kind: Trace, OtherPID: 99, Subtype: 5},
		{Kind: Credentials, OldUID: 1000, OldEUID: 1001},
		{Kind: Detection, Name: "Eicar-Test-Signature", File: file, Found: Found{Cause: FileWrite, SHA256: "275a", Engine: "1.4.6", Definitions: "built-in"}},
		{Kind: Detection, Name: "A\"B", File: odd, Found: Found{Quarantined: "20261128-0a1b2c3d", OtherNames: 2}},
		{Kind: Detection, Name: "A", File: file, Found: Found{LeftAlone: "the file was changed\n"}},
		{Kind: FileAttributes, File: file, Mode: Unset, Owner: Unset, Group: 0},
	}
	for i := range events {
		events[i].Time, events[i].Process = at, subjectOf()
		if events[i].Kind == Exec {
			events[i].Process.Args = events[i].Args
		}
	}
	return events
}

func TestAllKindsComeBack(t *testing.T) {
	seen := Kinds(0)
	for _, e := range eventsOfAllKinds() {
		seen |= KindsOf(e.Kind)
		bare := e
		bare.Process = &Process{PID: 1, UID: Unset, AUID: Unset, Start: time.UnixMilli(0)}
		if e.Kind == Exec {
			e.Process.Args = e.Args
		}
		for _, e := range []Event{e, bare} {
			b := encode(e)
			if !utf8.Valid(b) || !json.Valid(b) || strings.Count(string(b), "\n") != 1 {
				t.Errorf("not one line of JSON: %q", b)
			}
			r, err := ParseLine(b)
			if err != nil {
				t.Fatalf("%v\n%s", err, b)
			}
			if diff := cmp.Diff(Record{Event: e, Host: "host"}, r, comparable); diff != "" {
				t.Errorf("%v: %s\n%s", e.Kind, diff, b)
			}
		}
	}
	if want := ProcessKinds | FileKinds | NetworkKinds | KindsOf(Detection); seen != want {
		t.Errorf("kinds %b were tried, expected %b", seen, want)
	}
}

// What a consumer of OCSF looks for.
func TestFieldsOfTheKinds(t *testing.T) {
	for _, want := range []struct {
		event int
		parts []string
	}{
		{0, []string{`"type_uid":100701`, `"actor":{"process":{"pid":4700,"uid":"4700-12345670000","name":"gcc"}}`, `"process":{"pid":4711,"uid":"4711-12345678901","name":"cc1"`,
			`"cmd_line":"cc1 -quiet main.c -o /tmp/cc.s"`, `"file":{"path":"/usr/lib/gcc/x86_64-linux-gnu/12/cc1","name":"cc1","type_id":1,"uid":"2049-18446744073709551615"}`,
			`"user":{"uid":"1000"},"euid":0,"auid":1001`, `"container":{"uid":"` + containerID + `"}`, `"lineage":["systemd","/usr/bin/bash","/usr/bin/make","/usr/bin/gcc"]`,
			`"working_directory":"/home/build/project"`, `"selinux_context":"unconfined_u:`, `"cgroup_id":9876`, `"executed":"/usr/bin/cc"`}},
		{5, []string{`"class_uid":1001,"category_uid":1,"activity_id":1,"type_uid":100101`, `"count":8`, `"actor":{"process":{"pid":4711,`, `"file":{"path":"/home/build/project/main.o","name":"main.o","type_id":0,"uid":"2049-77"}`}},
		{7, []string{`"type_uid":100103`, `"size":4096`, `"unmapped":{"changed":1790000000123456789}`}},
		{8, []string{`"type_uid":100105`, `"file_result":{"path":"/home/build/project/other.o"`}},
		{10, []string{`"activity_id":99,"activity_name":"Link","type_uid":100199`}},
		{11, []string{`"type_uid":100104`}},
		{12, []string{`"type_uid":100107`, `"type_id":1,`, `"attributes":35309,"owner":{"uid":"1000"}`}},
		{13, []string{`"class_uid":1005`, `"type_uid":100501`, `"module":{"file":{"path":"/home/build/project/main.o"`, `"load_type_id":4`}},
		{14, []string{`"activity_name":"Copy"`}},
		{15, []string{`"class_uid":4001,"category_uid":4`, `"type_uid":400101`, `"connection_info":{"protocol_num":6,"protocol_name":"tcp","protocol_ver_id":4,"direction_id":2}`,
			`"src_endpoint":{"ip":"10.0.0.2","port":41000},"dst_endpoint":{"ip":"192.0.2.1","port":443}`}},
		{16, []string{`"protocol_name":"udp","protocol_ver_id":6,"direction_id":1`, `"src_endpoint":{"ip":"fe80::2%eth0","port":5353},"dst_endpoint":{"ip":"fe80::1%eth0","port":53}`}},
		{17, []string{`"type_uid":400102`, `"traffic":{"bytes":1099511627876,"bytes_in":1099511627776,"bytes_out":100},"duration":5400001`}},
		{18, []string{`"src_endpoint":{"ip":"192.0.2.1","port":443}`, `"bytes_in":100,"bytes_out":1099511627776`}},
		{19, []string{`"activity_name":"Listen","type_uid":400199`, `"dst_endpoint":{"ip":"::","port":8080}`}},
		{21, []string{`"class_uid":1002`, `"driver":{"file":{"name":"nf_tables","path":"/lib/modules/6.1/nf_tables.ko","type_id":1}}`}},
		{22, []string{`"class_uid":1003`, `"kernel":{"name":"amp_exec","type":"BPF program","type_id":99}`}},
		{23, []string{`"type_uid":100703`, `"process":{"pid":99}`}},
		{24, []string{`"type_uid":100704`}},
		{25, []string{`"type_uid":100705`, `"old_uid":1000,"old_euid":1001`}},
	} {
		e := eventsOfAllKinds()[want.event]
		got := string(encode(e))
		for _, part := range want.parts {
			if !strings.Contains(got, part) {
				t.Errorf("%v: %s is not in %s", e.Kind, part, got)
			}
		}
	}
}

// A member that would say nothing is left out: of a call that sets the mode alone owner and group, of a process of which little is known the rest.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	chmod := encode(Event{Kind: FileAttributes, Time: time.UnixMilli(1), File: File{Path: "/f"}, Mode: 0o755, Owner: Unset, Group: Unset, Process: &Process{PID: 7, PPID: 1, AUID: Unset}})
	chown := encode(Event{Kind: FileAttributes, Time: time.UnixMilli(1), File: File{Path: "/f"}, Mode: Unset, Owner: 5, Group: Unset, Process: &Process{PID: 7, PPID: 1, AUID: Unset}})
	demand := encode(Event{Kind: Detection, Time: time.UnixMilli(1), Name: "Eicar", File: File{Path: "/f"}, Process: &Process{PID: 7, Comm: "ampdaemon", AUID: Unset}})
	for _, c := range []struct {
		line []byte
		none []string
	}{
		{chmod, []string{"owner", "group", "4294967295"}}, {chown, []string{"attributes", "group", "4294967295"}}, {demand, []string{"parent_process", `"process":{"pid":7,"uid":"7-0","name":"ampdaemon","created_time"`}},
	} {
		for _, none := range c.none {
			if strings.Contains(string(c.line), none) {
				t.Errorf("%s in %s", none, c.line)
			}
		}
		if _, err := ParseLine(c.line); err != nil {
			t.Errorf("%v: %s", err, c.line)
		}
	}
}

// Lines as they were before there were other kinds than exec and exit.
func TestOldLines(t *testing.T) {
	const head = `{"time":1790000000123,"class_uid":1007,"category_uid":1,"activity_id":1,"type_uid":100701,"severity_id":1,` +
		`"metadata":{"version":"1.2.0","profiles":["host","linux/linux_users"],"product":{"name":"AMP connector","vendor_name":"ampconnector"}},` +
		`"device":{"hostname":"host","type_id":0},"actor":{"process":{"pid":1,"name":"bash"}},` +
		`"process":{"pid":4711,"uid":"4711-12345678901","name":"ls","created_time":1789999999123,"cmd_line":"ls -l a b",` +
		`"file":{"path":"/bin/ls","name":"ls","type_id":1},"user":{"uid":"1000"},"euid":0,"parent_process":{"pid":1,"name":"bash"}}`
	for line, args := range map[string][]string{
		head + `,"unmapped":{"args":["ls","-l","a b"]}}`: {"ls", "-l", "a b"},
		head + `}`: {"ls", "-l", "a", "b"},
	} {
		r, err := ParseLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		want := execEvent("/bin/ls", args...)
		if diff := cmp.Diff(Record{Event: want, Host: "host"}, r, comparable); diff != "" {
			t.Error(diff)
		}
	}
}

// A longest event has a line that is not clipped, and one that no source should hand out has a line all the same.
func TestLongestLines(t *testing.T) {
	long := func(n int) string { return strings.Repeat("\xff", n) }
	e := eventsOfAllKinds()[8]
	e.File.Path, e.Target.Path = long(4096), long(4096)
	p := e.Process
	p.Exe.Path, p.Directory, p.Args = long(4096), long(4096), []string{strings.Repeat("\x01", maxArgsBytes)}
	p.Ancestors = nil
	for range maxAncestors {
		p.Ancestors = append(p.Ancestors, Ancestor{PID: 1, Exe: strings.Repeat("\x01", maxAncestorPath)})
	}
	b := encode(e)
	if r, err := ParseLine(b); err != nil || !r.Process.Equal(*p) || r.File != e.File || r.Target != e.Target {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	e.File.Path, e.Kind, e.Args = long(100_000), Exec, []string{long(100_000), "x"}
	p.Exe.Path, p.Label, p.Ancestors[0].Exe, p.Args = long(100_000), long(100_000), long(100_000), []string{long(100_000)}
	b = encode(e)
	r, err := ParseLine(b)
	if err != nil || !r.File.Truncated || !r.ArgsTruncated || r.Process.PID != p.PID {
		t.Errorf("%d bytes, %v, %+v", len(b), err, r.File)
	}
}

// The cache must not show a process as it was before a change, nor another one of the same place.
func TestSubjectIsNotStale(t *testing.T) {
	c := newEncoder("host")
	e := eventsOfAllKinds()[5]
	for i := range uint64(5000) {
		e.Process.version = versions.Add(1)
		e.Process.UID = uint32(i)
		for range 2 {
			want := newEncoder("host").append(nil, &e)
			if got := c.append(nil, &e); string(got) != string(want) {
				t.Fatalf("change %d: %s, expected %s", i, got, want)
			}
		}
		if i > 20 {
			e.Process.version += subjectSets - 1 // the same place again
			versions.Store(e.Process.version)
		}
	}
	e.Process.version = 0
	e.Process.UID = 4321
	if got := string(c.append(nil, &e)); !strings.Contains(got, `"uid":"4321"`) {
		t.Errorf("a process without version: %s", got)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("/bin/ls", "/usr/bin/ls", "ls", "bash", uint8(1), int64(0), uint32(0))
	f.Add("/\xff", "", "\"\\\n", "\x1b", uint8(9), int64(9), uint32(5))
	f.Fuzz(func(t *testing.T, path, other, arg, comm string, kind uint8, number int64, flags uint32) {
		e := execEvent(path, arg, other)
		e.Kind = Exec + Kind(kind)%(kindEnd-1)
		e.Process = subjectOf()
		e.Process.Comm, e.Process.Exe.Path, e.Process.Directory, e.Process.Label = comm, other, path, arg
		e.Process.Ancestors[0].Exe, e.Name = other, arg
		e.Target = File{Path: other, Truncated: flags&1 != 0, Joined: flags&2 != 0, Inode: uint64(number)}
		e.File.Size, e.File.Inode, e.Merged, e.Mode, e.Subtype, e.Signal = uint64(number), uint64(number), flags, flags, flags, int(kind)
		if a, ok := netip.AddrFromSlice([]byte(comm)); ok {
			e.Flow = Flow{Protocol: kind, Local: netip.AddrPortFrom(a, uint16(flags)), Remote: netip.AddrPortFrom(a.WithZone(arg), uint16(flags))}
		}
		line := encode(e)
		r, err := ParseLine(line)
		if err != nil {
			t.Fatalf("%v\n%q", err, line)
		}
		if len(path)+len(other)+len(arg) > 8192 {
			return
		}
		if FileKinds.Has(e.Kind) && r.File.Path != path || e.Kind == FileRename && r.Target.Path != other || e.Kind == Exec && r.File.Path != path {
			t.Errorf("paths %q and %q came back as %q and %q", path, other, r.File.Path, r.Target.Path)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	for _, e := range eventsOfAllKinds() {
		f.Add(encode(e))
	}
	f.Add([]byte(`{"class_uid":1007,"activity_id":1,"process":{"uid":"1-x","user":{"uid":"0"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseLine(b)
		if err != nil {
			return
		}
		// What was read can be written, and then reads as the same.
		again, err := ParseLine(newEncoder(r.Host).append(nil, &r.Event))
		if err != nil {
			t.Fatalf("%v\n%q", err, b)
		}
		if again.Kind != r.Kind || again.Process.PID != r.Process.PID {
			t.Errorf("%+v came back as %+v", r.Event, again.Event)
		}
	})
}

func BenchmarkEncodeKinds(b *testing.B) {
	for _, e := range eventsOfAllKinds() {
		if e.Merged != 0 || e.File.Truncated {
			continue
		}
		b.Run(e.Kind.String(), func(b *testing.B) {
			c := newEncoder("host.example.org")
			e.Process.version = versions.Add(1)
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				buf = c.append(buf[:0], &e)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

// Each byte is escaped alike wherever it stands among eight, and whatever stands beside it.
func TestEscapedByteByByte(t *testing.T) {
	for c := range 256 {
		for _, beside := range []string{"a", " ", "\x00", "\x7f", "~"} {
			for at := range 17 {
				before, after := strings.Repeat(beside, at), strings.Repeat(beside, 16-at)
				want := ""
				for _, part := range []string{before, string([]byte{byte(c)}), after} {
					for i := range len(part) {
						want += string(appendEscaped(nil, part[i:i+1]))
					}
				}
				if got := string(appendEscaped(nil, before+string([]byte{byte(c)})+after)); got != want {
					t.Fatalf("byte %#x after %d times %q: %q, expected %q", c, at, beside, got, want)
				}
			}
		}
	}
}
