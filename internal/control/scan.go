package control

import "time"

// ScanState is what the scan service is doing.
type ScanState string

const (
	ScanStarting ScanState = "starting" // nothing is known yet
	ScanReady    ScanState = "ready"    // files are scanned
	ScanWaiting  ScanState = "waiting"  // it ended and is started again after a pause
	ScanFailed   ScanState = "failed"   // it cannot come up: Stage, Cause and Error say why
	ScanOff      ScanState = "off"      // the policy asks for no scanning
	ScanUnknown  ScanState = "unknown"  // no daemon runs that could say
)

// Causes of a start that failed.
const (
	ScanLibraryMissing  = "library-missing"  // no engine library of a known name is there
	ScanLibraryUnusable = "library-unusable" // it is too old, or lacks functions
	ScanDefinitions     = "definitions"      // they do not load
	ScanMemory          = "memory"           // they do not fit into memory, or into the limit
	ScanRights          = "rights"           // the scan user may not do what the start needs
	ScanSelfTest        = "self-test"        // the engine does not find its own sample
	ScanKilled          = "killed"           // a signal ended the start: seccomp(2), or a crash
	ScanProgram         = "program"          // the service's program cannot be executed
	ScanHung            = "hung"             // the start did not end in time
)

// Bounds of the lists of a Scan.
const (
	MaxScanEnds = 64 // ends, each with at most MaxEndFiles
	MaxEndFiles = 16
	MaxSetAside = 64 // files
)

// Scan is the state of the scan service.
type Scan struct {
	State  ScanState `json:"state"`
	Detail string    `json:"detail"`          // the same for a person, in English
	Since  time.Time `json:"since,omitzero"`  // in this state
	Last   time.Time `json:"last,omitzero"`   // when a scan last ended
	Stage  string    `json:"stage,omitempty"` // of the start that was not passed: sandbox, library, definitions, self-test
	Cause  string    `json:"cause,omitempty"`
	Error  string    `json:"error,omitempty"`
	File   string    `json:"file,omitempty"` // the definition file to blame, if there is one

	PID         int      `json:"pid,omitempty"`
	User        string   `json:"user,omitempty"` // that the process really has, from /proc; a number where it has no name
	UID         uint32   `json:"uid,omitempty"`
	GID         uint32   `json:"gid,omitempty"`
	Groups      []uint32 `json:"groups,omitempty"`     // further ones; there should be none
	Capable     bool     `json:"capable,omitempty"`    // the process has capabilities; it should have none
	AsRoot      bool     `json:"as_root,omitempty"`    // the scan user cannot be used; see UserError
	UserError   string   `json:"user_error,omitempty"` // why not
	Sandbox     []string `json:"sandbox,omitempty"`    // what keeps it from doing harm: user, capabilities, mounts, or paths where those cannot be made, network, system-calls, memory
	Workers     int      `json:"workers,omitempty"`
	MemoryBytes uint64   `json:"memory_bytes,omitempty"` // resident
	MemoryLimit uint64   `json:"memory_limit,omitempty"` // bytes of data; 0: none
	Cgroup      *Cgroup  `json:"cgroup,omitempty"`       // that bounds it from outside; absent: nothing is known of it

	Engine      string `json:"engine,omitempty"`      // version of the library
	Definitions string `json:"definitions,omitempty"` // version of the set that is loaded
	BuiltIn     bool   `json:"built_in,omitempty"`    // nothing but the built-in definitions
	Signatures  uint64 `json:"signatures,omitempty"`

	Queued   uint64 `json:"queued"`   // files that wait
	Scanned  uint64 `json:"scanned"`  // since the daemon started
	Known    uint64 `json:"known"`    // not scanned, since they did not change since they were, or another file with the same content was
	Found    uint64 `json:"found"`    // detections
	Failures uint64 `json:"failures"` // files that could not be scanned
	Dropped  uint64 `json:"dropped"`  // files that were not scanned, since the queue was full

	Ends     []ScanEnd  `json:"ends,omitempty"` // of the service, oldest first, since it last was quiet for Limits.Quiet; the newest MaxScanEnds
	Limits   ScanLimits `json:"limits"`
	SetAside []string   `json:"set_aside,omitempty"` // files on which the service ended twice; bounded

	Schedules  []ScanSchedule `json:"schedules,omitempty"`  // of the policy, in its order
	Quarantine *Quarantine    `json:"quarantine,omitempty"` // absent: nothing is known of it
}

