// Package hostsetup is the command amp-install, which sets up and removes what the connector needs on a host. Package scripts call it; doctor, start,
// stop, restart and purge are for persons.
package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/cmd/internal/interrupt"
	"github.com/ampconnector/amp/cmd/internal/output"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// version is the program's that calls Main.
var version = "devel"

// Name is what the command is called by.
const Name = "amp-install"

// Exit statuses; package hooks end with exitDone whatever happens.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNeedRoot = 4
)

var (
	errFailed   = errors.New("") // what failed has been said
	errNeedRoot = fault.Errorf(fault.Text{EN: "needs root", JA: "root 権限が必要です"})
)

// Main runs the command with the program's arguments, and returns its exit status.
func Main(v string) int {
	version = v
	ctx, stop := interrupt.Context()
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	language := fault.LanguageAsked(args, os.Getenv)
	root := command(in, &language)
	kept := output.To(out)
	root.SetArgs(args)
	root.SetOut(kept)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if failed := kept.Failed(); failed != nil {
		err = notDone(failed)
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFailed):
		return exitFailed
	}
	var own *fault.Error
	if err = cmdline.Refused(err); !errors.As(err, &own) {
		err = fault.Errorf(wrongUsage, err)
	}
	fmt.Fprintln(errOut, "amp-install:", installer.ErrorText(err).In(language))
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

// notDone makes err an errWork.
func notDone(err error) error {
	return &fault.Error{Text: notDoneWords.With(installer.ErrorText(err)), Err: errors.Join(errWork, err)}
}

// What is said to a person.
var (
	wrongUsage   = fault.Text{EN: "usage: %s; see amp-install --help", JA: "コマンドラインの指定に誤りがあります: %s。amp-install --help を参照してください"}
	notDoneWords = fault.Text{EN: "not done: %s", JA: "実行できませんでした: %s"}
	whichCommand = fault.Text{EN: "which command? See amp-install --help", JA: "コマンドを指定してください。amp-install --help を参照してください"}
	whichFormat  = fault.Text{EN: "%s: which package format, deb or rpm?", JA: "%s: パッケージ形式 (deb または rpm) を指定してください"}
	takenBack    = fault.Text{EN: "taken back: %s", JA: "元に戻しました: %s"}
	leftAlone    = fault.Text{EN: "left alone: %s", JA: "何も行いませんでした: %s"}
)

// command is the command line. What --lang and the locale say is put into language before a command runs.
func command(in io.Reader, language *fault.Language) *cobra.Command {
	var verbose bool
	var lang string
	root := &cobra.Command{
		Use: Name, Short: "Set up and remove what the AMP connector needs on a host",
		Version: version, SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fault.Errorf(whichCommand) },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := cmdline.NoEmptyFlag(c); err != nil {
				return err
			}
			picked, err := fault.PickLanguage(lang, os.Getenv)
			if err != nil {
				return err
			}
			*language = picked
			return nil
		},
	}
	root.PersistentFlags().BoolVarP(&verbose, "verbose", "v", false, "log every command that is run, with its output")
	root.PersistentFlags().StringVar(&lang, "lang", "", "en or ja; the default is the locale's (LC_ALL, LC_MESSAGES, LANG)")
	makeHost := func(c *cobra.Command) *installer.Host { return newHost(c.ErrOrStderr(), verbose) }
	root.AddCommand(doctor(makeHost, language), purge(makeHost, language, in), recoverCommand(makeHost, language), modulesCommand(makeHost, language), kernel(language))
	for _, s := range serviceCommands {
		root.AddCommand(service(makeHost, language, s))
	}
	for _, name := range installer.Hooks {
		root.AddCommand(hook(name, language))
	}
	offer(root)
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
func hook(name string, language *fault.Language) *cobra.Command {
	return &cobra.Command{
		Use: name + " deb|rpm ARGUMENT…", Short: "Called by the package's script", Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.Errorf(whichFormat, name)
			}
			if err := needRoot(); err != nil {
				return err
			}
			call := installer.Call{Format: args[0], Hook: name, Args: args[1:], Language: *language, Version: version}
			return installer.RunHook(c.Context(), newHost(c.ErrOrStderr(), false), call, c.OutOrStdout())
		},
	}
}
