package connector

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// A disk without room for the event log costs events, each of which is counted, and nothing else. When there is room again they are kept.
func TestFullDiskOfTheEventLog(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	l := newLive(t, t.TempDir())
	l.alone()
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a file system of its own: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	l.config.EventLog = filepath.Join(disk, "events.jsonl")
	var handled atomic.Uint64
	l.listeners = append(l.listeners, func(*monitor.Event) { handled.Add(1) })
	l.start()
	first := l.mark()
	within(t, "the first event in the log", func() bool { return strings.Contains(logOf(t, l), first) })
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	var told *control.Status
	within(t, "dropped events", func() bool {
		l.execute("/bin/true")
		s := l.ask(control.ReadStatus)
		if strings.Contains(s.Log.Error, unix.ENOSPC.Error()) {
			told = s
		}
		return s.Log.Dropped > 0 && told != nil
	})
	if told.Mode != control.Normal {
		t.Errorf("mode %s, expected that events go on", told.Mode)
	}
	l.mark()

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	last := l.mark()
	within(t, "an event in the log", func() bool { return strings.Contains(logOf(t, l), last) })
	dropped := l.ask(control.ReadStatus).Log.Dropped
	l.mark()
	if s := l.ask(control.ReadStatus); s.Log.Dropped != dropped || s.Log.Error != "" && !strings.Contains(s.Log.Error, unix.ENOSPC.Error()) {
		t.Errorf("log %+v, %d dropped before: events are lost though there is room", s.Log, dropped)
	}
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	lines := uint64(0)
	if err := monitor.ReadLog(l.config.EventLog, func(line []byte) error {
		lines++
		_, err := monitor.ParseLine(line)
		return err
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%d events: %d in the log, %d dropped", handled.Load(), lines, l.log.Dropped())
	if handled.Load() != lines+l.log.Dropped() || l.log.Dropped() != dropped {
		t.Errorf("%d events are %d in the log and %d dropped (%d when there was room)", handled.Load(), lines, l.log.Dropped(), dropped)
	}
	if !strings.Contains(logOf(t, l), first) {
		t.Error("an event from before the disk was full is gone")
	}
}

// fill writes a file until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte{1}, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func logOf(t *testing.T, l *live) string {
	t.Helper()
	b, err := os.ReadFile(l.config.EventLog)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
