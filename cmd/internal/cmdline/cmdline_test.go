package cmdline

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/fault"
)

func TestCommandLines(t *testing.T) {
	for _, c := range []struct{ line, en, ja string }{
		{"take one", "", ""},
		{"take one --to /f -n 3 --follow", "", ""},
		{"take", "arguments given: 0; expected: tool take FILE", "引数が 0 個指定されています。書式: tool take FILE"},
		{"take a b", "arguments given: 2; expected: tool take FILE", "引数が 2 個"},
		{"take ''", "an argument is empty; expected: tool take FILE", "空の引数"},
		{"take a --to=", `--to "": expected a value`, `--to "": 値を`},
		{"take a --to ''", `--to "": expected a value`, `--to "": 値を`},
		{"take a -n x", `--lines "x": expected a whole number`, `--lines "x": 整数を指定してください`},
		{"take a -n 99999999999999999999", "expected a whole number", "整数"},
		{"take a --follow=perhaps", `--follow "perhaps": expected true or false`, "true または false"},
		{"take a --bogus", "unknown flag: --bogus", "unknown flag: --bogus"},
	} {
		root := &cobra.Command{Use: "tool", SilenceErrors: true, SilenceUsage: true, PersistentPreRunE: func(c *cobra.Command, _ []string) error { return NoEmptyFlag(c) }}
		take := &cobra.Command{Use: "take FILE", Args: Arguments(1, 1), Run: func(*cobra.Command, []string) {}}
		take.Flags().String("to", "", "")
		take.Flags().IntP("lines", "n", 0, "")
		take.Flags().Bool("follow", false, "")
		root.AddCommand(take)
		args := strings.Fields(c.line)
		for i := range args {
			args[i] = strings.Trim(args[i], "'")
		}
		root.SetArgs(args)
		err := root.Execute()
		if c.en == "" {
			if err != nil {
				t.Errorf("%s: %v", c.line, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: no error, expected %q", c.line, c.en)
			continue
		}
		if text := fault.ErrorText(Refused(err)); !strings.Contains(text.EN, c.en) || !strings.Contains(text.JA, c.ja) {
			t.Errorf("%s: %q, %q; expected %q, %q", c.line, text.EN, text.JA, c.en, c.ja)
		}
	}
}

// Errors of other kinds stay what they are.
func TestRefusedLeavesOthers(t *testing.T) {
	err := errors.New("other")
	if got := Refused(err); !errors.Is(got, err) || got.Error() != err.Error() {
		t.Errorf("%v", got)
	}
}
