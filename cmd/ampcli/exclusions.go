package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

// lockPatience is how long another program may be changing the host.
const lockPatience = 30 * time.Second

const exclusionHelp = `What is excluded by one of these is left out, in the kernel where the event source can do so, and counted:

  path PREFIX    changes of files: a directory with a slash at its end and all below it, or one file
  process FILE   all that the processes do that execute FILE, and with --children what those do that they start
  user NAME|UID  all that the processes of a user do
  kind KIND      all events of a kind, such as map or listen

The exclusions of this host stand in ` + policy.ExclusionPath + ` and survive upgrades. A change takes effect at once.`

func (c *command) exclusions() *cobra.Command {
	x := &cobra.Command{Use: "exclusions", Short: "List or change what this host leaves out of monitoring", Long: exclusionHelp, Args: cobra.NoArgs}
	var children bool
	add := &cobra.Command{
		Use: "add path|process|user|kind VALUE", Short: "Leave something out (root only)", Args: cmdline.Arguments(2, 2), ValidArgsFunction: exclusionWords,
		RunE: func(r *cobra.Command, args []string) error { return c.exclude(r.Context(), args, children, false) },
	}
	add.Flags().BoolVar(&children, "children", false, "with process: what it starts is left out too")
	remove := &cobra.Command{
		Use: "remove path|process|user|kind VALUE", Short: "Take an exclusion out (root only)", Args: cmdline.Arguments(2, 2), ValidArgsFunction: exclusionWords,
		RunE: func(r *cobra.Command, args []string) error { return c.exclude(r.Context(), args, false, true) },
	}
	list := &cobra.Command{
		Use: "list", Short: "List the exclusions of the policy and of this host", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.listExclusions() },
	}
	return group(x, list, add, remove)
}

// listed is an exclusion and where it stands.
type listed struct {
	policy.Exclusion
	From string `json:"from"`
}

func (c *command) listExclusions() error {
	p, err := c.loadPolicy()
	if err != nil {
		return err
	}
	local, err := policy.LoadExclusions(c.path(policy.ExclusionPath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all := []listed{}
	for _, x := range p.Exclusions.All() {
		all = append(all, listed{x, policy.Path})
	}
	for _, x := range local.All() {
		all = append(all, listed{x, policy.ExclusionPath})
	}
	if c.output == "json" {
		return c.json(map[string]any{"exclusions": all})
	}
	if len(all) == 0 {
		return c.say(fault.Text{EN: "Nothing is excluded.", JA: "除外はありません。"})
	}
	for _, x := range all {
		children := ""
		if x.Children {
			children = " --children"
		}
		if _, err := fmt.Fprintf(c.out, "%-8s%s%s  (%s)\n", x.Class, word(x.Value), children, x.From); err != nil {
			return err
		}
	}
	return nil
}

// exclude changes the exclusions of this host by the installer's step, and lets the daemon know.
func (c *command) exclude(ctx context.Context, args []string, children, remove bool) error {
	x, err := exclusion(args[0], args[1], children)
	if err != nil {
		return of(errUsage, err)
	}
	if os.Geteuid() != 0 {
		return forRoot("change the exclusions", "除外の変更")
	}
	results, err := c.change(ctx, &installer.Exclude{Exclusions: []policy.Exclusion{x}, Remove: remove})
	if err != nil {
		return err
	}
	changed := results[0].Outcome != installer.Skipped
	if c.output == "json" && (changed || !remove) {
		err := c.json(map[string]any{"exclusion": x, "excluded": !remove, "changed": changed})
		if changed {
			err = errors.Join(err, c.effect(ctx))
		}
		return err
	}
	if !changed {
		if remove {
			return worded("%s is not excluded in %s", "%s は %s で除外されていません", x, policy.ExclusionPath)
		}
		return c.say(fault.Text{EN: "Excluded already: %s.", JA: "すでに除外されています: %s"}.With(x.String()))
	}
	done := fault.Text{EN: "Excluded: %s.", JA: "除外しました: %s"}
	if remove {
		done = fault.Text{EN: "Monitored again: %s.", JA: "監視を再開しました: %s"}
	}
	return errors.Join(c.say(done.With(x.String())), c.effect(ctx))
}

// exclusion reads the arguments of a change. A user may be named.
func exclusion(class, value string, children bool) (policy.Exclusion, error) {
	if class == string(policy.ByUser) {
		if _, err := strconv.Atoi(value); err != nil {
			u, err := user.Lookup(value)
			if err != nil {
				return policy.Exclusion{}, err
			}
			value = u.Uid
		}
	}
	return installer.NewExclusion(policy.Class(class), value, children)
}

// change runs a plan of one step.
func (c *command) change(ctx context.Context, step installer.Step) ([]installer.Result, error) {
	h := installer.NewHost(host.At(c.rootDirectory()), nil)
	lock, err := installer.Acquire(ctx, h, "ampcli", lockPatience)
	if err != nil {
		return nil, err
	}
	results, err := installer.Run(ctx, h, installer.Plan{Name: "exclusions", Items: []installer.Item{{Step: step}}}, installer.Options{})
	return results, errors.Join(err, lock.Release())
}

// effect makes the daemon take the change now, and says where it could not.
func (c *command) effect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := control.Ask(ctx, c.socket, control.Request{Verb: control.Evaluate})
	switch {
	case errors.Is(err, control.ErrNotRunning) && c.output == "json":
		return nil
	case errors.Is(err, control.ErrNotRunning):
		return c.say(fault.Text{EN: "The daemon is not running; it takes effect when it starts.", JA: "デーモンは動作していません。起動時に適用されます。"})
	case err != nil:
		return err
	case a.Status.Policy.Exclusions.Error != "":
		return errors.New(a.Status.Policy.Exclusions.Error)
	}
	return nil
}

func (c *command) say(t fault.Text) error {
	_, err := fmt.Fprintln(c.out, t.In(c.language))
	return err
}

// path is a file of the host.
func (c *command) path(name string) string { return filepath.Join(c.rootDirectory(), name) }

func (c *command) rootDirectory() string {
	if c.rootDir == "" {
		return "/"
	}
	return c.rootDir
}
