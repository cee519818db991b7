package hostsetup

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
)

// serviceCommands are what a person can do to the service with one command on every host, with systemd and without.
var serviceCommands = []struct {
	use, short string
	do         installer.ServiceCommand
}{
	{"start", "Start the daemon, through systemd where it runs", installer.StartService},
	{"stop", "Stop the daemon", installer.StopService},
	{"restart", "Stop the daemon, if it runs, and start it", installer.RestartService},
}

// lockWait is how long a person waits for another program of ours that is changing the host.
const lockWait = 30 * time.Second

func service(makeHost func(*cobra.Command) *installer.Host, language *fault.Language, s struct {
	use, short string
	do         installer.ServiceCommand
},
) *cobra.Command {
	return &cobra.Command{
		Use: s.use, Short: s.short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			h := makeHost(c)
			lock, err := installer.Acquire(c.Context(), h, "amp-install "+s.use, lockWait)
			if err != nil {
				return notDone(err)
			}
			defer lock.Release()
			left, err := installer.RunService(c.Context(), h, s.do)
			if err != nil {
				return notDone(err)
			}
			if left != (fault.Text{}) {
				fmt.Fprintln(c.OutOrStdout(), left.In(*language))
				return errFailed
			}
			return nil
		},
	}
}
