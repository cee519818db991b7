package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/quarantine"
	"github.com/ampconnector/amp/internal/terminal"
)

const quarantineHelp = `Where the policy says so (quarantine="unowned" or "all" of the element scan in ` + policy.Path + `),
the daemon takes files in which something is found out of their place, into ` + quarantine.Dir + `.

A file that is given back has its content, mode, owner, extended attributes and times again. Its content is left alone from then on,
wherever it is, unless something else is found in it; delete with the same ID ends that. Root only.`

func (c *command) quarantine() *cobra.Command {
	q := &cobra.Command{Use: "quarantine", Short: "List, give back or delete the files in quarantine (root only)", Long: quarantineHelp, Args: cobra.NoArgs}
	list := &cobra.Command{
		Use: "list", Short: "List the files in quarantine, and those that were given back (root only)", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.listQuarantine() },
	}
	var o quarantine.RestoreOptions
	restore := &cobra.Command{
		Use: "restore ID", Short: "Give a file back (root only)", Args: cmdline.Arguments(1, 1), ValidArgsFunction: c.quarantined,
		RunE: func(r *cobra.Command, args []string) error { return c.restore(r.Context(), args[0], o) },
	}
	restore.Flags().StringVar(&o.To, "to", "", "where to; the default is where it was")
	restore.Flags().BoolVar(&o.Force, "force", false, "also where something stands: that gets another name, and nothing is deleted")
	remove := &cobra.Command{
		Use: "delete ID", Short: "Delete a file for good, or forget that it was given back (root only)", Args: cmdline.Arguments(1, 1), ValidArgsFunction: c.quarantined,
		RunE: func(r *cobra.Command, args []string) error { return c.deleteQuarantined(r.Context(), args[0]) },
	}
	return group(q, list, restore, remove)
}

// quarantineStore is the host's. The daemon may be changing it: those who do take turns.
func (c *command) quarantineStore() *quarantine.Store {
	return &quarantine.Store{Dir: c.path(quarantine.Dir), Program: "ampcli", Wait: lockPatience}
}

// quarantined completes an ID, with the file for the shells that show that.
func (c *command) quarantined(_ *cobra.Command, args []string, _ string) (words []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	l, err := c.quarantineStore().List()
	if err != nil && len(l.Entries) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, e := range l.Entries {
		words = append(words, cobra.CompletionWithDesc(e.ID, word(string(e.Path))))
	}
	for _, a := range l.Allowed {
		words = append(words, cobra.CompletionWithDesc(a.ID, word(string(a.Path))))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func needsRoot(en, ja string) error {
	if os.Geteuid() != 0 {
		return forRoot(en, ja)
	}
	return nil
}

func (c *command) listQuarantine() error {
	if err := needsRoot("list the quarantine", "隔離の一覧表示"); err != nil {
		return err
	}
	l, err := c.quarantineStore().List()
	if c.output == "json" {
		return errors.Join(c.json(l), err)
	}
	if len(l.Entries) == 0 {
		err = errors.Join(err, c.say(fault.Text{EN: "Nothing is in quarantine.", JA: "隔離されたファイルはありません。"}))
	}
	for _, e := range l.Entries {
		text := fmt.Sprintf("%s  %s  %10s  %s  %s", e.ID, moment(e.Taken), bytesOf(e.Size), word(e.Why.Name), word(string(e.Path)))
		if e.View != "" {
			text += "  (" + word(e.View) + ")"
		}
		if _, werr := fmt.Fprintln(c.out, text); werr != nil {
			return werr
		}
	}
	for _, a := range l.Allowed {
		err = errors.Join(err, c.say(fault.Text{EN: "%s  given back %s, and left alone since: %s in %s", JA: "%s  %s に復元済み。以後は隔離されません: %s (%s)"}.With(
			a.ID, moment(a.Since), word(a.Name), word(string(a.Path)))))
	}
	if l.Usage.Files > 0 {
		err = errors.Join(err, c.say(fault.Text{EN: "%d files, %s; at most %d files, %s.", JA: "%d ファイル、%s。上限は %d ファイル、%s。"}.With(
			l.Usage.Files, bytesOf(l.Usage.Bytes), l.Usage.MaxFiles, bytesOf(l.Usage.MaxBytes))))
	}
	if l.Usage.Unfinished > 0 {
		err = errors.Join(err, c.say(fault.Text{EN: "%d more were interrupted; the daemon, or the next change, deals with them.", JA: "ほかに %d 件が中断されています。デーモンまたは次回の変更時に処理されます。"}.With(l.Usage.Unfinished)))
	}
	return err
}

func (c *command) restore(ctx context.Context, id string, o quarantine.RestoreOptions) error {
	if err := needsRoot("give a file back", "ファイルの復元"); err != nil {
		return err
	}
	if o.To != "" {
		to, err := filepath.Abs(o.To)
		if err != nil {
			return err
		}
		o.To = to
	}
	done, err := c.quarantineStore().Restore(ctx, id, o)
	switch {
	case errors.Is(err, quarantine.ErrView):
		return fmt.Errorf("%w: --to PATH", err)
	case errors.Is(err, quarantine.ErrNoParent):
		return worded("%v; name another place: --to PATH", "%v。別の場所を指定してください: --to PATH", rightful(err))
	case errors.Is(err, quarantine.ErrOccupied):
		return worded("%v; name another place: --to PATH, or give what stands there another name: --force",
			"%v。別の場所を指定する (--to PATH) か、その場所にあるものの名前を変更してください (--force)", rightful(err))
	case err != nil:
		return quarantineError(err)
	case c.output == "json":
		return c.json(done)
	}
	err = c.say(fault.Text{EN: "Given back: %s.", JA: "復元しました: %s"}.With(word(done.Path)))
	if done.Moved != "" {
		err = errors.Join(err, c.say(fault.Text{EN: "What stood there is now %s.", JA: "元からあったものは %s に移動しました。"}.With(word(done.Moved))))
	}
	for _, m := range done.Missed {
		err = errors.Join(err, c.say(fault.Text{EN: "It does not have any more: %s", JA: "復元できなかった属性: %s"}.With(terminal.Line(m))))
	}
	return err
}

func (c *command) deleteQuarantined(ctx context.Context, id string) error {
	if err := needsRoot("delete a file", "ファイルの削除"); err != nil {
		return err
	}
	if err := c.quarantineStore().Delete(ctx, id); err != nil {
		return quarantineError(err)
	}
	if c.output == "json" {
		return c.json(map[string]string{"deleted": id})
	}
	return c.say(fault.Text{EN: "Deleted: %s.", JA: "削除しました: %s"}.With(id))
}

// quarantineError makes an ID that is none a matter of the exit status.
func quarantineError(err error) error {
	if errors.Is(err, quarantine.ErrNoEntry) {
		return of(errUsage, err)
	}
	return rightful(err)
}

// rightful is an error of root's: that something is not permitted to root either is no matter of who asks.
func rightful(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return errors.New(err.Error())
	}
	return err
}
