package remediate

import (
	"context"
	"errors"
	"fmt"
)

// PrintPolicy prints the source of fault 19's policy module, for administrators who keep the policy by hand. It changes nothing.
func (t *Tool) PrintPolicy(ctx context.Context, s Selection) int {
	switch {
	case s.All || len(s.IDs) != 1 || s.IDs[0] != 19:
		return t.usage(errors.New("--print-policy stands with fault 19 alone: amp-remediate 19 --print-policy"))
	case t.JSON:
		return t.usage(errors.New("--print-policy prints the module's source and has no JSON output"))
	}
	f, err := t.gather(ctx)
	if err != nil {
		return t.usage(err)
	}
	source, err := PolicySource(f)
	if err != nil {
		return t.usage(err)
	}
	fmt.Fprint(t.Stdout, source)
	return ExitGone
}