// ScanSchedule is what became of a schedule of the policy, and what comes next.
type ScanSchedule struct {
	Name    string         `json:"name"`
	On      string         `json:"on"`                // as the policy says it
	Next    time.Time      `json:"next,omitzero"`     // when it begins, with its delay
	Running bool           `json:"running,omitempty"` // Last is the scan that goes on
	Waiting bool           `json:"waiting,omitempty"` // it is due, and begins when another one has ended
	Last    *ScheduledScan `json:"last,omitempty"`    // absent: none was begun yet
}

// ScheduledScan is a scan that was begun by a schedule.
type ScheduledScan struct {
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended,omitzero"`  // absent: it goes on, or was interrupted
	Files    uint64    `json:"files"`           // these three are known when it has ended
	Found    uint64    `json:"found"`           // files in which something was found
	Failures uint64    `json:"failures"`        // files and folders that could not be read or scanned
	Error    string    `json:"error,omitempty"` // why it ended before its end
}

// lastScheduled is the schedule whose scan ended last, nil where there is none.
func (s Scan) lastScheduled() (last *ScanSchedule) {
	for i := range s.Schedules {
		c := &s.Schedules[i]
		if c.Last != nil && !c.Last.Ended.IsZero() && (last == nil || c.Last.Ended.After(last.Last.Ended)) {
			last = c
		}
	}
	return last
}

// Quarantine is how full the store of files is that were taken away.
type Quarantine struct {
	Files      int    `json:"files"`
	Bytes      int64  `json:"bytes"`
	MaxFiles   int    `json:"max_files"`
	MaxBytes   int64  `json:"max_bytes"`
	Unfinished int    `json:"unfinished,omitempty"` // that a killed program has left; the next change deals with them
	Error      string `json:"error,omitempty"`      // why not all could be counted
}

// Cgroup is the control group that the scan service runs in.
type Cgroup struct {
	Path        string `json:"path,omitempty"`         // of the daemon's, below which it is; "" where there is none
	MemoryLimit uint64 `json:"memory_limit,omitempty"` // bytes of all memory
	Error       string `json:"error,omitempty"`        // why there is none, or why the last service could not be put into one
}

// ScanLimits are what ends are judged by.
type ScanLimits struct {
	Ends   int `json:"ends"`   // more of them within the window are fault 6
	Window int `json:"window"` // seconds
	Quiet  int `json:"quiet"`  // seconds without an end, after which fault 6 clears
}

// ScanEnd is one end of the scan service that nobody asked for.
type ScanEnd struct {
	Time   time.Time `json:"time"`
	PID    int       `json:"pid"`
	Hung   bool      `json:"hung,omitempty"`   // it did not answer in time, and was killed
	Signal string    `json:"signal,omitempty"` // that ended it, such as SIGSEGV
	Status int       `json:"status,omitempty"` // its exit status
	Memory uint64    `json:"memory,omitempty"` // bytes available on the host at that time
	Files  []string  `json:"files,omitempty"`  // that were being scanned

	MemoryLimit uint64 `json:"memory_limit,omitempty"` // bytes of the limit of its control group, where the kernel ended it for that
}

// Public is a copy without the names of the files that were scanned: the status is for anybody, and they are for root.
func (s Scan) Public() Scan {
	ends := make([]ScanEnd, len(s.Ends))
	for i, e := range s.Ends {
		e.Files = nil
		ends[i] = e
	}
	s.Ends, s.SetAside = ends, nil
	return s
}
