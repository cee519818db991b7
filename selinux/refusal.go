package selinux

import (
	"errors"
	"fmt"
	"strings"
)

// ErrRefused is in the chain of Refusal's error.
var ErrRefused = errors.New("SELinux refuses it")

// Refusal says what an enforcing kernel is known to refuse this very process of what our programs need; nil where it refuses nothing, or
// where that is not known. To try all the same would be refused too, and leave a denial in the audit log each time.
func (f Facts) Refusal() error {
	if !f.Mode.Known() || f.Mode.Value != Enforcing {
		return nil
	}
	denyUnknown := f.DenyUnknown.Known() && f.DenyUnknown.Value
	for _, r := range f.Own {
		a := r.Value
		if !r.Known() || a.PermissiveDomain || a.Holds(denyUnknown) {
			continue
		}
		refused := a.Denied
		if denyUnknown {
			refused = append(refused[:len(refused):len(refused)], a.Missing...)
		}
		return fmt.Errorf("%w: %s has no right to %s of class %s", ErrRefused, f.OwnContext, strings.Join(refused, " "), a.Class)
	}
	return nil
}
