package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/sandbox"
	"github.com/ampconnector/amp/internal/scan/trial"
)

const definitionsHelp = `What the scan service finds is told by its definitions, which stand in ` + definitions.Dir + `.

Fill ` + definitions.Dir + `/incoming with freshclam or cvdupdate and the daemon takes them in; or take in another directory
with import. What is taken in is checked, tried in a separate process, and goes live only then; a file that fails is set aside with the
reason, and its last good version stays.`

// tryingThem is shown for the minute that the engine may take to load a set of official size.
var tryingThem = fault.Text{EN: "the definitions are checked and tried", JA: "定義を検査し、試しに読み込んでいます"}

// engine is how definitions are tried, and what they are judged by.
type engine struct {
	prove definitions.Prove // nil: this program cannot try any
	level uint32            // functionality level of the engine library; 0: not known
}

func (c *command) definitions() *cobra.Command {
	d := &cobra.Command{Use: "definitions", Short: "List, check, take in or roll back the definitions of the scan service", Long: definitionsHelp, Args: cobra.NoArgs}
	var force bool
	list := &cobra.Command{
		Use: "list", Short: "List the live, the previous and the built-in set, and what was set aside", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.listDefinitions() },
	}
	verify := &cobra.Command{
		Use: "verify [DIR]", Short: "Check and try the definitions of a directory, the live set's if none is named; exit code 2 if one fails", Args: cmdline.Arguments(0, 1),
		ValidArgsFunction: directories,
		RunE: func(r *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.verifyDefinitions(r.Context(), args[0])
			}
			return c.verifyDefinitions(r.Context(), "")
		},
	}
	take := &cobra.Command{
		Use: "import DIR", Short: "Take in the definitions of a directory (root only); exit code 2 if they do not go live", Args: cmdline.Arguments(1, 1),
		ValidArgsFunction: directories,
		RunE: func(r *cobra.Command, args []string) error {
			return c.changeDefinitions(r.Context(), func(s *definitions.Store) (definitions.Outcome, error) { return s.Import(r.Context(), args[0], force) })
		},
	}
	take.Flags().BoolVar(&force, "force", false, "try again what was set aside before")
	rollback := &cobra.Command{
		Use: "rollback", Short: "Go back to the set that was live before (root only)", Args: cobra.NoArgs,
		RunE: func(r *cobra.Command, _ []string) error {
			return c.changeDefinitions(r.Context(), func(s *definitions.Store) (definitions.Outcome, error) { return s.Rollback(r.Context()) })
		},
	}
	return group(d, list, verify, take, rollback)
}

// prove tries definitions in a process of the scan service's own.
func (c *command) prove(ctx context.Context, dir string) (scan.Report, error) {
	p, err := c.loadPolicy()
	if err != nil {
		p = policy.Default()
	}
	log, err := trial.OpenLog(trial.Log)
	if err == nil {
		defer log.Close()
	}
	return trial.ProveAs(sandbox.Options{
		Executable: trial.Daemon, Service: trial.Service, Memory: uint64(p.Scan.MemoryMiB) << 20, Workers: 1, Log: log,
	}, host.Connectors[0].ScanAccount)(ctx, dir)
}

