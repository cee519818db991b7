// Package completion tells shells what may follow on a command line of ours. The scripts that ask are generated into
// packaging/completions; they call the program itself, so that they change only with cobra.
package completion

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ampconnector/amp/internal/fault"
)

// Offer has shells complete the values of the flags that are named, in root and below, by the words given, and no file names after a
// command that takes no arguments. The command that prints the scripts is there, and is not listed.
func Offer(root *cobra.Command, values map[string][]string) {
	root.CompletionOptions.DisableDefaultCmd = false
	root.CompletionOptions.HiddenDefaultCmd = true
	offer(root, values)
}

func offer(c *cobra.Command, values map[string][]string) {
	files := cobra.ShellCompDirectiveNoFileComp
	if takesArguments(c) {
		files = cobra.ShellCompDirectiveDefault
	}
	c.CompletionOptions.SetDefaultShellCompDirective(files)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		words, ok := values[f.Name]
		if !ok {
			return
		}
		if err := c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(fmt.Sprintf("%s --%s: %v", c.CommandPath(), f.Name, err)) // offered twice
		}
	})
	for _, sub := range c.Commands() {
		offer(sub, values)
	}
}

// takesArguments reports whether c accepts some number of arguments; those of ours accept up to three, or any number.
func takesArguments(c *cobra.Command) bool {
	for n := 1; n <= 3; n++ {
		if c.Args == nil || c.Args(c, make([]string, n)) == nil {
			return true
		}
	}
	return false
}

// Faults completes arguments with the numbers of the catalogue and their names, and with more.
func Faults(more ...cobra.Completion) cobra.CompletionFunc {
	var words []cobra.Completion
	for _, f := range fault.All() {
		words = append(words, cobra.CompletionWithDesc(strconv.Itoa(int(f.ID)), f.Name.EN))
	}
	return cobra.FixedCompletions(append(words, more...), cobra.ShellCompDirectiveNoFileComp)
}
