package connector

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// LogPath is the daemon's own log, beside the event log.
const LogPath = "/var/log/cisco/ampdaemon.log"

// What the log takes, in bytes: a burst, and a second in the long run, which is 177 MB a day. Some of its lines others can cause as often as they like, as
// who writes files in which something is found: they would fill the disk before logrotate(8) looks, which it does once a day.
const (
	logBurst = 1 << 20
	logRate  = 2 << 10
)

// logFile is a file that can be opened anew while it is written to, after logrotate(8) moved it. What is more than it takes is left out, and counted.
type logFile struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	file    *os.File // nil while it cannot be opened
	credit  float64  // bytes that it takes at once
	at      time.Time
	leftOut int // lines since the last one that it took
}

// NewLog makes the daemon's log: text lines to the file at path and to stderr, or only to the file where stderr leads to it already, as when
// the installer starts the daemon. Where the file cannot be opened the lines go to stderr, the reason among them. The function that
// is returned opens the file anew.
func NewLog(path string, stderr *os.File, level slog.Level) (*slog.Logger, func() error) {
	f := &logFile{path: path, now: time.Now, credit: logBurst}
	err := f.reopen()
	out := io.Writer(f)
	if err != nil || !sameFile(f.file, stderr) {
		out = both{f, stderr}
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	if err != nil {
		log.Error("the log file cannot be opened", "error", err)
	}
	return log, f.reopen
}

// both writes to each, whatever becomes of the other.
type both [2]io.Writer

func (b both) Write(p []byte) (int, error) {
	_, first := b[0].Write(p)
	_, second := b[1].Write(p)
	return len(p), errors.Join(first, second)
}

func sameFile(a, b *os.File) bool {
	sa, err := a.Stat()
	if err != nil {
		return false
	}
	sb, err := b.Stat()
	return err == nil && os.SameFile(sa, sb)
}

func (f *logFile) reopen() error {
	file, err := durable.OpenLog(f.path, 0o640)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		return err // the old file goes on
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file = file
	return nil
}

func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return len(p), nil
	}
	now := f.now()
	if !f.at.IsZero() {
		f.credit = min(logBurst, f.credit+max(0, now.Sub(f.at).Seconds())*logRate)
	}
	f.at = now
	if float64(len(p)) > f.credit {
		f.leftOut++
		return len(p), nil
	}
	f.credit -= float64(len(p))
	if f.leftOut > 0 {
		left := slog.NewRecord(now, slog.LevelWarn, "lines were left out of this log: there were too many", 0)
		left.AddAttrs(slog.Int("lines", f.leftOut))
		f.leftOut = 0
		_ = slog.NewTextHandler(f.file, nil).Handle(context.Background(), left) // an error is that of the line itself, too
	}
	return f.file.Write(p)
}
