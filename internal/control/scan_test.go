package control

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// fullScan is a state with every field set.
func fullScan() Scan {
	return Scan{
		State: ScanFailed, Detail: "d", Since: noon, Last: noon, Stage: "definitions", Cause: ScanDefinitions, Error: "hash does not fit", File: "daily.cvd",
		PID: 7, User: "cisco-amp-scan-svc", UID: 998, GID: 997, Groups: []uint32{4}, Capable: true, AsRoot: true, UserError: "no such user",
		Sandbox: []string{"user", "network"}, Workers: 2, MemoryBytes: 900 << 20, MemoryLimit: 2 << 30,
		Engine: "1.4.6", Definitions: "27500", BuiltIn: true, Signatures: 9, Queued: 1, Scanned: 2, Known: 3, Found: 4, Failures: 5, Dropped: 6,
		Ends: []ScanEnd{
			{Time: noon, PID: 5, Signal: "SIGSEGV", Memory: 512 << 20, Files: []string{"/srv/a", "/srv/b"}},
			{Time: noon.Add(time.Minute), PID: 8, Signal: "SIGKILL", MemoryLimit: 2736 << 20}, {Time: noon.Add(time.Minute), PID: 6, Hung: true}, {Time: noon.Add(time.Minute), PID: 6, Status: 3},
		},
		Limits: ScanLimits{Ends: 3, Window: 300, Quiet: 600}, SetAside: []string{"/srv/a"},
		Quarantine: &Quarantine{Files: 3, Bytes: 5 << 19, MaxFiles: 4096, MaxBytes: 2 << 30, Unfinished: 1, Error: "denied"},
		Cgroup:     &Cgroup{Path: "/system.slice/cisco-amp.service", MemoryLimit: 2736 << 20, Error: "e"},
		Schedules: []ScanSchedule{
			{Name: "weekly", On: "sun 03:00", Next: noon.Add(time.Hour), Last: &ScheduledScan{Began: noon, Ended: noon.Add(time.Minute), Files: 7, Found: 1, Failures: 2, Error: "no engine"}},
			{Name: "running", On: "daily 12:00", Next: noon.Add(24 * time.Hour), Running: true, Last: &ScheduledScan{Began: noon}},
			{Name: "waiting", On: "daily 12:01", Waiting: true, Last: &ScheduledScan{Began: noon}}, {Name: "new", On: "mon,thu 22:30", Next: noon.Add(time.Hour)},
		},
	}
}

// A field that was added and that this test does not set would go past the schema unseen.
func TestFullScanIsFull(t *testing.T) {
	v := reflect.ValueOf(fullScan())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not set", v.Type().Field(i).Name)
		}
	}
}

func TestScanText(t *testing.T) {
	ready := Scan{State: ScanReady, Detail: "d", User: "cisco-amp-scan-svc", Engine: "1.4.6", Definitions: "27500", Signatures: 9}
	with := func(change func(*Scan)) Scan {
		s := ready
		change(&s)
		return s
	}
	for _, c := range []struct {
		scan   Scan
		en, ja string
	}{
		{ready, "Running as cisco-amp-scan-svc, ClamAV 1.4.6, definitions: 27500 (9 signatures)", "cisco-amp-scan-svc として動作中、ClamAV 1.4.6、定義: 27500 (シグネチャ 9 件)"},
		{with(func(s *Scan) { s.BuiltIn = true }), "definitions: built-in only; take more with: ampcli definitions import", "組み込みのみ"},
		{with(func(s *Scan) { s.User, s.UID = "", 998 }), "Running as 998,", "998 として"},
		{with(func(s *Scan) { s.User, s.AsRoot, s.UserError = "root", true, "no such user" }), "Running AS ROOT (root), ClamAV 1.4.6, definitions: 27500 (9 signatures); the scan user cannot be used: no such user", "root 権限で動作中"},
		{Scan{State: ScanFailed, Stage: "library", Cause: ScanLibraryMissing, Error: "libclamav.so.12: no such file"}, "NOT RUNNING: it cannot start (opening the engine library): the engine library is missing: libclamav.so.12: no such file", "停止中"},
		{Scan{State: ScanFailed, Stage: "definitions", Cause: ScanDefinitions, File: "daily.cvd", Error: "MD5"}, "the definitions do not load: daily.cvd: MD5", "定義を読み込めません: daily.cvd: MD5"},
		{Scan{State: ScanFailed, Stage: "of a newer daemon", Cause: "too"}, "it cannot start (at a stage that is not known): Not known", "段階は不明"},
		{Scan{State: ScanWaiting}, "It ended, and is started again", "再起動します"},
		{Scan{State: ScanStarting}, "Starting", "開始中"}, {Scan{State: ScanOff}, "Off", "無効"}, {Scan{State: ScanUnknown}, "Not known: ", "不明"},
		{Scan{State: "of a newer daemon", Detail: "in its own words"}, "in its own words", "in its own words"},
	} {
		for l, want := range map[fault.Language]string{fault.English: c.en, fault.Japanese: c.ja} {
			if got := (Text{Language: l}).scan(c.scan); !strings.Contains(got, want) || strings.Contains(got, "%!") {
				t.Errorf("%s: %q, expected %q in it", c.scan.State, got, want)
			}
		}
	}
}

