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
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

// Facts is all that predicates, remedies and the choice of a source rest on.
type Facts struct {
	Host     host.Facts
	SELinux  selinux.Facts
	BPF      bpf.Facts
	Modules  kmod.Facts
	Degraded monitor.Support // whether the degraded source could be opened
	// Kernels and BootLoader are asked for where the kernel that is judged may not do: there are others, and what decides which one boots.
	Kernels    host.Reading[[]host.Kernel]
	BootLoader host.Reading[host.BootLoader]
	Policy     host.Reading[policy.Policy]
	// Exclusions are those of this host, beside the policy's own. A connector that keeps them elsewhere has none here.
	Exclusions host.Reading[policy.Exclusions]
	Monitoring host.Reading[Monitoring]   // of our running daemon
	Scanning   host.Reading[control.Scan] // likewise
	// Changes are who changed the directories that are not as they should be, by path; a nil one is that no log tells. The daemon has none.
	Changes   map[string]host.Reading[*host.Change]
	Connector host.Connector // the installed one, or ours where none is
	Found     bool           // Connector is installed
	Daemon    bool           // gathered by the daemon: BPF is what the process that monitors may do
	At        time.Time
}

// Runs reports whether the kernel that is judged runs, so that it could be asked.
func (f *Facts) Runs() bool { return f.Host.Live && !f.Host.Kernel.Value.Other }

// Rule judges one fault.
type Rule interface {
	ID() fault.ID
	Check(*Facts) fault.Finding
}
