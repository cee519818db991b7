package connector

import (
	"strconv"
	"strings"
	"testing"
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

// What is asked of a scan that is not there, and what follows from nobody asking.
func TestScanRuns(t *testing.T) {
	s := &scanner{}
	for i := range maxScanRuns {
		if _, err := s.runs.add(func() {}); err != nil {
			t.Fatalf("scan %d: %v", i, err)
		}
	}
	if _, err := s.runs.add(func() {}); err == nil {
		t.Error("more scans at once than are allowed")
	}
	stopped := 0
	for _, r := range s.runs.runs {
		r.asked, r.stop = time.Now().Add(-2*abandoned), func() { stopped++ }
	}
	r, err := s.runs.add(func() {})
	if err != nil || stopped != maxScanRuns {
		t.Errorf("%v, %d scans that nobody asked for were ended, expected %d", err, stopped, maxScanRuns)
	}
	for i := range control.MaxScanFindings + 1 {
		r.note("/"+strconv.Itoa(i), "x", queue.Done{}, nil)
	}
	if a := r.answer(0); len(a.Findings) != control.MaxScanFindings {
		t.Errorf("%d findings in an answer", len(a.Findings))
	}
	if a := r.answer(control.MaxScanFindings); len(a.Findings) != 1 {
		t.Errorf("%d findings more, expected 1", len(a.Findings))
	}
	if _, err := s.Stop(control.ScanRequest{ID: 999}); err == nil {
		t.Error("a scan was stopped that never was")
	}
}
