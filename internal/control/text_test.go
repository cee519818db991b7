package control

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/fault"
)

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// example is a status with everything in it.
func example() *Status {
	raised := fault.Entry{
		Finding: fault.Finding{
			ID: 19, State: fault.Raised, Severity: fault.Critical, Reason: fault.Text{EN: "unconfined_service_t may not use bpf", JA: "unconfined_service_t は bpf を使用できません"},
			Evidence: []fault.Evidence{{What: "bpf of unconfined_service_t", Read: "denied: prog_load", From: "/sys/fs/selinux/access", Expected: "allowed"}},
			Causes:   []string{"module-absent"},
		},
		Since: noon, Raised: noon.Add(5 * time.Second), Gone: noon.Add(time.Minute),
	}
	pending := fault.Entry{Finding: fault.Finding{ID: 5, State: fault.Raised, Severity: fault.Minor, Reason: fault.Text{EN: "no such user", JA: "ユーザーがありません"}, Evidence: []fault.Evidence{{What: "user", Read: "none", From: "/etc/passwd", Expected: "cisco-amp-scan-svc"}}},
		Since: noon, Pending: true, Before: fault.Clear}
	unknown := fault.Entry{Finding: fault.Finding{ID: 16, State: fault.Unknown, Severity: fault.Critical, Reason: fault.Text{EN: "not judged by this version", JA: "このバージョンでは判定しません"}}, Since: noon}
	return &Status{
		Running: true, Version: "1.0.0", PID: 42, Started: noon, Evaluated: noon.Add(time.Minute), Kernel: "6.1.0-1-amd64", Connector: "amp-connector",
		Mode:   Normal,
		Source: Source{Name: "ebpf", Reason: "the kernel offers BTF", Since: noon, Loss: NewLoss(999, 1)},
		Canary: &Canary{Time: noon, OK: true, Detail: "exec of pid 43 arrived", Milliseconds: 12.5},
		Scan: Scan{
			State: ScanReady, Detail: "ready", PID: 43, User: "cisco-amp-scan-svc", UID: 998, GID: 997, Engine: "1.4.6", Definitions: "2025-06-01", Signatures: 8700000,
		},
		Policy: Policy{File: "/opt/cisco/amp/etc/policy.xml", OK: true, MonitorFiles: true},
		Ledger: Ledger{File: fault.LedgerPath},
		Log:    Log{File: "/var/log/cisco/events.jsonl"}, Detections: Log{File: "/var/log/cisco/detections.jsonl", Dropped: 1, Error: "no space left on device"},
		Faults: Faults([]fault.Entry{pending, unknown, raised}),
	}
}

