package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/terminal"
)

// topPeriod is how often the busiest are shown anew.
const topPeriod = 2 * time.Second

// topWindows are the windows that the daemon has, in minutes.
var topWindows = map[string]int{"1m": 1, "5m": 5, "15m": 15}

const topHelp = `Show which programs, processes, files and peers most events are of, over the last 1, 5 or 15
minutes. What is excluded, and what is left out while monitoring is reduced, counts too. The
daemon takes the measure every ten seconds. Files and peers are for root only.

On a terminal the whole screen is used, until q or Ctrl-C; elsewhere, or with -n, the busiest are
printed so many times. To leave a program out of monitoring: amp-remediate 18 --exclude FILE.`

func (c *command) top() *cobra.Command {
	var window string
	var times int
	t := &cobra.Command{
		Use: "top", Short: "Show who makes the events", Long: topHelp, Args: cobra.NoArgs,
		RunE: func(r *cobra.Command, _ []string) error {
			minutes, ok := topWindows[window]
			if !ok {
				return usage("--window %q: expected 1m, 5m or 15m", "--window %q: 1m、5m または 15m を指定してください", window)
			}
			if times < 0 {
				return usage("--times %d: expected 1 or more, or 0 for no end", "--times %d: 1 以上、または無制限の 0 を指定してください", times)
			}
			all := c.output == "json" && !r.Flags().Changed("window")
			if screen, ok := c.terminal(); ok && times == 0 && c.output == "text" {
				return screen.show(r.Context(), func(ctx context.Context, columns, rows int) []string {
					return c.topScreen(ctx, minutes, columns, rows)
				})
			}
			return c.printTop(r.Context(), minutes, max(1, times), all)
		},
	}
	t.Flags().IntVarP(&times, "times", "n", 0, "print so many times, two seconds apart; 0 is the full screen, or once where there is no terminal")
	t.Flags().StringVar(&window, "window", "1m", "1m, 5m or 15m")
	if err := t.RegisterFlagCompletionFunc("window", cobra.FixedCompletions([]cobra.Completion{"1m", "5m", "15m"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
	return t
}

// terminal is the screen, where the output goes to one and keys come from one.
func (c *command) terminal() (*screen, bool) {
	out, ok := c.out.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil, false
	}
	return &screen{in: os.Stdin, out: out, period: topPeriod}, true
}

func (c *command) askTop(ctx context.Context) (*control.Top, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := control.Ask(ctx, c.socket, control.Request{Verb: control.ReadTop})
	return a.Top, err
}

// errNoWindow says that a daemon of another version does not have a window.
var errNoWindow = worded("the daemon does not tell this window", "デーモンはこの期間の情報を提供していません")

// windowOf picks the window of so many minutes.
func windowOf(top *control.Top, minutes int) (control.TopWindow, error) {
	i := slices.IndexFunc(top.Windows, func(w control.TopWindow) bool { return w.Minutes == minutes })
	if i < 0 {
		return control.TopWindow{}, errNoWindow
	}
	return top.Windows[i], nil
}

// printTop prints the busiest, one below the other.
func (c *command) printTop(ctx context.Context, minutes, times int, all bool) error {
	for n := range times {
		if n > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(topPeriod):
			}
		}
		if err := c.printTopOnce(ctx, minutes, all); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) printTopOnce(ctx context.Context, minutes int, all bool) error {
	top, err := c.askTop(ctx)
	if err != nil {
		return err
	}
	if all {
		return c.json(top)
	}
	w, err := windowOf(top, minutes)
	if err != nil {
		return err
	}
	if c.output == "json" {
		top.Windows = []control.TopWindow{w}
		return c.json(top)
	}
	for _, line := range c.topLines(top, w, plainLimits) {
		if _, err := fmt.Fprintln(c.out, line); err != nil {
			return err
		}
	}
	return nil
}

// topScreen is a screen full of the busiest. That the daemon does not answer is shown in their place: it may be starting anew.
func (c *command) topScreen(ctx context.Context, minutes, columns, rows int) []string {
	top, err := c.askTop(ctx)
	var w control.TopWindow
	if err == nil {
		w, err = windowOf(top, minutes)
	}
	if err != nil {
		return []string{clipped("ampcli: "+terminal.Line(err.Error()), columns)}
	}
	lines := c.topLines(top, w, limitsFor(rows))
	for i := range lines {
		lines[i] = clipped(lines[i], columns)
	}
	return lines[:min(len(lines), rows)]
}
