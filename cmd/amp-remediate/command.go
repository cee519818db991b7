package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/remediate"
)

// version is set by the linker in packages.
var version = "devel"

const long = `amp-remediate diagnoses and mends the numbered faults of the Secure Endpoint connector.

Without arguments it checks every fault, one line each. With fault numbers, or "all", it
shows the diagnosis and the plan, asks, applies the plan step by step, and proves the result.

Exit codes: 0 gone, or was never there; 1 still there, or not known to be gone; 2 usage or bad
input, or the output could not be written; 3 the rest waits for a person; 4 changes need root;
check: 5 none seen, but some unknown. bundle: 0 made; 5 made, but something could not be read; 4 made,
but only root may read the rest.`

const example = `  amp-remediate                           check every fault
  amp-remediate check 19                  diagnose fault 19, with the evidence
  amp-remediate 19                        mend fault 19
  amp-remediate all --yes                 mend whatever is there, without asking
  amp-remediate 5 --dry-run -o json       what would be done, for programs
  amp-remediate 18 --exclude /usr/bin/cc  leave a busy program out of monitoring
  amp-remediate explain 5                 what fault 5 is
  amp-remediate bundle                    make an archive for support
  amp-remediate check --root /mnt/image   inspect an image; nothing in it is changed`

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use: "amp-remediate [N...|all]", Short: "Diagnose and mend the connector's faults", Long: long, Example: example, Version: version + revision(),
		Args:          cobra.ArbitraryArgs, // fault numbers, which are no subcommands
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(r *cobra.Command, _ []string) error { return c.settings(r) },
		RunE:              c.remedy,
	}
	root.Flags().Bool("version", false, "print the version") // without cobra's -v, which means verbose elsewhere
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")      // as the command version says it
	shared := root.PersistentFlags()
	shared.StringVarP(&c.output, "output", "o", "text", "text or json")
	shared.StringVar(&c.lang, "lang", "", "en or ja; the default is the locale's (LC_ALL, LC_MESSAGES, LANG)")
	shared.StringVar(&c.tool.Root, "root", "", "inspect the image mounted at this directory; it is never changed")
	shared.StringVar(&c.tool.Kernel, "kernel", "", "judge this kernel release instead of the running one, or choose one of an image's")
	own := root.Flags()
	own.BoolVarP(&c.tool.DryRun, "dry-run", "n", false, "show diagnosis and plan, change nothing")
	own.BoolVarP(&c.tool.Yes, "yes", "y", false, "apply the plan without asking")
	own.BoolVar(&c.policy, "print-policy", false, "with 19: print the source of the SELinux policy module and the commands that load it")
	own.StringArrayVar(&c.tool.Exclusions.Exclude, "exclude", nil, "with 18: leave out of monitoring what the processes of this program file do; with 6: neither scan nor monitor this file or directory; may be repeated")
	own.StringArrayVar(&c.tool.Exclusions.Include, "include", nil, "with 18: take an exclusion back; may be repeated")
	own.BoolVar(&c.tool.Exclusions.Children, "children", false, "with --exclude: what the programs start is left out too")
	own.BoolVar(&c.tool.Rollback, "rollback", false, "with 6 or 7: drop the newest definitions and go back to the set before")
	own.StringVar(&c.tool.Boot, "boot", "", "with 11 or 16: make this kernel release the one that boots from now on, and install it from the repositories where it is not installed; nothing is rebooted")
	check, explain := c.checkCommand(), c.explainCommand()
	root.AddCommand(check, explain, c.bundleCommand(), c.versionCommand())
	offer(root, check, explain)
	return root
}

// remedy mends what is named; nothing named is a check.
func (c *command) remedy(cmd *cobra.Command, args []string) error {
	s, err := remediate.Select(args)
	switch {
	case err != nil:
		return err
	case c.policy:
		c.code = c.tool.PrintPolicy(cmd.Context(), s)
	case len(args) > 0 || len(c.tool.Exclusions.Exclude)+len(c.tool.Exclusions.Include) > 0 || c.tool.Exclusions.Children || c.tool.Rollback || c.tool.Boot != "":
		c.code = c.tool.Remedy(cmd.Context(), s)
	case c.tool.DryRun || c.tool.Yes:
		return errNoNumbers.wrong()
	default:
		c.code = c.tool.Check(cmd.Context(), s)
	}
	return nil
}

func (c *command) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [N...]", Short: "Diagnose every fault, or those named with the evidence; change nothing",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := remediate.Select(args)
			if err != nil {
				return err
			}
			c.code = c.tool.Check(cmd.Context(), s)
			return nil
		},
	}
}

func (c *command) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain N", Short: "Tell what a fault is, how it is detected, and what the remedy does",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errExplainOne.wrong()
			}
			s, err := remediate.Select(args)
			if err != nil {
				return err
			}
			if s.All {
				return errExplainOne.wrong()
			}
			c.code = c.tool.Explain(s.IDs[0])
			return nil
		},
	}
}

func (c *command) bundleCommand() *cobra.Command {
	b := remediate.Bundle{Program: "amp-remediate " + version + revision()}
	bundle := &cobra.Command{
		Use: "bundle", Short: "Put what a support engineer needs into one archive, without secrets; send nothing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.code = c.tool.Bundle(cmd.Context(), b)
			return nil
		},
	}
	bundle.Flags().StringVar(&b.To, "to", "", "the archive's file, which may not exist yet; the default is amp-support-HOST-TIME.tar.gz in the working directory")
	bundle.Flags().BoolVar(&b.Events, "events", false, "with the logs of events and detections, in which command lines and paths of users are")
	return bundle
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "amp-remediate %s%s\n", version, revision())
		},
	}
}

// revision is the commit that the program was built from, where the build recorded it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return " (" + s.Value[:12] + ")"
		}
	}
	return ""
}
