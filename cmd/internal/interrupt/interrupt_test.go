package interrupt

import (
	"os/signal"
	"syscall"
	"testing"
)

func TestContextEnds(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(s) {
			continue // as where the tests run under nohup(1): TestNohup
		}
		ctx, stop := Context()
		if err := syscall.Kill(syscall.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		stop()
	}
}

// TestNohup: what nohup has ignored stays ignored.
func TestNohup(t *testing.T) {
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Ignore(syscall.SIGHUP)
		defer signal.Reset(syscall.SIGHUP)
	}
	_, stop := Context()
	defer stop()
	if !signal.Ignored(syscall.SIGHUP) {
		t.Error("the loss of the terminal would end a program that nohup started")
	}
}
