// Command amp-install sets up and removes what the connector needs on a host. Package scripts call it; doctor, start, stop,
// restart and purge are for persons.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/host"
)

// version is set by the linker.
var version = "devel"

// Exit statuses; package hooks end with exitDone whatever happens.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNeedRoot = 4
)

var (
	errFailed   = errors.New("") // what failed has been said
	errNeedRoot = errors.New("needs root")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := command(in)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFailed):
		return exitFailed
	}
	fmt.Fprintln(errOut, "amp-install:", err)
	switch {
	case errors.Is(err, errNeedRoot):
		return exitNeedRoot
	case errors.Is(err, errWork):
		return exitFailed
	}
	return exitUsage
}

// errWork marks errors that are no usage errors.
var errWork = errors.New("not done")

func command(in io.Reader) *cobra.Command {
	var verbose bool
	root := &cobra.Command{
		Use: "amp-install", Short: "Set up and remove what the AMP connector needs on a host",
		Version: version, SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return errors.New("which command? See amp-install --help") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().BoolVarP(&verbose, "verbose", "v", false, "log every command that is run, with its output")
	makeHost := func(c *cobra.Command) *installer.Host { return newHost(c.ErrOrStderr(), verbose) }
	root.AddCommand(doctor(makeHost), purge(makeHost, in), recoverCommand(makeHost))
	for _, s := range serviceCommands {
		root.AddCommand(service(makeHost, s))
	}
	for _, name := range installer.Hooks {
		root.AddCommand(hook(name))
	}
	return root
}

// newHost is the running host. Warnings are shown, commands only where asked for.
func newHost(w io.Writer, verbose bool) *installer.Host {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return installer.NewHost(host.At("/"), slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})))
}

func needRoot() error {
	if os.Geteuid() != 0 {
		return errNeedRoot
	}
	return nil
}

// hook is a package script's call. Its arguments are the package manager's, never flags.
func hook(name string) *cobra.Command {
	return &cobra.Command{
		Use: name + " deb|rpm ARGUMENT…", Short: "Called by the package's script", Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s: which package format, deb or rpm?", name)
			}
			if err := needRoot(); err != nil {
				return err
			}
			return installer.RunHook(c.Context(), newHost(c.ErrOrStderr(), false), installer.Call{Format: args[0], Hook: name, Args: args[1:]}, c.OutOrStdout())
		},
	}
}
