package hostsetup

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// purge removes what an install and the daemon made. It asks first.
func purge(makeHost func(*cobra.Command) *installer.Host, language *fault.Language, in io.Reader) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "purge", Short: "Remove account, policy module, state and logs; before rpm -e amp-connector", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			f := health.Gather(c.Context(), health.Options{})
			if !yes && !agreed(in, c.OutOrStdout(), installer.PurgeList(f), *language) {
				fmt.Fprintln(c.OutOrStdout(), nothingRemoved.In(*language))
				return errFailed
			}
			return carryOut(c.Context(), makeHost(c), f, c.OutOrStdout(), *language)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// What purge says.
var (
	willRemove     = fault.Text{EN: "This removes:", JA: "次のものを削除します:"}
	askRemove      = fault.Text{EN: "Events, logs and state cannot be brought back. Remove them? [y/N] ", JA: "イベント、ログ、状態は元に戻せません。削除しますか? [y/N] "}
	nothingRemoved = fault.Text{EN: "Nothing was removed.", JA: "何も削除していません。"}
	removed        = fault.Text{EN: "removed: %s", JA: "削除しました: %s"}
	notRemoved     = fault.Text{EN: "not removed: %s: %s", JA: "削除できませんでした: %s: %s"}
)

// agreed asks; only a plain yes is one.
func agreed(in io.Reader, out io.Writer, list []fault.Text, l fault.Language) bool {
	fmt.Fprintln(out, willRemove.In(l))
	for _, what := range list {
		fmt.Fprintln(out, " ", what.In(l))
	}
	fmt.Fprint(out, askRemove.In(l))
	line, _ := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes" || answer == "はい"
}

// carryOut takes back what an interrupted run left before anything is deleted: the journal, which alone tells how, goes with the state. Where that
// cannot be done, nothing is deleted.
func carryOut(ctx context.Context, h *installer.Host, f *health.Facts, out io.Writer, l fault.Language) error {
	lock, err := installer.Acquire(ctx, h, "amp-install purge", lockWait)
	if err != nil {
		return notDone(err)
	}
	defer lock.Release()
	undone, err := installer.Recover(ctx, h)
	for _, title := range undone {
		fmt.Fprintln(out, takenBack.With(title).In(l))
	}
	if err != nil {
		fmt.Fprintln(out, nothingRemoved.In(l))
		return notDone(err)
	}
	if len(undone) > 0 {
		f = health.Gather(ctx, health.Options{Root: h.Root.Dir()})
	}
	failed := false
	for _, p := range installer.Purge(ctx, h, f) {
		if p.Err != nil {
			failed = true
			fmt.Fprintln(out, notRemoved.With(p.What, installer.ErrorText(p.Err)).In(l))
			continue
		}
		fmt.Fprintln(out, removed.With(p.What).In(l))
	}
	if failed {
		return errFailed
	}
	return nil
}
