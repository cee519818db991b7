package remediate

import (
	"context"
	"fmt"
)

// PrintPolicy prints the source of fault 19's policy module, for administrators who keep the policy by hand. It changes nothing.
func (t *Tool) PrintPolicy(ctx context.Context, s Selection) int {
	switch {
	case s.All || len(s.IDs) != 1 || s.IDs[0] != 19:
		return t.usage(errPolicyAlone.wrong())
	case t.JSON:
		return t.usage(errPolicyJSON.wrong())
	}
	f, err := t.gather(ctx)
	if err != nil {
		return t.usage(err)
	}
	source, err := PolicySource(f, t.Language)
	if err != nil {
		return t.usage(err)
	}
	fmt.Fprint(t.Stdout, source)
	return ExitGone
}
