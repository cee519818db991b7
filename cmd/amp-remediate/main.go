// Command amp-remediate diagnoses and mends the connector's numbered faults. It is wiring: what it does lives in remediate.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/cmd/internal/hostsetup"
	"github.com/ampconnector/amp/cmd/internal/interrupt"
	"github.com/ampconnector/amp/cmd/internal/output"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/remediate"
)

func main() {
	if filepath.Base(os.Args[0]) == hostsetup.Name { // a link to this program: two programs of this size would share nearly all of their code
		os.Exit(hostsetup.Main(version))
	}
	os.Exit(run())
}

// run is main with an exit code. The first interrupt ends the work between two steps, a second one the program.
func run() int {
	ctx, stop := interrupt.Context()
	defer stop()

	c := &command{env: os.Getenv, tool: remediate.Tool{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal:   term.IsTerminal(int(os.Stdin.Fd())),
		Progress:   term.IsTerminal(int(os.Stderr.Fd())),
		Privileged: os.Geteuid() == 0,
	}}
	return c.execute(ctx, os.Args[1:])
}

// command is the state of one call.
type command struct {
	env    func(string) string
	tool   remediate.Tool
	output string
	lang   string
	policy bool // --print-policy
	code   int
}

// execute runs the command line. What cobra refuses is an error of usage.
func (c *command) execute(ctx context.Context, args []string) int {
	out := output.To(c.tool.Stdout)
	c.tool.Stdout = out
	root := c.root()
	root.SetArgs(args)
	root.SetOut(c.tool.Stdout)
	root.SetErr(c.tool.Stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.usage(err, args)
	}
	if err := out.Failed(); err != nil {
		c.complain(err, args)
		return remediate.Heavier(c.code, remediate.ExitUsage)
	}
	return c.code
}

// usage says what is wrong with the command line.
func (c *command) usage(err error, args []string) int {
	err = cmdline.Refused(err)
	var own *fault.Error
	if !errors.As(err, &own) {
		err = errCommandLine.wrong(err) // cobra's, in English
	}
	c.complain(err, args)
	return remediate.ExitUsage
}

// complain says an error. The language may not have been come to yet.
func (c *command) complain(err error, args []string) {
	fmt.Fprintf(c.tool.Stderr, "amp-remediate: %s\n", installer.ErrorText(err).In(fault.LanguageAsked(args, c.env)))
}

// settings turns the flags that all subcommands share into the tool's.
func (c *command) settings(r *cobra.Command) error {
	if err := cmdline.NoEmptyFlag(r); err != nil {
		return err
	}
	language, err := fault.PickLanguage(c.lang, c.env)
	if err != nil {
		return err
	}
	c.tool.Language = language
	if c.lang != "" { // a locale does not change what programs read
		c.tool.JSONWords = language
	}
	switch c.output {
	case "text":
	case "json":
		c.tool.JSON = true
	default:
		return errOutput.wrong(c.output)
	}
	if c.tool.DryRun && c.tool.Yes {
		return errDryYes.wrong()
	}
	return nil
}
