package selinux

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// Saved is what a store holds under one module name, at the place of our modules: enough to put it back.
type Saved struct {
	Name     string
	Language string `json:",omitempty"` // "" where there is no module at Priority
	Source   []byte `json:",omitempty"` // at most 1 MiB
	Disabled bool   // the name is switched off
	Others   bool   // the name is also there at other priorities, which are not ours
}

// Save records what the store of a host holds under a module name, at a moment when no other program changes it; it waits for that as
// Apply does.
func Save(ctx context.Context, r host.Root, policyType, name string, wait time.Duration) (Saved, error) {
	s, err := quietStore(ctx, r, policyType, wait)
	if err != nil {
		return Saved{}, err
	}
	return s.save(name)
}

// Look is Save without the wait, which may see a store that is being changed. It changes nothing.
func Look(r host.Root, policyType, name string) (Saved, error) {
	s, err := storeOf(r, policyType)
	if err != nil {
		return Saved{}, err
	}
	return s.save(name)
}

// quietStore opens a store once nobody changes it, and whole.
func quietStore(ctx context.Context, r host.Root, policyType string, wait time.Duration) (store, error) {
	s, err := storeOf(r, policyType)
	if err != nil {
		return store{}, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := s.waitLock(waitCtx, wait); err != nil {
		return store{}, err
	}
	return storeOf(r, policyType)
}

func (s store) save(name string) (Saved, error) {
	out := Saved{Name: name}
	entries, err := s.entries(name)
	if err != nil {
		return Saved{}, err
	}
	for _, e := range entries {
		if e.Priority != Priority {
			out.Others = true
			continue
		}
		out.Language = e.Language
		if out.Source, err = s.source(name, e); err != nil {
			return Saved{}, err
		}
	}
	out.Disabled, err = s.disabled(name)
	return out, err
}

// Holds reports whether the store has exactly this module, switched on.
func (s Saved) Holds(m Module) bool {
	return !s.Disabled && s.Language == m.Language && slices.Equal(s.Source, m.Source)
}

// Towards is the change that puts a module in place of what was saved and switches it on; empty when Holds.
func (s Saved) Towards(m Module) Change {
	var c Change
	if s.Language != m.Language || !slices.Equal(s.Source, m.Source) {
		c.Install = []Module{m}
	}
	if s.Disabled {
		c.Enable = []string{m.Name}
	}
	return c
}

// back is the change from what a store holds now to what was saved.
func (s Saved) back(now Saved) Change {
	var c Change
	switch same := s.Language == now.Language && slices.Equal(s.Source, now.Source); {
	case same:
	case s.Language == "":
		c.Remove = []Placed{{s.Name, Priority}}
	default:
		c.Install = []Module{{s.Name, Priority, s.Language, s.Source}}
	}
	switch {
	case s.Disabled && !now.Disabled:
		c.Disable = []string{s.Name}
	case now.Disabled && !s.Disabled:
		c.Enable = []string{s.Name}
	}
	return c
}

// Restore makes a store hold what was saved. When it does so already, the policy is built again only if the host's policy file is not the
// store's, as after a change that was killed half way.
func Restore(ctx context.Context, r host.Root, policyType string, saved Saved, wait time.Duration) error {
	s, err := quietStore(ctx, r, policyType, wait)
	if err != nil {
		return err
	}
	now, err := s.save(saved.Name)
	if err != nil {
		return err
	}
	c := saved.back(now)
	if built, err := s.built(); err != nil || !built {
		c.Rebuild = true
	}
	return Apply(ctx, r, policyType, c, wait)
}

// ReadStore tells the state of our module in the store of a host. cil is what we would install, "" where that does not matter.
func ReadStore(r host.Root, policyType, cil string) (Store, error) {
	s, err := storeOf(r, policyType)
	if err != nil {
		return Store{}, err
	}
	return s.read(cil)
}

// HasNoStore reports whether an error of this package means that the host has no module store for its policy, as where the policy was
// built in one piece or SELinux was never set up.
func HasNoStore(err error) bool { return errors.Is(err, errNoStore) }
