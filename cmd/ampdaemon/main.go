// Command ampdaemon is the connector's daemon. It stays in the foreground: a service manager, or amp-install, puts it into the background.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/connector"
	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// version is set by the linker.
var version = "devel"

// Exit statuses.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNeedRoot = 4
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "canary" {
		if err := connector.ActAsCanary(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			os.Exit(exitFailed)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		if err := sandbox.Enter(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "ampdaemon scan-sandbox:", err) // the scan service's log
		}
		os.Exit(exitFailed)
	}
	outliveReaders()
	status := exitUsage
	command := root(&status)
	if err := command.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "ampdaemon:", err)
		os.Exit(status)
	}
}

// outliveReaders makes a journal, or a pipe, that takes no more an error of writing. The signal of it would end the daemon, as the Go runtime has it
// for standard error even where the service manager ignores it; and systemd takes that for a clean end, after which nothing is restarted
// (systemd.service(5), Restart=).
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// root is the command line; status is set to the exit status that goes with its error.
func root(status *int) *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use: "ampdaemon", Short: "Monitor this host and keep watch over the connector's faults", Version: version,
		Long: "ampdaemon stays in the foreground and ends on SIGTERM or SIGINT. SIGHUP makes it open its log anew and look at the host again.",
		Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				*status = exitNeedRoot
				return fmt.Errorf("needs root, runs as uid %d", os.Geteuid())
			}
			*status = exitFailed
			return run(c.Context(), verbose)
		},
	}
	c.CompletionOptions.HiddenDefaultCmd = true
	c.Flags().BoolVar(&verbose, "debug", false, "log what is of use to developers too")
	return c
}

func run(ctx context.Context, verbose bool) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	log, reopen := connector.NewLog(connector.LogPath, os.Stderr, level)
	config := connector.Config{Version: version, Log: log, Reopen: reopen, Reload: hangups()}
	var err error
	if config.Executable, err = os.Executable(); err != nil {
		return err
	}
	if config.Watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog is not served", "error", err)
	}
	if err := confine(); err != nil { // goes on with what it has: seeing is worth more than giving up rights
		log.Warn("rights that are not needed could not be given up", "error", err)
	}
	log.Info("starting", "version", version, "pid", os.Getpid())
	if err = connector.Run(ctx, config); err != nil {
		log.Error("ended", "error", err)
		return err
	}
	log.Info("ended")
	return nil
}

// hangups turns SIGHUP into requests to reload; several that come at once are one.
func hangups() <-chan struct{} {
	signals, reload := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for range signals {
			reload <- struct{}{}
		}
	}()
	return reload
}
