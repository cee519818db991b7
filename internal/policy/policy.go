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
	Scan           Scan
}

// Scan says what is scanned, and what the scan service may take of a host.
type Scan struct {
	Enabled   bool
	MemoryMiB int  // of data, for the service with its definitions
	FileMiB   int  // larger files are not scanned, nor larger members of archives
	Workers   int  // files that are scanned side by side
	Unsigned  bool // definitions that nobody signed may be used: those of this host's administrators
}

// Bounds of Scan, and what is in force where the policy says nothing: the official definitions of ClamAV take about 1 GiB once they are
// loaded, and half as much again while they are.
const (
	MinScanMemoryMiB     = 64
	MaxScanMemoryMiB     = 64 << 10
	DefaultScanMemoryMiB = 2 << 10
	MinScanFileMiB       = 1
	MaxScanFileMiB       = 2047 // libclamav's own bound: int in bytes
	DefaultScanFileMiB   = 100
	MinScanWorkers       = 1
	MaxScanWorkers       = 64
	DefaultScanWorkers   = 2
)

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

// Default is the policy of a host that has no policy file: both monitors on, nothing left out, and scanned what is written or run.
func Default() Policy {
	return Policy{
		MonitorFiles: true, MonitorNetwork: true, Limits: Limits{EventLogMiB: DefaultEventLogMiB},
		Scan: Scan{Enabled: true, MemoryMiB: DefaultScanMemoryMiB, FileMiB: DefaultScanFileMiB, Workers: DefaultScanWorkers},
	}
}

// Equal compares two policies.
func (p Policy) Equal(q Policy) bool {
	return p.MonitorFiles == q.MonitorFiles && p.MonitorNetwork == q.MonitorNetwork && p.Limits == q.Limits && p.Scan == q.Scan && p.Exclusions.Equal(q.Exclusions)
}
