package main

import (
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/completion"
)

// offer tells shells what may follow.
func offer(root, check, explain *cobra.Command) {
	root.ValidArgsFunction = completion.Faults("all\tevery fault that is present")
	check.ValidArgsFunction = completion.Faults()
	explain.ValidArgsFunction = completion.Faults()
	completion.Offer(root, map[string][]string{"output": {"text", "json"}, "lang": {"en", "ja"}, "kernel": nil, "boot": nil})
	if err := root.MarkPersistentFlagDirname("root"); err != nil {
		panic(err) // there is no such flag
	}
}
