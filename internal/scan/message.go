// Package scan is what the daemon and its scan service say to one another. The daemon opens files and passes their descriptors over a
// unix(7) socket pair of type SOCK_SEQPACKET; the service, which opens no path that an event names, answers with a verdict. Each side
// takes the other's messages as input from outside: bounded, checked, never trusted.
package scan

import "time"

// Bounds of the messages, in bytes.
const (
	MaxMessage = 4 << 10 // one message, in either direction
	MaxName    = 256     // name of what was found
	MaxError   = 1 << 10 // error text; longer ones are cut
)

// Limits bound one scan. Zero fields stand for the service's own.
type Limits struct {
	FileBytes uint64        // larger files are not scanned; members of archives are bounded by ScanBytes
	ScanBytes uint64        // that are unpacked and looked at in one file, with its members
	Depth     uint32        // of archives in archives
	Files     uint32        // members of one archive
	ScanTime  time.Duration // after which the engine gives up on a file; rounded down to milliseconds
}

// Request asks for one file, whose descriptor comes with it. The service closes the descriptor.
type Request struct {
	ID     uint64 // that the answer repeats; never 0
	Limits Limits
}

// Result is what came of a scan.
type Result uint8

const (
	Clean    Result = iota + 1 // nothing was found
	Infected                   // Answer.Name was found
	Limited                    // nothing was found, but a limit kept parts of the file from being looked at
	Failed                     // the file could not be scanned; Answer.Error says why
)

// String is the result's name.
func (r Result) String() string {
	switch r {
	case Clean:
		return "clean"
	case Infected:
		return "infected"
	case Limited:
		return "limited"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// Answer is the verdict on the file of one request.
type Answer struct {
	ID      uint64
	Result  Result
	Name    string // Infected: the signature
	Error   string // Failed
	Scanned uint64 // bytes that the engine looked at
}

// Stage is how far the service's start came, in this order.
type Stage uint8

const (
	StageSandbox     Stage = iota + 1 // it has no rights any more
	StageLibrary                      // the engine library is open and of a version that can be used
	StageDefinitions                  // the definitions are loaded
	StageSelfTest                     // the self-test's sample was found, and what is clean was not
	StageReady
)

// String is the stage's name, as the status has it.
func (s Stage) String() string {
	switch s {
	case StageSandbox:
		return "sandbox"
	case StageLibrary:
		return "library"
	case StageDefinitions:
		return "definitions"
	case StageSelfTest:
		return "self-test"
	case StageReady:
		return "ready"
	}
	return "unknown"
}

// Cause is why a start failed, as far as the service can tell.
type Cause uint8

const (
	NoCause         Cause = iota
	LibraryMissing        // no library of a known name could be opened
	LibraryUnusable       // one could be opened, and lacks what is needed or is too old
	DefinitionsBad        // Report.File could not be loaded, or nothing could
	MemoryShort           // memory ran out, or the limit on it was reached
	RightsMissing         // the user may not read or do what the start needs
	SelfTestFailed        // the engine does not find its sample, or finds something in what is clean

	lastCause = SelfTestFailed
)

// Report is what the service says once, before it answers anything: that it is ready, or at which stage its start ended and why.
type Report struct {
	Stage      Stage // StageReady, or the one that was not passed
	Cause      Cause
	Error      string
	File       string // the definition file that was to blame, if one was; its base name
	Engine     string // version of the engine library, once it is open
	Signatures uint32 // that were loaded
	Sandbox    Sandbox
	Workers    uint32 // scans that run side by side
}

// Sandbox is a set of what keeps the service from doing harm, as it is in force.
type Sandbox uint32

const (
	SandboxUser         Sandbox = 1 << iota // it runs as the scan user
	SandboxCapabilities                     // it has no capabilities and can gain none
	SandboxMounts                           // it sees system libraries and definitions, read-only, and a scratch directory with a size cap
	SandboxNetwork                          // it has a network namespace of its own, with nothing in it
	SandboxSystemCalls                      // a seccomp(2) filter
	SandboxMemory                           // a limit on its memory
	SandboxPaths                            // landlock(7) lets it reach the same files, where mounts could not be made; scratch has no cap then

	allSandbox = SandboxPaths<<1 - 1
)
