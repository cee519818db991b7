// Package policy is the connector's policy: what an administrator asked the connector to do. It is parsed and checked, never guessed.
package policy

import "slices"

// Where the policy lives on a host, and the exclusions that an administrator of this host added with ampcli.
const (
	Path          = "/opt/cisco/amp/etc/policy.xml"
	ExclusionPath = "/opt/cisco/amp/etc/exclusions.xml"
)

// Policy holds what predicates and sources read.
type Policy struct {
	MonitorFiles   bool // "monitor file copies and moves"
	MonitorNetwork bool // "enable device flow correlation"
	Source         Source
	BTFFolder      string    // with BTF files of kernels that offer none, "" for none
	ModuleKey      ModuleKey // that signs kernel modules
	Exclusions     Exclusions
	Limits         Limits
	Scan           Scan
	Schedules      []Schedule // of scans; in force while Scan.Enabled
}

// Source says where events are to come from.
type Source string

const (
	SourceAuto    Source = "auto"    // the best that the kernel allows
	SourceModules Source = "modules" // the kernel modules; what they cannot is monitored less, and a fault
)

// sources are the words that a policy may have.
var sources = []Source{SourceAuto, SourceModules}

// ModuleKey is where an administrator has a key pair for kernel modules. Both are empty where there is none.
type ModuleKey struct {
	Key         string // RSA, in PEM and without a passphrase
	Certificate string // DER
}

// Scan says what is scanned, and what the scan service may take of a host.
type Scan struct {
	Enabled   bool
	MemoryMiB int  // of data, for the service with its definitions
	FileMiB   int  // larger files are not scanned, nor larger members of archives
	Workers   int  // files that are scanned side by side
	Unsigned  bool // definitions that nobody signed may be used: those of this host's administrators
	// Quarantine says which of the files in which something is found are taken away.
	Quarantine Quarantine
}

// Quarantine says which files are taken into the quarantine.
type Quarantine string

const (
	QuarantineOff     Quarantine = "off"     // none: what is found is told, and left alone
	QuarantineUnowned Quarantine = "unowned" // those that no package has brought
	QuarantineAll     Quarantine = "all"     // those too: what a package manager has put there is missing then
)

// quarantines are the words that a policy may have.
var quarantines = []Quarantine{QuarantineOff, QuarantineUnowned, QuarantineAll}

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
		MonitorFiles: true, MonitorNetwork: true, Source: SourceAuto, Limits: Limits{EventLogMiB: DefaultEventLogMiB},
		Scan: Scan{Enabled: true, MemoryMiB: DefaultScanMemoryMiB, FileMiB: DefaultScanFileMiB, Workers: DefaultScanWorkers, Quarantine: QuarantineOff},
	}
}

// Equal compares two policies.
func (p Policy) Equal(q Policy) bool {
	return p.MonitorFiles == q.MonitorFiles && p.MonitorNetwork == q.MonitorNetwork && p.Source == q.Source && p.BTFFolder == q.BTFFolder && p.ModuleKey == q.ModuleKey && p.Limits == q.Limits && p.Scan == q.Scan &&
		p.Exclusions.Equal(q.Exclusions) && slices.EqualFunc(p.Schedules, q.Schedules, Schedule.Equal)
}
