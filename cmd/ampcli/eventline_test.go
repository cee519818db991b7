package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

func TestEventLines(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	process := monitor.Process{PID: 7, PPID: 6, UID: 1000, EUID: 0, AUID: monitor.Unset, Comm: "cc1", Parent: "gcc", Exe: monitor.File{Path: "/usr/lib/cc1"}}
	boxed := process
	boxed.Container = id
	bare := process
	bare.Exe, bare.Container = monitor.File{}, "web 1"
	file := monitor.File{Path: "/tmp/a b", Size: 4096}
	target := monitor.File{Path: "/tmp/\x1b[2J", Truncated: true}
	tcp := monitor.Flow{Protocol: 6, Local: netip.MustParseAddrPort("10.0.0.2:41000"), Remote: netip.MustParseAddrPort("192.0.2.1:443"), Sent: 5, Received: 6, Duration: 1500 * time.Millisecond}
	inbound := monitor.Flow{Protocol: 17, Inbound: true, Local: netip.MustParseAddrPort("[::1]:53"), Remote: netip.MustParseAddrPort("[fe80::1%\x1b]:5")}
	const who = " pid 7 uid 1000 (effective 0) parent 6 (gcc) "
	seen := monitor.Kinds(0)
	for _, c := range []struct {
		event   monitor.Event
		process *monitor.Process
		want    string
	}{
		{monitor.Event{Kind: monitor.Exec, File: monitor.File{Path: "/bin/cc", Truncated: true}, Args: []string{"cc", ""}, ArgsTruncated: true}, &process, `exec` + who + `/bin/cc…: cc "" …`},
		{monitor.Event{Kind: monitor.Exit, ExitCode: 3}, &process, `exit` + who + `cc1: status 3`},
		{monitor.Event{Kind: monitor.FileCreate, File: file, Merged: 4}, &process, `create` + who + `/usr/lib/cc1: "/tmp/a b" (and 4 more like it)`},
		{monitor.Event{Kind: monitor.FileWrite, File: file}, &boxed, `write` + who + `container 0123456789ab /usr/lib/cc1: "/tmp/a b", now 4096 bytes`},
		{monitor.Event{Kind: monitor.FileRename, File: file, Target: target}, &bare, `rename` + who + `container "web 1" cc1: "/tmp/a b" -> "/tmp/\x1b[2J"…`},
		{monitor.Event{Kind: monitor.FileLink, File: file, Target: target}, &process, `link` + who + `/usr/lib/cc1: "/tmp/a b" -> "/tmp/\x1b[2J"…`},
		{monitor.Event{Kind: monitor.FileCopy, File: file, Target: target}, &process, `copy` + who + `/usr/lib/cc1: "/tmp/a b" -> "/tmp/\x1b[2J"…`},
		{monitor.Event{Kind: monitor.FileDelete, File: file}, &process, `delete` + who + `/usr/lib/cc1: "/tmp/a b"`},
		{monitor.Event{Kind: monitor.FileMap, File: file}, &process, `map` + who + `/usr/lib/cc1: "/tmp/a b"`},
		{monitor.Event{Kind: monitor.FileAttributes, File: file, Mode: 0o700, Owner: monitor.Unset, Group: monitor.Unset}, &process, `attributes` + who + `/usr/lib/cc1: "/tmp/a b", now mode 0700`},
		{monitor.Event{Kind: monitor.FileAttributes, File: file, Mode: monitor.Unset, Owner: 7, Group: monitor.Unset}, &process, `attributes` + who + `/usr/lib/cc1: "/tmp/a b", now owner 7`},
		{monitor.Event{Kind: monitor.FileAttributes, File: file, Mode: monitor.Unset, Owner: monitor.Unset, Group: 7}, &process, `attributes` + who + `/usr/lib/cc1: "/tmp/a b", now group 7`},
		{monitor.Event{Kind: monitor.FileAttributes, File: file, Mode: 0o104755, Owner: 1, Group: 2}, &process, `attributes` + who + `/usr/lib/cc1: "/tmp/a b", now mode 4755 owner 1:2`},
		{monitor.Event{Kind: monitor.FlowOpen, Flow: tcp}, &process, `open` + who + `/usr/lib/cc1: tcp 10.0.0.2:41000 -> 192.0.2.1:443`},
		{monitor.Event{Kind: monitor.FlowOpen, Flow: inbound}, &process, `open` + who + `/usr/lib/cc1: udp [::1]:53 <- "[fe80::1%\x1b]:5"`},
		{monitor.Event{Kind: monitor.FlowClose, Flow: tcp}, &process, `close` + who + `/usr/lib/cc1: tcp 10.0.0.2:41000 -> 192.0.2.1:443, sent 5 bytes, received 6, in 1.5s`},
		{monitor.Event{Kind: monitor.Listen, Flow: monitor.Flow{Protocol: 132, Local: tcp.Local}}, &process, `listen` + who + `/usr/lib/cc1: protocol 132 10.0.0.2:41000`},
		{monitor.Event{Kind: monitor.ModuleLoad, Name: "nf_tables"}, &process, `module` + who + `/usr/lib/cc1: kernel module nf_tables`},
		{monitor.Event{Kind: monitor.BPFLoad, Name: "a\n", Subtype: 17}, &process, `bpf` + who + `/usr/lib/cc1: eBPF program "a\n" of type 17`},
		{monitor.Event{Kind: monitor.Trace, OtherPID: 9, Subtype: 16}, &process, `trace` + who + `/usr/lib/cc1: process 9, PTRACE_ATTACH`},
		{monitor.Event{Kind: monitor.Trace, OtherPID: 9, Subtype: 77}, &process, `trace` + who + `/usr/lib/cc1: process 9, request 77`},
		{monitor.Event{Kind: monitor.Credentials, OldUID: 1000, OldEUID: 1000}, &process, `credentials` + who + `/usr/lib/cc1: uid 1000 (effective 0), before 1000`},
		{monitor.Event{Kind: monitor.Detection, Name: "Eicar", File: file, Found: monitor.Found{Cause: monitor.FileWrite}}, &process, `detection` + who + `/usr/lib/cc1: Eicar in "/tmp/a b", scanned after write; left alone`},
		{monitor.Event{Kind: monitor.Detection, Name: "Eicar", File: file, Found: monitor.Found{Quarantined: "7"}}, &process, `detection` + who + `/usr/lib/cc1: Eicar in "/tmp/a b", scanned on demand; in quarantine as 7`},
		{monitor.Event{Kind: monitor.Detection, Name: "Eicar", File: file, Found: monitor.Found{Quarantined: "7", OtherNames: 2}}, &process, `detection` + who + `/usr/lib/cc1: Eicar in "/tmp/a b", scanned on demand; in quarantine as 7; 2 other names of it are still there`},
		{monitor.Event{Kind: monitor.Detection, Name: "Eicar", File: file, Found: monitor.Found{LeftAlone: "it is\x1b immutable"}}, &process, `detection` + who + "/usr/lib/cc1: Eicar in \"/tmp/a b\", scanned on demand; could not be quarantined: it is\uFFFD immutable"},
	} {
		seen |= monitor.KindsOf(c.event.Kind)
		e := c.event
		e.Time, e.Process = time.Unix(1748779200, 0), c.process
		log := place(t)
		log.write(t, &e)
		out, code, err := log.call(t, "events")
		if _, text, _ := strings.Cut(strings.TrimSuffix(out, "\n"), ".000 "); code != 0 || text != c.want {
			t.Errorf("%v: exit code %d, %v\n%s\nexpected\n%s", e.Kind, code, err, text, c.want)
		}
	}
	if want := monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds | monitor.KindsOf(monitor.Detection); seen != want {
		t.Errorf("kinds %b were tried, expected %b", seen, want)
	}
}
