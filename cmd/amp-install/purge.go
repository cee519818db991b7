package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/health"
)

// purge removes what an install and the daemon made. It asks first.
func purge(makeHost func(*cobra.Command) *installer.Host, in io.Reader) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "purge", Short: "Remove account, policy module, state and logs; before rpm -e amp-connector", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			f := health.Gather(c.Context(), health.Options{})
			if !yes && !agreed(in, c.OutOrStdout(), installer.PurgeList(f)) {
				fmt.Fprintln(c.OutOrStdout(), "Nothing was removed.")
				return errFailed
			}
			return carryOut(c, makeHost(c), f)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// agreed asks; only a plain yes is one.
func agreed(in io.Reader, out io.Writer, list []string) bool {
	fmt.Fprintln(out, "This removes:")
	for _, what := range list {
		fmt.Fprintln(out, " ", what)
	}
	fmt.Fprint(out, "Events, logs and state cannot be brought back. Remove them? [y/N] ")
	line, _ := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

func carryOut(c *cobra.Command, h *installer.Host, f *health.Facts) error {
	lock, err := installer.Acquire(c.Context(), h, "amp-install purge", lockWait)
	if err != nil {
		return fmt.Errorf("%w: %w", errWork, err)
	}
	defer lock.Release()
	failed := false
	for _, p := range installer.Purge(c.Context(), h, f) {
		if p.Err != nil {
			failed = true
			fmt.Fprintf(c.OutOrStdout(), "not removed: %s: %v\n", p.What, p.Err)
			continue
		}
		fmt.Fprintln(c.OutOrStdout(), "removed:", p.What)
	}
	if failed {
		return errFailed
	}
	return nil
}
