// Package selinux knows the policy module cisco-secure-bpf, the policy store that it lives in, and the question to the
// kernel whether the rule holds. It reads below a root directory; only Install and Remove change anything.
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

// StoreState is the state of our module in the policy store.
type StoreState string

const (
	ModuleAbsent   StoreState = "absent"
	ModuleDisabled StoreState = "disabled"
	ModuleShadowed StoreState = "shadowed" // another module of that name with a higher priority hides ours
	ModulePresent  StoreState = "present"  // active in the store; whether the kernel has it is Access's answer
)

// Store is what the policy store says of our module.
type Store struct {
	State    StoreState
	Priority int // of ours, 0 if absent
	Shadow   int // the priority that hides it, 0 if none
}

// Facts is what is known of SELinux on a host.
type Facts struct {
	Mode          host.Reading[Mode]   // of the running kernel; for an image what /etc/selinux/config asks for
	Configured    host.Reading[Mode]   // /etc/selinux/config
	PolicyType    host.Reading[string] // "targeted", "default"
	DenyUnknown   host.Reading[bool]
	Domain        host.Reading[string] // type that the service runs in, or would run in
	DomainContext string               // full context that was asked about
	Access        []host.Reading[Access]
	Store         host.Reading[Store]
	Tools         map[string]host.Reading[bool] // by name ("semodule", "semanage"): is it there
}
