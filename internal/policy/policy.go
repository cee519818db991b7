// Package policy is the connector's policy: what an administrator asked the connector to do. It is parsed and checked, never guessed.
package policy

// Path is where the policy lives on a host.
const Path = "/opt/cisco/amp/etc/policy.xml"

// Policy holds the switches that predicates and sources read.
type Policy struct {
	MonitorFiles   bool // "monitor file copies and moves"
	MonitorNetwork bool // "enable device flow correlation"
}

// Default is the policy of a host that has no policy file: both monitors on.
func Default() Policy { return Policy{MonitorFiles: true, MonitorNetwork: true} }
