package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestExclusionWords(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		words string // among others
		rest  cobra.ShellCompDirective
	}{
		{nil, "path process user kind", cobra.ShellCompDirectiveNoFileComp},
		{[]string{"kind"}, "exec", cobra.ShellCompDirectiveNoFileComp},
		{[]string{"path"}, "", cobra.ShellCompDirectiveDefault},
		{[]string{"process"}, "", cobra.ShellCompDirectiveDefault},
		{[]string{"user"}, "", cobra.ShellCompDirectiveNoFileComp},
		{[]string{"path", "/srv/"}, "", cobra.ShellCompDirectiveNoFileComp},
	} {
		words, rest := exclusionWords(nil, tt.args, "")
		if got := strings.Join(words, " "); !strings.Contains(got, tt.words) || (got == "") != (tt.words == "") || rest != tt.rest {
			t.Errorf("%v: %q, directive %d", tt.args, got, rest)
		}
	}
}
