package completion

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// ask returns what a shell is told about args, the last of which is not whole: the words, and cobra's directive for the rest.
func ask(t *testing.T, args ...string) string {
	t.Helper()
	root := &cobra.Command{Use: "tool", Run: func(*cobra.Command, []string) {}, Args: cobra.ArbitraryArgs, ValidArgsFunction: Faults("all\tevery fault")}
	root.PersistentFlags().StringP("output", "o", "", "form of the output")
	sub := &cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {}}
	sub.Flags().String("lang", "", "language")
	paths := &cobra.Command{Use: "scan", Args: cobra.ExactArgs(2), Run: func(*cobra.Command, []string) {}}
	root.AddCommand(sub, paths)
	Offer(root, map[string][]string{"output": {"text", "json"}, "lang": {"en", "ja"}})
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{cobra.ShellCompRequestCmd}, args...))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOffer(t *testing.T) {
	const nothing, files = ":4\n", ":0\n" // ShellCompDirectiveNoFileComp, ShellCompDirectiveDefault
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"commands and faults", []string{""}, []string{"list\tList them\n", "19\tSELinux policy missing or disabled\n", "all\tevery fault\n", nothing}},
		{"values of a flag", []string{"--output", ""}, []string{"text\njson\n", nothing}},
		{"values of its short form", []string{"list", "-o", "j"}, []string{"json\n", nothing}},
		{"values of a command's flag", []string{"list", "--lang", ""}, []string{"en\nja\n", nothing}},
		{"no arguments", []string{"list", ""}, []string{nothing}},
		{"paths", []string{"scan", ""}, []string{files}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, tt.args...)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %q", want, got)
				}
			}
			if strings.Contains(got, "completion\t") {
				t.Errorf("the hidden command is offered: %q", got)
			}
		})
	}
}

func TestOfferedTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	root := &cobra.Command{Use: "tool"}
	root.Flags().String("lang", "", "language")
	Offer(root, map[string][]string{"lang": {"en"}})
	Offer(root, map[string][]string{"lang": {"en"}})
}