func text(t *testing.T, s Status, l fault.Language, verbose bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := (Text{Language: l, Verbose: verbose, Zone: time.UTC}).WriteStatus(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStatusText(t *testing.T) {
	want := `Status:         Running (pid 42, version 1.0.0, since 2025-06-01 12:00:00 UTC)
Mode:           Normal
Scan:           Running as cisco-amp-scan-svc, ClamAV 1.4.6, definitions: 2025-06-01 (8700000 signatures)
Last Scan:      Never
Policy:         /opt/cisco/amp/etc/policy.xml: file monitoring on, network monitoring off
Source:         ebpf since 2025-06-01 12:00:00 UTC (the kernel offers BTF)
Canary:         seen at 2025-06-01 12:00:00 UTC (exec of pid 43 arrived)
Events:         999 handled, 1 lost (0.10 %)
Detections:     /var/log/cisco/detections.jsonl, 1 events could not be written: no space left on device
Faults:         1 Critical
Fault IDs:      19
ID 5 - seen since 2025-06-01 12:00:00 UTC, not raised yet: Scan service user unavailable. no such user
ID 19 - Critical: SELinux policy missing or disabled. unconfined_service_t may not use bpf
  To do: amp-remediate 19
  Not seen since 2025-06-01 12:01:00 UTC; it clears by itself when that lasts
`
	if d := cmp.Diff(want, text(t, *example(), fault.English, false)); d != "" {
		t.Error(d)
	}
}

func TestVerboseStatusHasEvidenceAndTheRest(t *testing.T) {
	s := *example()
	s.Source.Neighbours = []fault.Text{{EN: "clamonacc decides", JA: "clamonacc が判断します"}}
	s.Source.Layouts = &Layouts{Origin: "none", From: "/lib/modules/6.1.0/build", Cause: "build-failed", Detail: "x.c:3: error", Log: "/log"}
	got := text(t, s, fault.English, true)
	for _, want := range []string{
		"Layouts:        none from /lib/modules/6.1.0/build: build-failed: x.c:3: error (/log)\n",
		"    bpf of unconfined_service_t: read denied: prog_load (/sys/fs/selinux/access), expected allowed\n",
		"ID 16 - unknown: Incompatible kernel. not judged by this version\n", "Kernel:         6.1.0-1-amd64\n", "Event Log:      /var/log/cisco/events.jsonl, 0 events",
		"Detections:     /var/log/cisco/detections.jsonl, 1 events could not be written: no space left on device\n",
		"Beside It:      clamonacc decides\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestJapaneseStatus(t *testing.T) {
	got := text(t, *example(), fault.Japanese, true)
	for _, want := range []string{"ステータス:     動作中(PID 42", "モード:         通常\n", "フォールト ID:  19\n", "ID 19 - 重大: SELinux ポリシーがないか無効になっています。unconfined_service_t は bpf", "対処: amp-remediate 19"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// The reason of a source is Japanese where the daemon tells it so, and English from one that does not.
func TestJapaneseReason(t *testing.T) {
	s := NotRunning(fault.Snapshot{}, "/l", nil)
	for reason, want := range map[string]string{s.Source.ReasonJA: "監視は行われていません: デーモンは動作していません\n", "": "監視は行われていません: the daemon is not running\n"} {
		s.Source.ReasonJA = reason
		if got := text(t, s, fault.Japanese, true); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestStatusThatMonitorsNothingSaysSo(t *testing.T) {
	s := *example()
	s.Mode, s.Source, s.Canary = NoMode, Source{Name: "none", Reason: "fault 19", Error: "operation not permitted"}, nil
	got := text(t, s, fault.English, false)
	for _, want := range []string{"Mode:           None (nothing is monitored)\n", "Source:         none: nothing is monitored: fault 19: operation not permitted\n", "Canary:         none sent\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestBlindSourceIsLoud(t *testing.T) {
	s := *example()
	s.Canary = &Canary{Time: noon, Detail: "no exec event within 5s"}
	if got := text(t, s, fault.English, false); !strings.Contains(got, "Canary:         NOT SEEN at 2025-06-01 12:00:00 UTC: no exec event within 5s\n") {
		t.Error(got)
	}
}

func TestNotRunningTellsTheLedger(t *testing.T) {
	s := NotRunning(fault.Snapshot{Updated: noon, Findings: []fault.Entry{example().Faults[2].Entry}}, "/l.json", nil)
	got := text(t, s, fault.English, false)
	for _, want := range []string{"Status:         Not running.", "nothing is monitored: the daemon is not running", "Fault IDs:      19\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	s = NotRunning(fault.Snapshot{}, "/l.json", errors.New("torn"))
	if got := text(t, s, fault.English, false); !strings.Contains(got, "Ledger:         torn") || !strings.Contains(got, "Faults:         Not known") {
		t.Error(got)
	}
}

// What the ledger has last is not what is so now: the list of faults says that nobody judges, and how to change that.
func TestFaultsSayThatTheDaemonIsNotRunning(t *testing.T) {
	var b bytes.Buffer
	s := NotRunning(fault.Snapshot{Updated: noon, Findings: []fault.Entry{{Finding: fault.Finding{ID: 7, State: fault.Clear}}}}, "/l.json", nil)
	if err := (Text{Zone: time.UTC}).WriteFaults(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Not running. To start it: amp-install start.", "last judged: 2025-06-01 12:00:00 UTC\n", "\nID 7 - clear"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

// A daemon that has only just been started has judged nothing: that is not known, and no line is empty.
func TestStatusOfAStart(t *testing.T) {
	s := Status{Running: true, Mode: NoMode, Scan: Scan{State: ScanStarting}}
	got := text(t, s, fault.English, true)
	if !strings.Contains(got, "Faults:         Not known\n") {
		t.Errorf("nothing was judged, and the status says\n%s", got)
	}
	for l := range strings.Lines(got) {
		if label, value, _ := strings.Cut(l, ":"); strings.TrimSpace(value) == "" || strings.HasPrefix(strings.TrimSpace(value), ",") {
			t.Errorf("%s is empty", label)
		}
	}
	var b bytes.Buffer
	if err := (Text{}).WriteFaults(&b, s); err != nil || b.String() != "Not known\n" {
		t.Errorf("%q, %v", &b, err)
	}
}

func TestConsequenceAndDoubt(t *testing.T) {
	s := *example()
	f := s.Faults[2]
	f.ID, f.Cause, f.Doubt = 18, 19, fault.Text{EN: "no counters"}
	s.Faults = []Fault{f}
	got := text(t, s, fault.English, false)
	if !strings.Contains(got, "A consequence of fault 19; mend that one first: amp-remediate 19") || !strings.Contains(got, "whether it is still there: no counters") || strings.Contains(got, "amp-remediate 18") {
		t.Error(got)
	}
}

func TestHostTextCannotDriveTheTerminal(t *testing.T) {
	s := *example()
	s.Policy = Policy{File: "x", Error: "\x1b[2J\nID 7 - forged"}
	s.Faults[2].Evidence[0].Read = "\x1b]0;title\x07"
	if got := text(t, s, fault.English, true); strings.ContainsAny(got, "\x1b\x07") || strings.Contains(got, "\nID 7") {
		t.Errorf("%q", got)
	}
}

func TestEveryWordIsInBothLanguages(t *testing.T) {
	for key, w := range words {
		if w.EN == "" || w.JA == "" || strings.Count(w.EN, "%") != strings.Count(w.JA, "%") {
			t.Errorf("%s: %+v", key, w)
		}
		if !strings.ContainsFunc(w.JA, func(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }) && w.EN != strings.ReplaceAll(w.JA, "。", ". ") {
			t.Errorf("%s has no Japanese characters: %q", key, w.JA)
		}
	}
}
