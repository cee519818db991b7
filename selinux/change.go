package selinux

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// Module is a policy module with its source, as it is installed at a priority.
type Module struct {
	Name     string
	Priority int
	Language string // "cil" or "pp"
	Source   []byte
}

// Placed is a module's name and priority.
type Placed struct {
	Name     string
	Priority int
}

// Change is what one call of semodule(8) does to a store, in one transaction: the store and the kernel have all of it or nothing.
type Change struct {
	Install []Module
	Enable  []string
	Disable []string
	Remove  []Placed
	Rebuild bool // also where none of the above changes anything: build the policy from the store and load it
}

func (c Change) empty() bool {
	return len(c.Install)+len(c.Enable)+len(c.Disable)+len(c.Remove) == 0 && !c.Rebuild
}

// Args are semodule's arguments for the change, with file giving the file that holds a module to install.
func (c Change) Args(file func(Module) string) []string {
	var args []string
	at := func(priority int) []string { return []string{"-X", strconv.Itoa(priority)} }
	for _, m := range c.Install {
		args = append(append(args, at(m.Priority)...), "-i", file(m))
	}
	for _, name := range c.Enable {
		args = append(args, "-e", name)
	}
	for _, name := range c.Disable {
		args = append(args, "-d", name)
	}
	for _, p := range c.Remove {
		args = append(append(args, at(p.Priority)...), "-r", p.Name)
	}
	if c.Rebuild && len(args) == 0 {
		args = append(args, "-B")
	}
	return args
}

// ErrNoTool is in the chain of the error of Apply when semodule(8) is not installed.
var ErrNoTool = errors.New("semodule is not installed")

// Apply makes a change in the policy store of a host, and on the running host loads the policy that comes of it. It waits while another
// program holds the store's lock, up to wait; semodule itself gives up after 5 s. The error is ErrStoreLocked then, and says who holds it
// where that can be seen. Once the policy is being rebuilt the end of ctx no longer stops it: that takes seconds, and half of it is worth
// nothing. policyType is "targeted" or the like; "" is what /etc/selinux/config says.
func Apply(ctx context.Context, r host.Root, policyType string, c Change, wait time.Duration) error {
	if c.empty() {
		return nil
	}
	s, err := storeOf(r, policyType)
	if err != nil {
		return err
	}
	if s.flat {
		return fmt.Errorf("%s: a store of libsemanage before 2.4, which takes no module in CIL: %w", s.dir, errors.ErrUnsupported)
	}
	tool, ok := host.FindTool(host.At("/"), "semodule")
	if !ok {
		return ErrNoTool
	}
	return s.apply(ctx, tool, c, wait)
}

func storeOf(r host.Root, policyType string) (store, error) {
	if policyType == "" {
		_, typ := configured(r)
		if !typ.Known() {
			return store{}, typ.Err
		}
		policyType = typ.Value
	}
	return openStore(r, policyType)
}

// Install puts our module into the store, enabled, at Priority, in place of an earlier version of it.
func Install(ctx context.Context, r host.Root, policyType, cil string, wait time.Duration) error {
	c := Change{Install: []Module{{ModuleName, Priority, "cil", []byte(cil)}}}
	s, err := storeOf(r, policyType)
	if err != nil {
		return err
	}
	off, err := s.disabled(ModuleName)
	if err != nil {
		return err
	}
	if off {
		c.Enable = []string{ModuleName}
	}
	return Apply(ctx, r, policyType, c, wait)
}

// Enable switches our module on. Nothing is rebuilt when it is on.
func Enable(ctx context.Context, r host.Root, policyType string, wait time.Duration) error {
	s, err := storeOf(r, policyType)
	if err != nil {
		return err
	}
	off, err := s.disabled(ModuleName)
	if err != nil || !off {
		return err
	}
	return Apply(ctx, r, policyType, Change{Enable: []string{ModuleName}}, wait)
}

// Remove takes our modules out of the store. Modules of that name at other priorities are an admin's and stay. Nothing is rebuilt when
// there is none.
func Remove(ctx context.Context, r host.Root, policyType string, wait time.Duration) error {
	s, err := storeOf(r, policyType)
	if errors.Is(err, errNoStore) {
		return nil
	}
	if err != nil {
		return err
	}
	var c Change
	for _, name := range []string{ModuleName, BesideName} {
		entries, err := s.entries(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Priority != Priority {
				continue
			}
			c.Remove = append(c.Remove, Placed{name, Priority})
			// The mark of a disabled module outlives the module, and would switch off the next one of that name.
			if off, err := s.disabled(name); err != nil {
				return err
			} else if off && len(entries) == 1 {
				c.Enable = append(c.Enable, name)
			}
		}
	}
	return Apply(ctx, r, policyType, c, wait)
}
