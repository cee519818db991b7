package main

import (
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/monitor"
)

func (c *command) detectionsCommand() *cobra.Command {
	return c.logCommand(&c.detections, "detections", &cobra.Command{
		Use: "detections", Short: "Show in which files something was found",
		Long: "Show the last detections, or with -f those that come from now on, until interrupted. They are kept beside the event log, in " +
			monitor.DetectionLogPath + ", so that a busy host does not rotate them away. -o json shows the lines as they are (OCSF).",
	})
}
