package connector

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// Whoever has had a file scanned looks for what was found at once.
func TestDetectionIsInItsLogAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "detections.jsonl")
	c := &core{Config: Config{Log: slog.New(slog.DiscardHandler)}, sink: &sink{}, detections: &sink{}}
	if err := c.detections.open(monitor.DetectionLogCap, func() (EventLog, error) { return monitor.OpenLog(path, monitor.DetectionLogCap) }); err != nil {
		t.Fatal(err)
	}
	defer c.detections.close()
	c.detected(&monitor.Event{Kind: monitor.Detection, Name: "Test.Eicar", File: monitor.File{Path: "/srv/f"}, Process: &monitor.Process{PID: 7}})
	if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), "Test.Eicar") {
		t.Errorf("%q, %v", b, err)
	}
}

// A daemon that has only just been started says who it is.
func TestStatusBeforeTheFirstEvaluation(t *testing.T) {
	c := newCore((&world{}).config(t).withDefaults())
	if s := c.status(); s.PID != os.Getpid() || s.Started.IsZero() || s.Version != c.Version {
		t.Errorf("pid %d, version %q, since %v", s.PID, s.Version, s.Started)
	}
}
