package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/monitor"
)

func (c *command) detectionsCommand() *cobra.Command {
	var follow bool
	var last int
	d := &cobra.Command{
		Use: "detections", Short: "Show in which files something was found", Args: cobra.NoArgs,
		Long: "Show the last detections, or with -f those that come from now on, until interrupted. They are kept beside the event log, in " +
			monitor.DetectionLogPath + ", so that a busy host does not rotate them away. -o json shows the lines as they are (OCSF).",
		RunE: func(r *cobra.Command, _ []string) error {
			if follow && r.Flags().Changed("lines") {
				return fmt.Errorf("%w: --follow shows what comes, --lines what was: expected one of them", errUsage)
			}
			if follow {
				return monitor.Follow(r.Context(), c.detections, false, c.printEvent)
			}
			return c.printLast(c.detections, last)
		},
	}
	d.Flags().BoolVarP(&follow, "follow", "f", false, "show detections as they come")
	d.Flags().IntVarP(&last, "lines", "n", lastEvents, "how many of the last; 0 is all that are in the log")
	return d
}