func directories(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// definitionStore is the host's. A policy that cannot be read allows nothing.
func (c *command) definitionStore() *definitions.Store {
	p, err := c.loadPolicy()
	return definitions.Open(definitions.Config{
		Dir: c.path(definitions.Dir), BuiltIn: c.path(definitions.BuiltInDir), Program: "ampcli", Prove: c.engine.prove,
		Unsigned: err == nil && p.Scan.Unsigned,
		Level:    c.engine.level, FIPS: definitions.FIPS(c.rootDirectory()), Wait: lockPatience,
	})
}

func (c *command) listDefinitions() error {
	l, err := c.definitionStore().List()
	if c.output == "json" {
		return errors.Join(c.json(l), err)
	}
	return errors.Join(definitionText{c}.listing(l), err)
}

func (c *command) verifyDefinitions(ctx context.Context, dir string) error {
	s := c.definitionStore()
	if dir == "" {
		live, err := s.Current()
		if err != nil {
			return err
		}
		dir = live.Dir
	}
	done := c.working(tryingThem)
	checks, report, err := s.Verify(ctx, dir)
	done()
	if err != nil && checks == nil {
		return badInput(err)
	}
	if err != nil && os.Geteuid() != 0 { // the process that tries them is to become the scan service's user
		err = worded("%v: only root can try definitions: %v", "%v: 定義を試すには root 権限が必要です: %v", fs.ErrPermission, err)
	}
	failed := countFailed(checks)
	if c.output == "json" {
		if err := c.json(map[string]any{"directory": dir, "ok": err == nil && failed == 0, "checks": checks, "engine": report.Engine, "signatures": report.Signatures}); err != nil {
			return err
		}
	} else if err := (definitionText{c}).checks(checks); err != nil {
		return err
	}
	switch {
	case failed > 0:
		return errors.Join(of(errUnusable, worded("%s: %d checks failed", "%s: 検査に %d 件失敗しました", word(dir), failed)), err)
	case err != nil:
		return err
	case c.output == "json":
		return nil
	}
	return c.say(fault.Text{EN: "%s: can be used", JA: "%s: 使用できます"}.With(word(dir)))
}

func countFailed(checks []definitions.Check) (failed int) {
	for _, k := range checks {
		if k.Verdict == definitions.Failed {
			failed++
		}
	}
	return failed
}

// badInput makes errors of what was named on the command line a matter of the exit status.
func badInput(err error) error {
	if errors.Is(err, definitions.ErrBuiltIn) {
		return worded("%v; install the package again", "%v。パッケージを再インストールしてください", err)
	}
	if errors.Is(err, definitions.ErrNothing) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return of(errUnusable, err)
	}
	return err
}

// changeDefinitions does an import or a rollback, tells what came of it, and lets the daemon know.
func (c *command) changeDefinitions(ctx context.Context, change func(*definitions.Store) (definitions.Outcome, error)) error {
	if os.Geteuid() != 0 {
		return forRoot("change the definitions", "定義の変更")
	}
	done := c.working(tryingThem)
	out, err := change(c.definitionStore())
	done()
	if out.Result != "" {
		if werr := c.writeOutcome(out); werr != nil {
			err = errors.Join(err, werr)
		}
	}
	if err != nil {
		return badInput(notTried(err, out.Report))
	}
	switch out.Result {
	case definitions.Kept:
		return of(errUnusable, worded("%s; set %s is still live", "%s。引き続きセット %s を使用します", out.Reason, out.Set.ID))
	case definitions.Live:
		return c.reload(ctx)
	}
	return nil
}

// notTried adds what a person can do where the engine could not be asked.
func notTried(err error, r scan.Report) error {
	if errors.Is(err, definitions.ErrNotProven) && r.Cause == scan.MemoryShort {
		return worded("%v; memory has to hold the definitions a second time while they are tried", "%v。試用中は定義がもう一組メモリに読み込まれます", err)
	}
	return err
}

func (c *command) writeOutcome(out definitions.Outcome) error {
	if c.output == "json" {
		return c.json(out)
	}
	return definitionText{c}.outcome(out)
}

// reloadPatience is a little longer than the daemon's own for a request: before it answers, its service loads the set.
const reloadPatience = 2*time.Minute + 10*time.Second

// reload makes the daemon take the live set now, and says where it could not.
func (c *command) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadPatience)
	defer cancel()
	_, err := control.Ask(ctx, c.socket, control.Request{Verb: control.Reload})
	if errors.Is(err, control.ErrNotRunning) {
		if c.output == "json" {
			return nil
		}
		return c.say(fault.Text{EN: "The daemon is not running; it takes effect when it starts.", JA: "デーモンは動作していません。起動時に適用されます。"})
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, control.ErrIncomplete) { // it goes on with it all the same
		if c.output == "json" {
			return nil
		}
		return c.say(fault.Text{
			EN: "The set is live, and the daemon has not said yet that it uses it; ampcli status tells.",
			JA: "定義は有効になりましたが、デーモンはまだ使用開始を報告していません。ampcli status で確認できます。",
		})
	}
	if err != nil {
		return worded("the set is live, and the daemon has not been told: %v", "定義は有効になりましたが、デーモンに通知できませんでした: %v", err)
	}
	return nil
}
