package connector

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLogThatIsNone: what somebody has put in the log's place, where the folder lets others write, keeps no daemon from watching.
func TestLogThatIsNone(t *testing.T) {
	for name, read := range map[string]bool{"nobody reads it": false, "somebody has it open and does not read": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fifo := filepath.Join(dir, "ampdaemon.log")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			if read {
				reader, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer reader.Close()
			}
			stderr, err := os.Create(filepath.Join(dir, "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				log, _ := NewLog(fifo, stderr, slog.LevelInfo)
				for range 1000 { // more than a pipe takes
					log.Info(strings.Repeat("x", 200))
				}
			}()
			select {
			case <-wrote:
			case <-time.After(10 * time.Second):
				t.Fatal("the log is waited for")
			}
			if b, _ := os.ReadFile(stderr.Name()); strings.Count(string(b), "xxxx") == 0 || !strings.Contains(string(b), "the log file cannot be opened") {
				t.Errorf("standard error got %d bytes", len(b))
			}
		})
	}
}

// A flood of lines, which others may cause, does not fill the disk. That lines are missing is said.
func TestLogThatIsFlooded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ampdaemon.log")
	now := time.Now()
	f := &logFile{path: path, now: func() time.Time { return now }, credit: logBurst}
	if err := f.reopen(); err != nil {
		t.Fatal(err)
	}
	defer f.file.Close()
	log := slog.New(slog.NewTextHandler(f, nil))
	flood := func(lines int) {
		for range lines {
			log.Warn("found", "path", strings.Repeat("x", 200))
		}
	}
	size := func() int64 {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	flood(100)
	if b, _ := os.ReadFile(path); strings.Count(string(b), "found") != 100 {
		t.Errorf("%d lines of 100", strings.Count(string(b), "found"))
	}
	flood(20_000)
	if n := size(); n < logBurst/2 || n > logBurst {
		t.Errorf("%d bytes, expected at most %d", n, logBurst)
	}
	before := size()
	now = now.Add(time.Minute)
	flood(20_000)
	if n := size() - before; n < 60*logRate/2 || n > 60*logRate+200 {
		t.Errorf("%d bytes in a minute, expected at most %d", n, 60*logRate)
	}
	if b, _ := os.ReadFile(path); strings.Count(string(b), "lines were left out of this log") != 1 || !strings.Contains(string(b), " lines=1") {
		t.Error("nothing is said of lines that were left out")
	}
	now = now.Add(time.Hour)
	flood(1)
	if b, _ := os.ReadFile(path); !strings.HasSuffix(string(b), "xxx\n") || strings.Count(string(b), "left out") != 2 {
		t.Error("after an hour the line is not there")
	}
}
