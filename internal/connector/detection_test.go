package connector

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// fullLog takes nothing until there is room.
type fullLog struct {
	recordedLog
	room    bool
	dropped uint64
	failing error
}

func (l *fullLog) Append(*monitor.Event) error { return nil }
func (l *fullLog) Dropped() uint64             { return l.dropped }
func (l *fullLog) Failing() error              { return l.failing }
func (l *fullLog) Flush() error {
	l.failing = nil
	if !l.room {
		l.dropped++
		l.failing = syscall.ENOSPC
	}
	return l.failing
}

// What was found and could not be written is counted, and said once until it can be again.
func TestDetectionThatCannotBeWrittenIsTold(t *testing.T) {
	var said strings.Builder
	c := newCore((&world{}).config(t).withDefaults())
	c.Log = slog.New(slog.NewTextHandler(&said, nil))
	find := func(times int) {
		for range times {
			c.detected(&monitor.Event{Kind: monitor.Detection, Process: &monitor.Process{}})
		}
	}
	find(1)
	if s := c.status(); s.Detections.Dropped != 1 {
		t.Errorf("%+v; expected that one found no log", s.Detections)
	}
	log := &fullLog{}
	if err := c.detections.open(0, func() (EventLog, error) { return log, nil }); err != nil {
		t.Fatal(err)
	}
	find(3)
	for range 2 { // whoever asks first takes it from nobody
		if s := c.status(); s.Detections.Dropped != 4 || s.Detections.Error != syscall.ENOSPC.Error() {
			t.Errorf("%+v; expected 4 that are lost, and why", s.Detections)
		}
	}
	log.room = true
	find(1)
	if s := c.status(); s.Detections.Error != "" {
		t.Errorf("%+v; expected that it can be written again", s.Detections)
	}
	log.room = false
	find(2)
	if n := strings.Count(said.String(), "log of detections cannot be written"); n != 2 || c.status().Detections.Dropped != 6 {
		t.Errorf("said %d times, expected once each time it began:\n%s", n, &said)
	}
}

// A daemon that has only just been started says who it is.
func TestStatusBeforeTheFirstEvaluation(t *testing.T) {
	c := newCore((&world{}).config(t).withDefaults())
	if s := c.status(); s.PID != os.Getpid() || s.Started.IsZero() || s.Version != c.Version {
		t.Errorf("pid %d, version %q, since %v", s.PID, s.Version, s.Started)
	}
}
