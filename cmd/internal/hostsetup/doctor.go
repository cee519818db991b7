package hostsetup

import (
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// doctor shows what an install would do. It needs no root; what only root can read is then said to be unknown.
func doctor(makeHost func(*cobra.Command) *installer.Host, language *fault.Language) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Show what an install would do on this host, and change nothing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h := makeHost(c)
			f := health.Gather(c.Context(), health.Options{})
			whole, err := installer.Doctor(c.Context(), h, f, c.OutOrStdout(), *language)
			if err != nil {
				return notDone(err)
			}
			if !whole {
				return errFailed
			}
			return nil
		},
	}
}
