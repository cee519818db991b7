package installer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/selinux"
)

func init() { register(func() Step { return new(PolicyModule) }) }

// PolicyModule makes the host's SELinux policy allow some domains what our programs need of the kernel, by a policy module that
// is in the store, switched on, built into the policy and loaded. Where the kernel allows it already nothing is touched.
type PolicyModule struct {
	Domains    []string
	Needs      []selinux.Need
	PolicyType string // "targeted"; "" is what /etc/selinux/config says
	Module     string // the name in the store: selinux.ModuleName, or selinux.BesideName where that one belongs to an admin
	CIL        string
	Command    []string      // see Commands
	Wait       time.Duration // how long another program may hold the store's lock; 0 is policyWait

	// Before is what the store held under the name when the step was prepared, nil before that.
	Before *selinux.Saved
}

// policyWait outlasts an update of the distribution's own policy package, which holds the store's lock for up to a minute.
const policyWait = 3 * time.Minute

func (*PolicyModule) Kind() string { return "policy-module" }

func (s *PolicyModule) Title() fault.Text {
	var classes []string
	for _, n := range s.Needs {
		classes = append(classes, n.Class)
	}
	return fault.Text{
		EN: "load SELinux policy module %s (allows %s for %s)",
		JA: "SELinux ポリシーモジュール %[1]s のロード (%[3]s に %[2]s を許可)",
	}.With(s.Module, strings.Join(classes, ", "), strings.Join(s.Domains, ", "))
}

func (s *PolicyModule) Commands() []string { return s.Command }

// Needed asks the kernel; the store decides where the kernel cannot answer: an image, a kernel without SELinux, a domain that the
// loaded policy does not have.
func (s *PolicyModule) Needed(_ context.Context, h *Host) (bool, error) {
	if h.Live {
		if holds, err := s.allowed(); err == nil {
			return !holds, nil
		}
	}
	return s.storeDiffers(h)
}

// allowed is the kernel's answer for all domains.
func (s *PolicyModule) allowed() (bool, error) {
	for _, d := range s.Domains {
		if holds, err := selinux.Allowed(d, s.Needs); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}

func (s *PolicyModule) storeDiffers(h *Host) (bool, error) {
	now, err := selinux.Look(h.Root, s.PolicyType, s.Module)
	if err != nil {
		return false, err
	}
	st, err := selinux.ReadStore(h.Root, s.PolicyType, "")
	if err != nil {
		return false, err
	}
	return !now.Holds(s.module()) || st.Built.Known() && !st.Built.Value, nil
}

func (s *PolicyModule) module() selinux.Module {
	return selinux.Module{Name: s.Module, Priority: selinux.Priority, Language: "cil", Source: []byte(s.CIL)}
}

func (s *PolicyModule) wait() time.Duration {
	if s.Wait == 0 {
		return policyWait
	}
	return s.Wait
}

// Prepare records what the store holds.
func (s *PolicyModule) Prepare(ctx context.Context, h *Host) error {
	saved, err := selinux.Save(ctx, h.Root, s.PolicyType, s.Module, s.wait())
	if err != nil {
		return err
	}
	s.Before = &saved
	return nil
}

// Apply installs, enables or rebuilds in one call of semodule, and asks the kernel whether it helped.
func (s *PolicyModule) Apply(ctx context.Context, h *Host) error {
	now, err := selinux.Save(ctx, h.Root, s.PolicyType, s.Module, s.wait())
	if err != nil {
		return err
	}
	change := now.Towards(s.module())
	change.Rebuild = true // in the store, and yet not in force
	killpoint("policymodule.apply")
	begun := h.Now()
	err = selinux.Apply(ctx, h.Root, s.PolicyType, change, s.wait())
	h.Log.Info("semodule", "module", s.Module, "store", s.PolicyType, "took", h.Now().Sub(begun), "error", err)
	killpoint("policymodule.applied")
	if err != nil || !h.Live {
		return err
	}
	return s.verify()
}

// verify makes a rule that did not take effect an error: an optional block that the policy cannot resolve is dropped without a word.
func (s *PolicyModule) verify() error {
	holds, err := s.allowed()
	if errors.Is(err, selinux.ErrDisabled) {
		return nil // it counts from the next boot with SELinux on
	}
	if err == nil && !holds {
		err = fmt.Errorf("policy module %s is loaded, and the kernel still denies %s what it allows", s.Module, strings.Join(s.Domains, ", "))
	}
	return err
}

// Undo puts back what the store held.
func (s *PolicyModule) Undo(ctx context.Context, h *Host) error {
	if s.Before == nil {
		return nil
	}
	killpoint("policymodule.undo")
	err := selinux.Restore(ctx, h.Root, s.PolicyType, *s.Before, s.wait())
	killpoint("policymodule.undone")
	return err
}
