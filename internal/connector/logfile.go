package connector

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/ampconnector/amp/internal/durable"
)

// LogPath is the daemon's own log, beside the event log.
const LogPath = "/var/log/cisco/ampdaemon.log"

// logFile is a file that can be opened anew while it is written to, after logrotate(8) moved it.
type logFile struct {
	path string
	mu   sync.Mutex
	file *os.File // nil while it cannot be opened
}

// NewLog makes the daemon's log: text lines to the file at path and to stderr, or only to the file where stderr leads to it already, as when
// the installer starts the daemon. Where the file cannot be opened the lines go to stderr, the reason among them. The function that
// is returned opens the file anew.
func NewLog(path string, stderr *os.File, level slog.Level) (*slog.Logger, func() error) {
	f := &logFile{path: path}
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
	return f.file.Write(p)
}
