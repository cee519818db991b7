package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/cmd/internal/output"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
)

const long = `ampcli shows what the connector on this host does.

Exit codes: 0 done; 1 the daemon is not running, or something could not be read, or scan found
something; 2 usage, or a policy or definitions that cannot be used, or a scan of which something is
missing; 4 only root may do or read this.`

// patience is how long the daemon may take to answer.
const patience = 10 * time.Second

// command is the command line, with what it reads.
type command struct {
	socket, ledger     string
	events, detections string // logs
	rootDir            string // directory that stands for /, "" for the running host
	out                io.Writer
	getenv             func(string) string
	engine             engine

	output string
	lang   string

	language fault.Language
}

// Errors that are told by the exit status.
var (
	errUsage      = fault.Errorf(fault.Text{EN: "usage", JA: "コマンドラインの指定に誤りがあります"})
	errNotRunning = errors.New("the daemon is not running")                       // and the output has said so
	errUnusable   = fault.Errorf(fault.Text{EN: "cannot be used", JA: "使用できません"}) // a file that was to be checked
)

// of makes err one of a class, which the exit status tells.
func of(class, err error) error {
	return &fault.Error{Text: fault.Text{EN: "%s: %s", JA: "%s: %s"}.With(fault.ErrorText(class), fault.ErrorText(err)), Err: errors.Join(class, err)}
}

// usage is what is wrong with a command line, with verbs of package fmt.
func usage(en, ja string, args ...any) error { return of(errUsage, worded(en, ja, args...)) }

// worded is an error in both languages.
func worded(en, ja string, args ...any) error {
	return fault.Errorf(fault.Text{EN: en, JA: ja}, args...)
}

// forRoot is the error of who may not do something.
func forRoot(en, ja string) error {
	return worded("to "+en+": %v", ja+"には root 権限が必要です: %v", fs.ErrPermission)
}

// exitCode is the exit status for an error.
func exitCode(err error) int {
	switch {
	case errors.Is(err, errFound):
		return 1 // whatever else there was
	case errors.Is(err, errUsage), errors.Is(err, errUnusable), errors.Is(err, errPartial), errors.Is(err, errUnended):
		return 2
	case errors.Is(err, fs.ErrPermission):
		return 4
	}
	return 1
}

// silent errors have been told already. That a scan was not completed never has, though its daemon went away with a broken pipe.
func (c *command) silent(err error) bool {
	return !errors.Is(err, errUnended) && (errors.Is(err, errNotRunning) || errors.Is(err, errFound) || errors.Is(err, errPartial) || errors.Is(err, syscall.EPIPE))
}

// usage marks errors of the command line, which cobra makes, by what it had not begun to do.
func (c *command) execute(ctx context.Context, args []string) error {
	began := false
	root := c.root(&began)
	root.SetArgs(args)
	help := output.To(c.out) // cobra does not say whether it could write it
	root.SetOut(help)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return help.Failed()
	}
	if !began {
		return usage("%v; see ampcli --help", "%v。ampcli --help を参照してください", cmdline.Refused(err))
	}
	return err
}

func (c *command) root(began *bool) *cobra.Command {
	root := &cobra.Command{
		Use: "ampcli", Short: "Show what the connector does", Long: long, Args: cobra.NoArgs, Version: version,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(r *cobra.Command, _ []string) error {
			err := cmdline.NoEmptyFlag(r)
			if err == nil {
				err = c.settings()
			}
			*began = err == nil
			return err
		},
		RunE: func(r *cobra.Command, _ []string) error { return r.Help() },
	}
	root.Flags().Bool("version", false, "print the version") // without cobra's -v, which means verbose elsewhere
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")      // as the command version says it
	root.PersistentFlags().StringVarP(&c.output, "output", "o", "text", "text or json")
	root.PersistentFlags().StringVar(&c.lang, "lang", "", "en or ja; the default is the locale's (LC_ALL, LC_MESSAGES, LANG)")
	root.AddCommand(c.status(), c.faults(), c.metrics(), c.eventsCommand(), c.top(), c.scan(), c.detectionsCommand(), c.exclusions(), c.policy(), c.definitions(), c.quarantine(), c.versionCommand())
	offer(root)
	return root
}

