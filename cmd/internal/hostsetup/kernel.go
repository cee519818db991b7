package hostsetup

import (
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// kernel is what kernel packages' hooks call, and persons may.
func kernel(language *fault.Language) *cobra.Command {
	return &cobra.Command{
		Use: "kernel RELEASE", Short: "Make monitoring ready for an installed kernel, and say what it will be like there", Args: cmdline.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := host.CheckRelease(args[0]); err != nil {
				return err
			}
			if err := needRoot(); err != nil {
				return err
			}
			f := health.Gather(c.Context(), health.Options{Kernel: args[0]})
			if !installer.NewKernel(c.Context(), f, installer.PreparationHere(f), c.OutOrStdout(), *language) {
				return errFailed
			}
			return nil
		},
	}
}
