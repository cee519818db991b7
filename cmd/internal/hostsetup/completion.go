package hostsetup

import (
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/completion"
)

// offer tells shells what may follow.
func offer(root *cobra.Command) {
	completion.Offer(root, map[string][]string{"lang": {"en", "ja"}})
}
