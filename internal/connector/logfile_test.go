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
