// Command ampcli shows what the connector does: its status, its faults, its events.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// version is set by the linker.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	c := command{
		socket: control.Socket, ledger: fault.LedgerPath, events: monitor.LogPath, detections: monitor.DetectionLogPath,
		out: os.Stdout, getenv: os.Getenv,
	}
	c.engine.prove = c.prove
	err := c.execute(ctx, os.Args[1:])
	stop()
	if err != nil && c.silent(err) {
		os.Exit(exitCode(err))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ampcli:", installer.ErrorText(err).In(fault.LanguageAsked(os.Args[1:], os.Getenv)))
		os.Exit(exitCode(err))
	}
}
