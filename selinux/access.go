package selinux

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// decision is the answer of /sys/fs/selinux/access (security/selinux/selinuxfs.c, sel_write_access).
type decision struct {
	allowed uint32
	flags   uint32
}

// permissiveDomain is the bit of decision.flags that says that the source domain is permissive (AVD_FLAGS_PERMISSIVE).
const permissiveDomain = 1

// parseDecision reads "allowed decided auditallow auditdeny seqno flags": hexadecimal, but seqno, which is decimal. Kernels before
// 2.6.31 have no flags.
func parseDecision(s string) (decision, error) {
	fields := strings.Fields(s)
	if len(fields) < 5 || len(fields) > 8 {
		return decision{}, fmt.Errorf("answer %.80q has %d fields, expected 6", s, len(fields))
	}
	var d decision
	for i, to := range []*uint32{0: &d.allowed, 5: &d.flags} {
		if to == nil || i >= len(fields) {
			continue
		}
		n, err := strconv.ParseUint(fields[i], 16, 32)
		if err != nil {
			return decision{}, fmt.Errorf("answer %.80q: field %d is not a hexadecimal number", s, i+1)
		}
		*to = uint32(n)
	}
	return d, nil
}

// decide asks what a domain may do with a class to what has the context of target.
func (k kernel) decide(context, target string, class uint16) (decision, error) {
	file := filepath.Join(k.selinuxfs, "access")
	request := fmt.Sprintf("%s %s %d", context, target, class)
	answer, err := k.transact(file, request)
	if err != nil {
		return decision{}, fmt.Errorf("ask %s for %q: %w", file, request, err)
	}
	d, err := parseDecision(answer)
	if err != nil {
		return decision{}, fmt.Errorf("ask %s for %q: %w", file, request, err)
	}
	return d, nil
}

// access asks the kernel whether the domain of a context may do to itself what a need says.
func (k kernel) access(context string, n Need) host.Reading[Access] {
	return k.accessTo(context, context, n)
}

// accessTo asks the same of what has another context.
func (k kernel) accessTo(context, target string, n Need) host.Reading[Access] {
	from := filepath.Join(k.selinuxfs, "access")
	a, err := k.ask(context, target, n)
	if err != nil {
		return host.NotKnown[Access](from, err)
	}
	return host.Read(a, from)
}

func (k kernel) ask(context, target string, n Need) (Access, error) {
	a := Access{Need: n}
	for _, c := range []string{context, target} {
		if _, err := typeOf(c); err != nil {
			return a, err
		}
	}
	if !validNeed(n) {
		return a, fmt.Errorf("class %q with permissions %q: not names", n.Class, n.Permissions)
	}
	class, err := k.class(n.Class)
	if errors.Is(err, fs.ErrNotExist) {
		a.Missing = append(a.Missing, n.Permissions...)
		return k.askPermissive(context, a)
	}
	if err != nil {
		return a, err
	}
	a.ClassKnown = true
	d, err := k.decide(context, target, class)
	if err != nil {
		return a, err
	}
	a.PermissiveDomain = d.flags&permissiveDomain != 0
	for _, name := range n.Permissions {
		bit, err := k.permission(n.Class, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.Missing = append(a.Missing, name)
		case err != nil:
			return a, err
		case d.allowed&bit == 0:
			a.Denied = append(a.Denied, name)
		}
	}
	return a, nil
}

// askPermissive fills in PermissiveDomain where the class itself cannot be asked about; every policy has the class process.
func (k kernel) askPermissive(context string, a Access) (Access, error) {
	class, err := k.class("process")
	if err != nil {
		return a, err
	}
	d, err := k.decide(context, context, class)
	a.PermissiveDomain = d.flags&permissiveDomain != 0
	return a, err
}

// Allowed asks the running kernel whether a domain may do to itself what the needs say, counting what the policy does not know as the
// policy does. It is asked about with the user, role and level that services have. The error is ErrDisabled where SELinux is disabled.
func Allowed(domain string, needs []Need) (bool, error) {
	k := running()
	return k.allows(k.serviceContext(domain), needs)
}

// serviceContext is the context of a service in a domain. A policy without levels, as built with MLS off, takes no context that has one: the kernel
// answers EINVAL (security/selinux/ss/mls.c, mls_context_to_sid).
func (k kernel) serviceContext(domain string) string {
	context := "system_u:system_r:" + domain
	if mls, err := readSmall(filepath.Join(k.selinuxfs, "mls")); err == nil && mls == "0" {
		return context
	}
	return context + ":s0"
}

func (k kernel) allows(context string, needs []Need) (bool, error) {
	switch mode := k.mode(); {
	case mode.Err != nil:
		return false, mode.Err
	case mode.Value == Disabled:
		return false, ErrDisabled
	}
	f := Facts{DenyUnknown: k.denyUnknown()}
	for _, n := range needs {
		f.Access = append(f.Access, k.access(context, n))
	}
	holds, known := f.Holds()
	if known {
		return holds, nil
	}
	errs := []error{f.DenyUnknown.Err}
	for _, a := range f.Access {
		errs = append(errs, a.Err)
	}
	return false, errors.Join(errs...)
}
