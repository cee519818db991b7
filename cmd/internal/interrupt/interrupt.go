// Package interrupt tells a program that changes a host to come to an end, and keeps it from being ended in the middle by what only concerns
// those who look on.
package interrupt

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Context ends with the first interrupt, request to end, or loss of the terminal; nohup(1) has the last one ignored, and it stays so. After
// that, and after stop, these signals do again what they do by themselves, so that a second one ends the program.
//
// Who reads the output may leave at any time, as in "amp-remediate 19 --yes | head -1". That is an error of the next write (EPIPE), and
// no signal that ends the program between two steps.
func Context() (ctx context.Context, stop context.CancelFunc) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop = signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
