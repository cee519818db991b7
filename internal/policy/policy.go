// Package policy is the connector's policy: what an administrator asked the connector to do. It is parsed and checked, never guessed.
package policy

// Where the policy lives on a host, and the exclusions that an administrator of this host added with ampcli.
const (
	Path          = "/opt/cisco/amp/etc/policy.xml"
	ExclusionPath = "/opt/cisco/amp/etc/exclusions.xml"
)

// Policy holds what predicates and sources read.
type Policy struct {
	MonitorFiles   bool // "monitor file copies and moves"
	MonitorNetwork bool // "enable device flow correlation"
	Exclusions     Exclusions
	Limits         Limits
}

// Limits bound what the connector takes of a host.
type Limits struct {
	EventLogMiB int // that the event log may have on disk, with its rotated part
}

// Bounds of Limits.
const (
	MinEventLogMiB     = 2
	MaxEventLogMiB     = 16 << 10
	DefaultEventLogMiB = 64 // some days of a quiet server
)

// Default is the policy of a host that has no policy file: both monitors on, nothing left out.
func Default() Policy {
	return Policy{MonitorFiles: true, MonitorNetwork: true, Limits: Limits{EventLogMiB: DefaultEventLogMiB}}
}

// Equal compares two policies.
func (p Policy) Equal(q Policy) bool {
	return p.MonitorFiles == q.MonitorFiles && p.MonitorNetwork == q.MonitorNetwork && p.Limits == q.Limits && p.Exclusions.Equal(q.Exclusions)
}