func TestVerboseStatusHasTheScanService(t *testing.T) {
	s := *example()
	s.Scan = fullScan()
	s.Scan.Ends[0].Files[0] = "/srv/\x1b[2J"
	got := text(t, s, fault.English, true)
	for _, want := range []string{
		"Scan Process:   pid 7, 2 scans side by side, 900 MiB of memory, limit 2048 MiB\n", "Sandbox:        user, network\n",
		"Scanned:        2 files, 3 known already, 1 waiting, 4 detections, 5 failed, 6 dropped\n",
		"Scan Ended:     2025-06-01 12:00:00 UTC, pid 5: SIGSEGV; 512 MiB of memory were available; it was scanning /srv/\uFFFD[2J, /srv/b\n",
		"pid 8: it came to its memory limit of 2736 MiB, and the kernel ended it\n", "Control Group:  none, limits of the process alone: e\n",
		"pid 6: did not answer in time, killed\n", "pid 6: exit status 3\n", "Set Aside:      /srv/a\n",
		"Last Scan:      2025-06-01 12:00:00 UTC; schedule weekly: begun at 2025-06-01 12:00:00 UTC, 7 files, 1 found, 2 could not be scanned; it ended before its end: no engine\n",
		"Schedule:       weekly (sun 03:00): next at 2025-06-01 13:00:00 UTC; last: begun at 2025-06-01 12:00:00 UTC, 7 files, 1 found",
		"Schedule:       running (daily 12:00): running since 2025-06-01 12:00:00 UTC, next at 2025-06-02 12:00:00 UTC\n",
		"Schedule:       waiting (daily 12:01): due, begins when another one has ended; last: begun at 2025-06-01 12:00:00 UTC, and interrupted\n",
		"Quarantine:     3 files, 2.5 MiB (room for 4096, 2048 MiB); 1 not taken or given back to the end; not all could be counted: denied\n",
		"Schedule:       new (mon,thu 22:30): next at 2025-06-01 13:00:00 UTC\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if brief := text(t, s, fault.English, false); strings.Contains(brief, "Scan Ended") {
		t.Errorf("not asked for:\n%s", brief)
	}
}

func TestPublicScanNamesNoFiles(t *testing.T) {
	s := fullScan()
	p := s.Public()
	if len(p.Ends) != 4 || p.Ends[0].Files != nil || p.SetAside != nil || p.Ends[0].Signal != "SIGSEGV" {
		t.Errorf("%+v", p)
	}
	if len(s.Ends[0].Files) != 2 || len(s.SetAside) != 1 {
		t.Error("the copy changed what it is of")
	}
}

// Whatever a host calls its files, the status is one message.
func TestStatusWithLongNamesIsOneMessage(t *testing.T) {
	s := example()
	for range MaxScanEnds {
		e := ScanEnd{Time: noon, PID: 1, Signal: "SIGSEGV"}
		for range MaxEndFiles {
			e.Files = append(e.Files, "/"+strings.Repeat("x", 4000))
		}
		s.Scan.Ends = append(s.Scan.Ends, e)
	}
	line, err := encodeAnswer(Answer{Status: s})
	if err != nil || len(line) > MaxAnswer {
		t.Fatalf("%d bytes, %v", len(line), err)
	}
	if a, err := decodeAnswer(line); err != nil || a.Code != "" || len(a.Status.Scan.Ends) != MaxScanEnds {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestScanMetrics(t *testing.T) {
	full := fullScan()
	full.State = ScanReady
	for name, c := range map[string]struct {
		scan Scan
		want map[string]string
	}{
		"ready": {full, map[string]string{
			`amp_scan_state{state="ready"}`: "1", `amp_scan_state{state="failed"}`: "0", `amp_scan_files_total{outcome="known"}`: "3", "amp_detections_total": "4",
			"amp_scan_queue_files": "1", "amp_scan_ends": "4", "amp_scan_as_root": "1", "amp_definitions_built_in": "1", "amp_definitions_signatures": "9",
			"amp_quarantine_files": "3", "amp_quarantine_bytes": "2621440",
		}},
		"failed": {Scan{State: ScanFailed}, map[string]string{
			`amp_scan_state{state="failed"}`: "1", "amp_scan_as_root": "NaN", "amp_definitions_built_in": "NaN", "amp_scan_last_time_seconds": "NaN",
		}},
		"off": {Scan{State: ScanOff}, map[string]string{`amp_scan_state{state="off"}`: "1", "amp_scan_ends": ""}},
	} {
		s := *example()
		s.Scan = c.scan
		var b strings.Builder
		if err := WriteMetrics(&b, s); err != nil {
			t.Fatal(err)
		}
		got := checkMetrics(t, b.String())
		for metric, want := range c.want {
			if got[metric] != want {
				t.Errorf("%s: %s is %q, want %q", name, metric, got[metric], want)
			}
		}
	}
}
