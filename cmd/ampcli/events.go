package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/monitor"
)

// lastEvents is how many events are shown unless told otherwise.
const lastEvents = 20

func (c *command) eventsCommand() *cobra.Command {
	return c.logCommand(&c.events, "events", &cobra.Command{
		Use: "events", Short: "Show what the connector saw happen",
		Long: "Show the last events of the event log, or with -f those that come from now on, until interrupted. -o json shows the lines of the log as they are (OCSF).",
	})
}

// logCommand shows a log of events, of things that are called what.
func (c *command) logCommand(log *string, what string, e *cobra.Command) *cobra.Command {
	var follow bool
	var last int
	e.Args = cobra.NoArgs
	e.RunE = func(r *cobra.Command, _ []string) error {
		if follow && r.Flags().Changed("lines") {
			return usage("--follow shows what comes, --lines what was: expected one of them", "--follow (以後のイベント) と --lines (過去のイベント) は同時に指定できません")
		}
		if follow {
			return monitor.Follow(r.Context(), *log, false, c.printEvent)
		}
		return c.printLast(*log, last)
	}
	e.Flags().BoolVarP(&follow, "follow", "f", false, "show "+what+" as they come")
	e.Flags().IntVarP(&last, "lines", "n", lastEvents, "how many of the last "+what+"; 0 is all that are in the log")
	return e
}

func (c *command) printEvent(line []byte) error {
	text := line
	if c.output == "text" {
		text = []byte(eventLine(line))
	}
	_, err := fmt.Fprintf(c.out, "%s\n", text)
	return err
}

// printLast shows the last n events of a log, or all. Only n lines are kept in memory.
func (c *command) printLast(log string, n int) error {
	if n < 0 {
		return usage("--lines %d: expected 0 or more", "--lines %d: 0 以上を指定してください", n)
	}
	out := bufio.NewWriter(c.out)
	direct := *c
	direct.out = out
	if n == 0 {
		return errors.Join(missing(monitor.ReadLog(log, direct.printEvent)), out.Flush())
	}
	var kept [][]byte // a ring
	seen := 0
	err := monitor.ReadLog(log, func(line []byte) error {
		if len(kept) < n {
			kept = append(kept, bytes.Clone(line))
		} else {
			kept[seen%n] = append(kept[seen%n][:0], line...)
		}
		seen++
		return nil
	})
	if err := missing(err); err != nil {
		return err
	}
	for i := range kept {
		if err := direct.printEvent(kept[(seen+i)%len(kept)]); err != nil {
			return err
		}
	}
	return out.Flush()
}

// missing passes over a log that does not exist yet: there are no events.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
