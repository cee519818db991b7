// Package health gathers the facts of a host and judges each fault from them. A predicate is a pure function: facts in,
// finding with evidence out; it opens no file and runs no command. Rooms below report what they know, and enter through
// Gather; findings leave to the ledger, to the remedies and to the choice of a source.
package health

import (
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

// Facts is all that predicates, remedies and the choice of a source rest on.
type Facts struct {
	Host     host.Facts
	SELinux  selinux.Facts
	BPF      bpf.Facts
	Degraded monitor.Support // whether the degraded source could be opened
	Policy   host.Reading[policy.Policy]
	// Exclusions are those of this host, beside the policy's own. A connector that keeps them elsewhere has none here.
	Exclusions host.Reading[policy.Exclusions]
	Monitoring host.Reading[Monitoring]   // of our running daemon
	Scanning   host.Reading[control.Scan] // likewise
	Connector  host.Connector             // the installed one, or ours where none is
	Found      bool                       // Connector is installed
	Daemon     bool                       // gathered by the daemon: BPF is what the process that monitors may do
	At         time.Time
}

// Rule judges one fault.
type Rule interface {
	ID() fault.ID
	Check(*Facts) fault.Finding
}
