package selinux

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ampconnector/amp/internal/host"
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
		if refused := refusedOf(r, denyUnknown); len(refused) > 0 {
			return fmt.Errorf("%w: %s has no right to %s of class %s", ErrRefused, f.OwnContext, strings.Join(refused, " "), r.Value.Class)
		}
	}
	return nil
}

// refusedOf are the permissions that an enforcing kernel refuses. denyUnknown is what it does with those that its policy does not know.
func refusedOf(r host.Reading[Access], denyUnknown bool) []string {
	a := r.Value
	if !r.Known() || a.PermissiveDomain || a.Holds(denyUnknown) {
		return nil
	}
	refused := a.Denied
	if denyUnknown {
		refused = append(refused[:len(refused):len(refused)], a.Missing...)
	}
	return refused
}

// Who loads a kernel module out of a file needs the capability, and the right to do so with a file of that label (since Linux 4.7, kernel commit
// 61d612ea731e).
var (
	capabilityNeed = Need{"capability", []string{"sys_module"}}
	moduleNeed     = Need{"system", []string{"module_load"}}
)

// ModuleRefusal says that the running kernel is known to refuse this very process to load a module out of a file; nil where it does not, or where that is
// not known. Where an audit daemon runs, the kernel's own word on it goes there and nowhere else.
func ModuleRefusal(file string) error { return running().moduleRefusal(file) }

func (k kernel) moduleRefusal(file string) error {
	if mode := k.mode(); !mode.Known() || mode.Value != Enforcing {
		return nil
	}
	own, err := readSmall(filepath.Join(k.proc, "self/attr/current"))
	if err != nil {
		return nil //nolint:nilerr // it is not known, which is no refusal
	}
	label, err := k.fileLabel(file)
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	unknown := k.denyUnknown()
	denyUnknown := unknown.Known() && unknown.Value
	if refused := refusedOf(k.access(own, capabilityNeed), denyUnknown); len(refused) > 0 {
		return fmt.Errorf("%w: %s has no right to %s of class %s", ErrRefused, own, strings.Join(refused, " "), capabilityNeed.Class)
	}
	if refused := refusedOf(k.accessTo(own, label, moduleNeed), denyUnknown); len(refused) > 0 {
		return fmt.Errorf("%w: %s has no right to %s of class %s to %s, which is %s", ErrRefused, own, strings.Join(refused, " "), moduleNeed.Class, file, label)
	}
	return nil
}
