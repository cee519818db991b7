// Package selinux knows the policy module cisco-secure-bpf, the policy store that it lives in, and the question to the
// kernel whether the rule holds. It reads below a root directory; only Apply, and what is made of it (Install, Remove,
// Enable), changes anything. What enters: files and the kernel's answers. What leaves: Facts, and the module's source.
package selinux

import "github.com/ampconnector/amp/internal/host"

// Mode is the mode of SELinux.
type Mode string

const (
	Disabled   Mode = "disabled"
	Permissive Mode = "permissive"
	Enforcing  Mode = "enforcing"
)

// ModuleName is the policy module's name.
const ModuleName = "cisco-secure-bpf"

// BesideName is the name under which the rule is installed where a module named ModuleName with a higher priority hides ours.
// Allow rules add up, so the rule works beside that module, which is an admin's and stays as it is.
const BesideName = "cisco-secure-bpf-allow"

// Priority is where our modules are installed: semodule(8)'s own default, the place of modules that an admin or a third party adds.
const Priority = 400

// Need is a class and the permissions on it that our programs want from the policy, of a domain to itself.
type Need struct {
	Class       string
	Permissions []string
}

// BPFNeed is the rule that fault 19 is about.
var BPFNeed = Need{"bpf", []string{"map_create", "map_read", "map_write", "prog_load", "prog_run"}}

// Access is the kernel's answer for one Need (/sys/fs/selinux/access).
type Access struct {
	Need
	ClassKnown       bool     // the loaded policy has the class
	Denied           []string // wanted permissions that the policy does not allow
	Missing          []string // wanted permissions that the loaded policy does not know
	PermissiveDomain bool     // the answer's flags say that the domain is permissive: nothing is enforced
}

// Holds reports whether the kernel allows all that was asked. What the loaded policy does not know, class or permission, the
// kernel allows unless the policy was built to deny unknown ones (/sys/fs/selinux/deny_unknown). A permissive domain is
// another matter: there nothing holds, and nothing is enforced either.
func (a Access) Holds(denyUnknown bool) bool {
	return len(a.Denied) == 0 && (len(a.Missing) == 0 || !denyUnknown)
}

// StoreState is the state of our module in the policy store.
type StoreState string

const (
	ModuleAbsent   StoreState = "absent"
	ModuleDisabled StoreState = "disabled"
	ModuleShadowed StoreState = "shadowed" // another module of that name with a higher priority hides ours
	ModulePresent  StoreState = "present"  // active in the store; whether the kernel has it is Access's answer
)

// Stored is one module in the store under one priority.
type Stored struct {
	Priority int
	Language string // "cil", or "pp" for one that checkmodule(8) and semodule_package(8) made
}

// Store is what the policy store says of our module.
type Store struct {
	State    StoreState
	Priority int // of ours, 0 if absent
	Shadow   int // the priority that hides it, 0 if none

	Path    string             // the store's modules directory, below the root
	Entries []Stored           // every module of our name, highest priority first
	Current host.Reading[bool] // the module in force is what we would install for the domain and needs that were asked about
	Beside  bool               // the rule is also there as BesideName, enabled
	Built   host.Reading[bool] // the policy file that the host loads is the one that was built from this store
}

// Facts is what is known of SELinux on a host.
type Facts struct {
	Mode          host.Reading[Mode]   // of the running kernel; for an image what /etc/selinux/config asks for
	Configured    host.Reading[Mode]   // /etc/selinux/config
	PolicyType    host.Reading[string] // "targeted", "default"
	DenyUnknown   host.Reading[bool]
	Domain        host.Reading[string] // type that the service runs in, or would run in
	DomainContext string               // full context that was asked about
	Running       bool                 // Domain is that of the running service, not the one that it would run in
	Needs         []Need               // what was asked about
	Access        []host.Reading[Access]
	Own           []host.Reading[Access] // the kernel's answers for the domain of this very process; see Refusal
	OwnContext    string                 // that domain's full context, "" where it is not known
	Store         host.Reading[Store]
	Tools         map[string]host.Reading[bool] // by name ("semodule", "semanage"): is it there
}
