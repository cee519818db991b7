// Package cmdline says what is wrong with a command line, in both languages, where cobra and pflag say it in those of Go and in English alone.
package cmdline

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ampconnector/amp/internal/fault"
)

var (
	wrongCount    = fault.Text{EN: "arguments given: %d; expected: %s", JA: "引数が %d 個指定されています。書式: %s"}
	emptyArgument = fault.Text{EN: "an argument is empty; expected: %s", JA: "空の引数が指定されています。書式: %s"}
	emptyFlag     = fault.Text{EN: `--%s "": expected a value`, JA: `--%s "": 値を指定してください`}
	wrongValue    = fault.Text{EN: "--%s %q: expected %s", JA: "--%s %q: %sを指定してください"}
)

// kinds are what the flags of these types take.
var kinds = map[string]fault.Text{
	"int":  {EN: "a whole number", JA: "整数"},
	"bool": {EN: "true or false", JA: "true または false"},
}

// Arguments wants so many of them, and none that is empty: that is what a script gives whose variable is not set, and it would mean another file,
// such as the working directory.
func Arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		form := strings.TrimSpace(c.Parent().CommandPath() + " " + c.Use)
		if n := len(args); n < least || n > most {
			return fault.Errorf(wrongCount, n, form)
		}
		for _, a := range args {
			if a == "" {
				return fault.Errorf(emptyArgument, form)
			}
		}
		return nil
	}
}

// NoEmptyFlag refuses a flag that was given without a value: --root "$IMAGE" with a variable that is not set means no running host.
func NoEmptyFlag(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && f.Value.Type() == "string" && f.Value.String() == "" {
			err = fault.Errorf(emptyFlag, f.Name)
		}
	})
	return err
}

// Refused gives words to an error of cobra's that is about a flag's value. Others are given back as they are.
func Refused(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	kind, ok := kinds[bad.GetFlag().Value.Type()]
	if !ok {
		return err
	}
	return fault.Errorf(wrongValue, bad.GetFlag().Name, bad.GetValue(), kind)
}
