package hostsetup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

var notLoaded = fault.Text{EN: "not loaded: %s", JA: "ロードできませんでした: %s"}

// modulesCommand loads the kernel modules where the policy wants them, and takes them out where it does not. The unit calls it before it starts
// the daemon, which may load none. What the kernel refuses is no failure of the command: the daemon tells of it, and monitors with what it can.
func modulesCommand(makeHost func(*cobra.Command) *installer.Host, language *fault.Language) *cobra.Command {
	var out bool
	c := &cobra.Command{
		Use: "modules", Short: "Load the kernel modules where the policy wants them, or take them out", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			h := makeHost(c)
			if out {
				return undone(kmod.Remove(h.Root))
			}
			p, err := policy.Load(policy.Path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return notDone(err) // as it was: what is wanted is not known
			}
			if p.Source != policy.SourceModules {
				return undone(kmod.Remove(h.Root))
			}
			kernel := host.RunningRelease()
			if kernel.Err != nil {
				return notDone(kernel.Err)
			}
			refused := kmod.Ensure(c.Context(), h.Root, kernel.Value, kmod.KeyFiles(p.ModuleKey), selinux.ModuleRefusal)
			for _, name := range slices.Sorted(maps.Keys(refused)) {
				fmt.Fprintln(c.OutOrStdout(), notLoaded.With(name+": "+kmod.Reason(refused[name])).In(*language))
			}
			return undone(kmod.Keep(h.Root, kernel.Value, refused))
		},
	}
	c.Flags().BoolVar(&out, "out", false, "take them out, whatever the policy wants: nobody reads what they tell")
	return c
}

func undone(err error) error {
	if err != nil {
		return notDone(err)
	}
	return nil
}
