package health

import (
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

// endsAt are ends so long before noon, in seconds, oldest first.
func endsAt(ago ...int) []control.ScanEnd {
	var ends []control.ScanEnd
	for i, s := range ago {
		ends = append(ends, control.ScanEnd{Time: noon.Add(-time.Duration(s) * time.Second), PID: 100 + i, Signal: "SIGSEGV", Memory: 300 << 20, Files: []string{"/srv/poison"}})
	}
	return ends
}

// ended is a scan service that ended at these times.
func ended(ago ...int) func(*Facts) {
	return scan(func(s *control.Scan) { s.Ends = endsAt(ago...) })
}

// scanRows are the answers that faults 6 and 7 share.
func scanRows() []row {
	return []row{
		{name: "no connector", change: func(f *Facts) { f.Found = false }, state: fault.NotApplicable, reason: "no connector"},
		{name: "vendor's", change: func(f *Facts) { f.Connector = host.Connectors[1] }, state: fault.Unknown, reason: "only the vendor's connector can tell"},
		{name: "no daemon", change: func(f *Facts) { f.Scanning = host.NotKnown[control.Scan](control.Socket, errNoDaemon) }, state: fault.Unknown, reason: "not running"},
		{name: "an image", change: func(f *Facts) { f.Scanning = host.NotKnown[control.Scan](control.Socket, host.ErrNotRunning) }, state: fault.Unknown, reason: "only the running host"},
		{name: "off", change: scan(func(s *control.Scan) { s.State = control.ScanOff }), state: fault.NotApplicable, reason: "scanning is off", shown: "off"},
		{name: "off in the policy", change: func(f *Facts) {
			f.Policy.Value.Scan.Enabled = false
			f.Scanning = host.NotKnown[control.Scan](control.Socket, errNoDaemon)
			f.Host.Engine.Libraries.Value = nil
		}, state: fault.NotApplicable, reason: "scanning is off in the policy", shown: "off"},
		{name: "policy not readable", change: func(f *Facts) {
			f.Policy = host.NotKnown[policy.Policy](policy.Path, errDenied)
			f.Scanning = host.NotKnown[control.Scan](control.Socket, errNoDaemon)
		}, state: fault.Unknown, reason: "not running", shown: "permission denied"},
		{name: "not said", change: scan(func(s *control.Scan) { *s = control.Scan{} }), state: fault.Unknown, reason: "has not said"},
		{name: "not known to the daemon", change: scan(func(s *control.Scan) { s.State = control.ScanUnknown }), state: fault.Unknown},
		{name: "a daemon without a scan service", change: scan(func(s *control.Scan) { *s = control.Scan{State: "absent"} }), state: fault.Unknown, reason: "has not said"},
	}
}

func TestRule6(t *testing.T) {
	raised := func(r row) row { r.state = fault.Raised; return r }
	for _, r := range append(scanRows(),
		row{name: "never ended", change: func(*Facts) {}, state: fault.Clear, shown: "0"},
		row{name: "as often as it may", change: ended(50, 40, 30), state: fault.Clear, reason: "does not end too often", shown: "process 102: SIGSEGV; 300 MiB of memory were available; it was scanning /srv/poison"},
		raised(row{name: "once more", change: ended(50, 40, 30, 20), causes: []string{CauseEnded}, reason: "ended 4 times, the last time at 2026-01-01 11:59:40 UTC (SIGSEGV)", shown: "4"}),
		row{name: "spread over more than the window", change: ended(1000, 700, 400, 100), state: fault.Clear},
		row{name: "at the edge of the window", change: ended(310, 200, 100, 10), state: fault.Clear},
		raised(row{name: "just within the window", change: ended(309, 200, 100, 10), causes: []string{CauseEnded}}),
		raised(row{name: "too many, and then quiet for less than it has to be", change: ended(640, 630, 620, 599), causes: []string{CauseEnded}}),
		raised(row{name: "too many, and fewer since, but never quiet", change: ended(2000, 1990, 1980, 1970, 1400, 850, 300), causes: []string{CauseEnded}}),
		raised(row{name: "too many, not quite quiet, and one since", change: ended(729, 719, 709, 699, 100), causes: []string{CauseEnded}}),
		raised(row{name: "hung", change: func(f *Facts) {
			ended(50, 40, 30, 20)(f)
			f.Scanning.Value.Ends[3].Hung = true
		}, causes: []string{CauseHung}, shown: "did not answer in time"}),
		raised(row{name: "a clock that was set back by 9 hours", change: ended(-32350, -32360, -32370, -32380), causes: []string{CauseEnded}}),
		row{name: "a clock that was set back, as often as it may", change: ended(-32350, -32360, -32370), state: fault.Clear},
		raised(row{name: "a clock that was set forward by 9 hours", change: ended(32450, 32440, 32430, 32420), causes: []string{CauseEnded}}),
		raised(row{name: "a clock that was set forward between the ends", change: ended(32450, 32440, 32430, 32420, 10), causes: []string{CauseEnded}}),
		raised(row{name: "while it cannot start", change: func(f *Facts) {
			ended(50, 40, 30, 20)(f)
			f.Scanning.Value.State = control.ScanFailed
		}, causes: []string{CauseEnded}}),
		row{name: "set aside", change: scan(func(s *control.Scan) { s.SetAside = []string{"/srv/\x1bpoison"} }), state: fault.Clear, shown: "/srv/\uFFFDpoison"},
		row{name: "no limits", change: scan(func(s *control.Scan) { s.Limits = control.ScanLimits{} }), state: fault.Unknown, reason: "limits of ends"},
	) {
		r.run(t, rule6{})
	}
}

// told are the ends until now that the daemon tells of: those since the service last was quiet.
func told(ends []control.ScanEnd, l control.ScanLimits, now time.Time) (recent []control.ScanEnd) {
	quiet := time.Duration(l.Quiet) * time.Second
	for _, e := range ends {
		if e.Time.After(now) {
			break
		}
		if n := len(recent); n > 0 && e.Time.Sub(recent[n-1].Time) >= quiet {
			recent = nil
		}
		recent = append(recent, e)
	}
	if n := len(recent); n > 0 && now.Sub(recent[n-1].Time) >= quiet {
		return nil
	}
	return recent
}

// Second by second, the fault is raised once and cleared once.
func TestRule6DoesNotFlap(t *testing.T) {
	s := scanReady()
	s.Ends = endsAt(3000, 2990, 2980, 2970, 2500, 2000, 1500)
	changes := []bool{false}
	for ago := 3100; ago >= 0; ago-- {
		now := noon.Add(-time.Duration(ago) * time.Second)
		if is := frequent(told(s.Ends, s.Limits, now), s.Limits); is != changes[len(changes)-1] {
			changes = append(changes, is)
			if want := map[bool]int{true: 2970, false: 900}[is]; ago != want {
				t.Errorf("%v, %d seconds before noon; expected %d", is, ago, want)
			}
		}
	}
	if len(changes) != 3 {
		t.Errorf("%v, expected raised and cleared once", changes)
	}
	if frequent(nil, s.Limits) {
		t.Error("frequent without an end")
	}
}

// The ledger is for everybody to read: the daemon's own findings name no files.
func TestRule6NamesNoFilesInTheLedger(t *testing.T) {
	f := sound()
	ended(50, 40, 30, 20)(f)
	f.Scanning.Value.SetAside = []string{"/srv/poison"}
	f.Daemon = true
	got := rule6{}.Check(f)
	for _, e := range got.Evidence {
		if strings.Contains(e.Read, "poison") {
			t.Errorf("%+v", e)
		}
	}
	if got.State != fault.Raised {
		t.Errorf("%s", got.State)
	}
}

func TestHowEnded(t *testing.T) {
	for want, e := range map[string]control.ScanEnd{
		"exit status 3": {Status: 3}, "exit status 0": {}, "SIGABRT": {Signal: "SIGABRT"}, "SIGSYS, a system call": {Signal: "SIGSYS"},
		"SIGKILL, as by the kernel": {Signal: "SIGKILL"}, "its memory limit of 2736 MiB": {Signal: "SIGKILL", MemoryLimit: 2736 << 20}, "did not answer": {Signal: "SIGKILL", Hung: true},
	} {
		if got := howEnded(e); !strings.Contains(got.EN, want) || got.JA == "" {
			t.Errorf("%+v: %q, expected %q", e, got, want)
		}
	}
}

// A service that cannot start ends over and over: one fault explains the other.
func TestFault7ExplainsFault6(t *testing.T) {
	f := sound()
	ended(50, 40, 30, 20)(f)
	f.Scanning.Value.State, f.Scanning.Value.Cause = control.ScanFailed, control.ScanDefinitions
	if got, _ := CheckOne(f, 6); got.State != fault.Raised || got.Cause != 7 || got.Severity != fault.Major {
		t.Errorf("%+v", got)
	}
}
