// Command amp-remediate diagnoses and mends the connector's numbered faults. It is wiring: what it does lives in remediate.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/remediate"
)

func main() { os.Exit(run()) }

// run is main with an exit code. The first interrupt ends the work between two steps, a second one the program.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

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
	root := c.root()
	root.SetArgs(args)
	root.SetOut(c.tool.Stdout)
	root.SetErr(c.tool.Stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.usage(c.tool.Stderr, err)
	}
	return c.code
}

func (c *command) usage(w io.Writer, err error) int {
	fmt.Fprintf(w, "amp-remediate: %v\n", err)
	return remediate.ExitUsage
}

// settings turns the flags that all subcommands share into the tool's.
func (c *command) settings() error {
	language, err := fault.PickLanguage(c.lang, c.env)
	if err != nil {
		return err
	}
	c.tool.Language = language
	switch c.output {
	case "text":
	case "json":
		c.tool.JSON = true
	default:
		return fmt.Errorf("--output %q: expected text or json", c.output)
	}
	if c.tool.DryRun && c.tool.Yes {
		return errors.New("--dry-run changes nothing and --yes lets it change: give one of them")
	}
	return nil
}
