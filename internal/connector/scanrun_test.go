package connector

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/queue"
)

// Whoever asks too soon is not told that the policy were against it.
func TestScanWithoutASession(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings *ScanSettings
		want     string
	}{
		{"before the first settings", nil, "is starting; try again"},
		{"before the first session", &ScanSettings{Scan: policy.Scan{Enabled: true}}, "is starting; try again"},
		{"off", &ScanSettings{}, "the policy asks for no scanning"},
	} {
		s := &scanner{}
		s.settings.Store(c.settings)
		_, err := s.Scan(control.ScanRequest{Paths: []string{"/"}})
		if again := s.Restart(t.Context()); err == nil || again == nil || !strings.Contains(err.Error(), c.want) || again.Error() != err.Error() {
			t.Errorf("%s: %v, %v; expected %q", c.name, err, again, c.want)
		}
	}
}

// What is asked of a scan that is not there, and what follows from nobody asking: it is ended, and what it found is kept no longer.
func TestScanRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scanner{}
		var stopped atomic.Int32
		left := func() int {
			s.runs.mu.Lock()
			defer s.runs.mu.Unlock()
			return len(s.runs.runs)
		}
		var runs []*scanRun
		for i := range maxScanRuns {
			r, err := s.runs.add(func() { stopped.Add(1) })
			if err != nil {
				t.Fatalf("scan %d: %v", i, err)
			}
			r.note("/x", "x", queue.Done{}, nil)
			runs = append(runs, r)
		}
		if _, err := s.runs.add(func() {}); !errors.Is(err, control.ErrBusy) {
			t.Errorf("%v, expected that no more scans are allowed at once", err)
		}
		pass(abandoned - time.Second)
		if a, err := s.Follow(control.ScanRequest{ID: 1}); err != nil || len(a.Findings) != 1 {
			t.Errorf("%+v, %v; expected the first", a, err)
		}
		pass(abandoned - time.Second)
		if stopped.Load() != maxScanRuns-1 || left() != 1 || s.runs.kept.Load() != bytesOf(&control.ScanFinding{Path: "/x", Name: "x"}) {
			t.Errorf("%d scans were ended, %d are left with %d bytes; expected that of the first only", stopped.Load(), left(), s.runs.kept.Load())
		}
		pass(2 * time.Second)
		runs[0].note("/y", "y", queue.Done{}, nil) // it has not ended yet
		if stopped.Load() != maxScanRuns || left() != 0 || s.runs.kept.Load() != 0 {
			t.Errorf("%d scans were ended, %d are left with %d bytes; expected none", stopped.Load(), left(), s.runs.kept.Load())
		}
		if _, err := s.Stop(control.ScanRequest{ID: 999}); !errors.Is(err, control.ErrNoScan) {
			t.Errorf("%v; expected that there is no such scan", err)
		}
	})
}

// Findings are told in turn, and let go of when the next ones are asked for.
func TestFindingsAreToldOnce(t *testing.T) {
	s := &scanner{}
	r, err := s.runs.add(func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range control.MaxScanFindings + 1 {
		r.note("/"+strconv.Itoa(i), "x", queue.Done{}, nil)
	}
	for range 2 { // an answer may get lost
		if a := r.answer(0); len(a.Findings) != control.MaxScanFindings || a.Findings[0].Path != "/0" {
			t.Errorf("%d findings in an answer", len(a.Findings))
		}
	}
	if a := r.answer(50); len(a.Findings) != 51 || a.Findings[0].Path != "/50" { // one that was too long was shortened
		t.Errorf("%d findings, expected 51", len(a.Findings))
	}
	if a := r.answer(control.MaxScanFindings); len(a.Findings) != 1 || a.Findings[0].Path != "/100" || len(r.findings) != 1 {
		t.Errorf("%d findings more, %d kept, expected 1", len(a.Findings), len(r.findings))
	}
	r.end(queue.Summary{Files: 3, Limited: 2}, nil)
	if a, err := s.Follow(control.ScanRequest{ID: 1, After: control.MaxScanFindings + 1}); err != nil || !a.Done || a.Limited != 2 || len(a.Findings) != 0 || s.runs.kept.Load() != 0 || len(s.runs.runs) != 0 {
		t.Errorf("%+v, %v, %d bytes are kept; expected none", a, err, s.runs.kept.Load())
	}
}

// All scans together keep no more than their bound, and count the rest; where room is made there is some again.
func TestFindingsAreBounded(t *testing.T) {
	s := &scanner{}
	var runs []*scanRun
	for range maxScanRuns {
		r, err := s.runs.add(func() {})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	long, kept := strings.Repeat("x", 4000), 0
	for range 500 {
		for _, r := range runs {
			r.note(long, "x", queue.Done{}, nil)
		}
	}
	for _, r := range runs {
		a := r.answer(0)
		kept += len(r.findings)
		if a.Untold == 0 || int(a.Untold)+len(r.findings) != 500 {
			t.Errorf("%d kept, %d not; expected some of 500", len(r.findings), a.Untold)
		}
	}
	if all := s.runs.kept.Load(); all > maxFindingBytes || all < maxFindingBytes*9/10 || kept*len(long) > maxFindingBytes {
		t.Errorf("%d bytes, %d findings; expected %d at most, and not much less", all, kept, maxFindingBytes)
	}
	if _, err := s.Stop(control.ScanRequest{ID: 1}); err != nil {
		t.Fatal(err)
	}
	before := len(runs[1].findings)
	if runs[1].note("/y", "y", queue.Done{}, nil); len(runs[1].findings) != before+1 {
		t.Error("what another scan had kept makes no room")
	}
}
