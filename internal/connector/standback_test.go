package connector

import (
	"log/slog"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Those who read files for the scan service stand back as it does, and nobody else.
func TestReadersOfFilesStandBack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := niceOfThread(t)
	done := make(chan int)
	go func() {
		(&scanner{log: slog.New(slog.DiscardHandler)}).standBack()
		done <- niceOfThread(t)
	}()
	if now := <-done; now != max(before, scanNice) {
		t.Errorf("nice value %d, expected %d", now, max(before, scanNice))
	}
	if now := niceOfThread(t); now != before {
		t.Errorf("another goroutine has nice value %d, expected %d", now, before)
	}
}

func niceOfThread(t *testing.T) int {
	t.Helper()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Error(err)
	}
	return 20 - raw // as the system call gives it
}
