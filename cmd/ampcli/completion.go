package main

import (
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/completion"
	"github.com/ampconnector/amp/internal/policy"
)

// offer tells shells what may follow.
func offer(root *cobra.Command) {
	completion.Offer(root, map[string][]string{"output": {"text", "json"}, "lang": {"en", "ja"}})
}

// exclusionWords completes the class of an exclusion, and a value that is a kind of events or a file.
func exclusionWords(_ *cobra.Command, args []string, _ string) (words []cobra.Completion, _ cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		for _, class := range policy.Classes {
			words = append(words, string(class))
		}
	case len(args) == 1 && args[0] == string(policy.ByKind):
		return policy.EventKinds, cobra.ShellCompDirectiveNoFileComp
	case len(args) == 1 && args[0] != string(policy.ByUser):
		return nil, cobra.ShellCompDirectiveDefault
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
