package hostsetup

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
)

// recoverCommand takes back what an interrupted run left half done. The unit calls it before it starts the daemon, with the rights that
// the daemon itself does not have.
func recoverCommand(makeHost func(*cobra.Command) *installer.Host, language *fault.Language) *cobra.Command {
	return &cobra.Command{
		Use: "recover", Short: "Take back the step that an interrupted install or remedy left half done", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			undone, err := installer.RecoverUnheld(c.Context(), makeHost(c), "amp-install recover")
			for _, title := range undone {
				fmt.Fprintln(c.OutOrStdout(), takenBack.With(title).In(*language))
			}
			if errors.Is(err, installer.ErrLocked) {
				fmt.Fprintln(c.OutOrStdout(), leftAlone.With(installer.ErrorText(err)).In(*language))
				return nil
			}
			if err != nil {
				return notDone(err)
			}
			return nil
		},
	}
}