// group is a command that does something by its subcommands alone. Without one it shows its help, as all that cobra cannot run; a word that is none
// of them is an error.
func group(c *cobra.Command, of ...*cobra.Command) *cobra.Command {
	c.AddCommand(of...)
	c.RunE = func(r *cobra.Command, _ []string) error { return r.Help() }
	return c
}

func (c *command) settings() (err error) {
	if c.output != "text" && c.output != "json" {
		return worded("--output %q: expected text or json", "--output %q: text または json を指定してください", c.output)
	}
	c.language, err = fault.PickLanguage(c.lang, c.getenv)
	return err
}

func (c *command) status() *cobra.Command {
	var verbose bool
	s := &cobra.Command{
		Use: "status", Short: "Show the connector's status, and its faults with what to do", Args: cobra.NoArgs,
		RunE: func(r *cobra.Command, _ []string) error {
			s, err := c.ask(r.Context())
			if err != nil {
				return err
			}
			if c.output == "json" {
				err = c.json(s)
			} else {
				err = control.Text{Language: c.language, Verbose: verbose}.WriteStatus(c.out, s)
			}
			return orNotRunning(err, s)
		},
	}
	s.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the evidence too, and the faults that are not raised")
	return s
}

func (c *command) faults() *cobra.Command {
	var verbose, history bool
	f := &cobra.Command{
		Use: "faults", Short: "List every fault with its state", Args: cobra.NoArgs,
		RunE: func(r *cobra.Command, _ []string) error {
			if history {
				return c.history()
			}
			s, err := c.ask(r.Context())
			if err != nil {
				return err
			}
			if c.output == "json" {
				err = c.json(map[string]any{"faults": s.Faults})
			} else {
				err = control.Text{Language: c.language, Verbose: verbose}.WriteFaults(c.out, s)
			}
			return orNotRunning(err, s)
		},
	}
	f.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the evidence too")
	f.Flags().BoolVar(&history, "history", false, "list instead what was raised and cleared, and when")
	return f
}

func (c *command) metrics() *cobra.Command {
	return &cobra.Command{
		Use: "metrics", Short: "Show the status as metrics for Prometheus", Args: cobra.NoArgs,
		Long: "Show the status as metrics, in the text format of Prometheus that the textfile collector of node_exporter reads.",
		RunE: func(r *cobra.Command, _ []string) error {
			s, err := c.ask(r.Context())
			if err != nil {
				return err
			}
			return orNotRunning(control.WriteMetrics(c.out, s), s)
		},
	}
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this program", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.output == "json" {
				return c.json(map[string]string{"version": version})
			}
			_, err := fmt.Fprintln(c.out, "ampcli", version)
			return err
		},
	}
}

// ask gets the status from the daemon, or from the ledger where no daemon answers.
func (c *command) ask(ctx context.Context) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := control.Ask(ctx, c.socket, control.Request{Verb: control.ReadStatus})
	if err == nil {
		return *a.Status, nil
	}
	if !errors.Is(err, control.ErrNotRunning) {
		return control.Status{}, err
	}
	snapshot, err := fault.ReadLedger(c.ledger)
	return control.NotRunning(snapshot, c.ledger, err), nil
}

func orNotRunning(err error, s control.Status) error {
	if err == nil && !s.Running {
		return errNotRunning
	}
	return err
}

func (c *command) history() error {
	snapshot, err := fault.ReadLedger(c.ledger)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return c.json(map[string]any{"history": snapshot.History})
	}
	return control.Text{Language: c.language}.WriteHistory(c.out, snapshot.History)
}

func (c *command) json(v any) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
