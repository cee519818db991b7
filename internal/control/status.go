package control

import (
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// Mode says how much is monitored.
type Mode string

const (
	Normal   Mode = "normal"   // by a full source
	Degraded Mode = "degraded" // by the degraded source
	NoMode   Mode = "none"     // nothing is monitored
)

// Status is what the daemon knows. docs/status.schema.json describes its JSON.
type Status struct {
	Running   bool      `json:"running"` // false: made from the ledger alone, because no daemon answers
	Version   string    `json:"version,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	Evaluated time.Time `json:"evaluated,omitzero"` // when the faults were last judged
	Kernel    string    `json:"kernel,omitempty"`   // uname -r
	Connector string    `json:"connector,omitempty"`

	Mode   Mode    `json:"mode"`
	Source Source  `json:"source"`
	Load   *Load   `json:"load,omitempty"`   // absent: nothing was measured yet
	Canary *Canary `json:"canary,omitempty"` // absent: none was sent yet, or there is no source to send one to
	Scan   Scan    `json:"scan"`
	Policy Policy  `json:"policy"`
	Ledger Ledger  `json:"ledger"`
	Log    Log     `json:"log"`

	Detections Log `json:"detections"` // the log of them, beside the event log

	Faults []Fault `json:"faults"` // every fault of the catalogue that was judged, in order of ID
}

// Source is the event source in use.
type Source struct {
	Name     string    `json:"name"`                // of monitor.SourceName
	Chosen   string    `json:"chosen,omitempty"`    // the one that fits the host; another one stands in for it after an error
	Hooks    string    `json:"hooks,omitempty"`     // how it is attached
	Reason   string    `json:"reason,omitempty"`    // why this one was chosen, or why nothing is monitored
	ReasonJA string    `json:"reason_ja,omitempty"` // the same in Japanese
	Since    time.Time `json:"since,omitzero"`
	Error    string    `json:"error,omitempty"` // of the last attempt to open or to run the source that was chosen
	Loss     Loss      `json:"loss"`
	// Layouts are those of the kernel's structures, where the source that was chosen takes them from elsewhere than the kernel's own BTF.
	Layouts *Layouts `json:"layouts,omitempty"`

	Kinds      []KindCount  `json:"kinds,omitempty"`       // what became of the events, since the source was opened; only kinds that came
	QueueBytes uint64       `json:"queue_bytes,omitempty"` // events that wait for the daemon now
	QueueSize  uint64       `json:"queue_size,omitempty"`
	Reduced    bool         `json:"reduced,omitempty"`     // only the critical kinds are asked for at the moment
	BlindSpots []fault.Text `json:"blind_spots,omitempty"` // what this source cannot see, as it is attached here
	Neighbours []fault.Text `json:"neighbours,omitempty"`  // other programs that use the same of the kernel, and what that means
}

// Layouts say where the layouts of the kernel's structures come from, or why there are none.
type Layouts struct {
	Origin  string `json:"origin,omitempty"`  // of bpf/layout
	From    string `json:"from,omitempty"`    // file, or header tree
	Pending bool   `json:"pending,omitempty"` // they are being read, or made, at the moment

	Cause  string `json:"cause,omitempty"`  // in one word, why there are none: Why of bpf/layout
	Detail string `json:"detail,omitempty"` // what was read, or the first error line of the compiler
	Wanted string `json:"wanted,omitempty"` // the compiler that is missing
	Log    string `json:"log,omitempty"`    // file with all that the build said
}

// KindCount is what became of the events of one kind. Produced are their sum.
type KindCount struct {
	Kind     string `json:"kind"`
	Handled  uint64 `json:"handled"`
	Excluded uint64 `json:"excluded"`
	Merged   uint64 `json:"merged"`
	Shed     uint64 `json:"shed"`
	Lost     uint64 `json:"lost"` // the sum of the three below

	Full    uint64 `json:"full,omitempty"`    // the queue was full
	Missed  uint64 `json:"missed,omitempty"`  // the kernel did not tell
	Damaged uint64 `json:"damaged,omitempty"` // what it told could not be read
}

// Loss counts events since the daemon started, over all sources that it had.
type Loss struct {
	Handled uint64  `json:"handled"`
	Lost    uint64  `json:"lost"`
	Percent float64 `json:"percent"`         // lost of handled and lost
	Error   string  `json:"error,omitempty"` // why the counts of the source in use could not be read
}

// NewLoss is the loss with its percentage.
func NewLoss(handled, lost uint64) Loss {
	l := Loss{Handled: handled, Lost: lost}
	if all := float64(handled) + float64(lost); all > 0 {
		l.Percent = 100 * float64(lost) / all
	}
	return l
}

// Canary is what the daemon last did in order to see it arrive: one thing of each kind.
type Canary struct {
	Time         time.Time `json:"time"`              // when it was caused
	OK           bool      `json:"ok"`                // all of it arrived, with the right process
	Skipped      bool      `json:"skipped,omitempty"` // it was not sent, could not act, was lost to overload, or what is monitored changed meanwhile, so that nothing follows from it
	Detail       string    `json:"detail"`
	Seen         []string  `json:"seen,omitempty"`         // kinds of events that arrived
	Missing      []string  `json:"missing,omitempty"`      // kinds that did not
	Milliseconds float64   `json:"milliseconds,omitempty"` // from cause to arrival
}

// Policy is the policy in force.
type Policy struct {
	File           string `json:"file,omitempty"`
	OK             bool   `json:"ok"`
	Default        bool   `json:"default"`            // there is no such file, and the default policy is in force
	Previous       bool   `json:"previous,omitempty"` // the file is not OK, and the policy before is in force
	Error          string `json:"error,omitempty"`    // file and line, why it could not be taken
	MonitorFiles   bool   `json:"monitor_files"`
	MonitorNetwork bool   `json:"monitor_network"`

	Exclusions Exclusions `json:"exclusions"`
}

// Exclusions are those of this host, beside the policy's own.
type Exclusions struct {
	File  string `json:"file,omitempty"`
	Count int    `json:"count"`           // in force, the policy's own among them
	Error string `json:"error,omitempty"` // file and line, why it could not be taken; those before are in force
}

// Ledger is the state of the fault ledger's file.
type Ledger struct {
	File   string `json:"file,omitempty"`
	Error  string `json:"error,omitempty"`  // of the last update
	Damage string `json:"damage,omitempty"` // why the file that was found at the start was set aside
}

// Log is the state of the event log, or of the log of detections.
type Log struct {
	File    string `json:"file,omitempty"`
	Dropped uint64 `json:"dropped"` // events that were handled and could not be written
	Error   string `json:"error,omitempty"`
}

// Fault is the ledger's entry of one fault, with its name.
type Fault struct {
	fault.Entry
	Name   fault.Text  `json:"name"`
	Counts fault.State `json:"counts"` // the state that counts: a pending condition does not yet, a raised one that is in doubt still does
}

// Faults names the entries of a ledger.
func Faults(entries []fault.Entry) []Fault {
	named := make([]Fault, 0, len(entries))
	for _, e := range entries {
		f, ok := fault.Lookup(e.ID)
		if !ok {
			continue
		}
		if e.Evidence == nil {
			e.Evidence = []fault.Evidence{} // in JSON a list, never null
		}
		named = append(named, Fault{Entry: e, Name: f.Name, Counts: e.Counts()})
	}
	return named
}

// SourceBecause is a source with the reason why it was chosen.
func SourceBecause(name string, reason fault.Text) Source {
	return Source{Name: name, Reason: reason.EN, ReasonJA: reason.JA}
}

// NotRunning is the status of a host where no daemon answers: what the ledger says, and nothing else.
func NotRunning(s fault.Snapshot, file string, readErr error) Status {
	status := Status{
		Mode: NoMode, Scan: Scan{State: ScanUnknown, Detail: "not known: the daemon is not running"}, Faults: Faults(s.Findings), Evaluated: s.Updated, Ledger: Ledger{File: file},
		Source: SourceBecause("none", fault.Text{EN: "the daemon is not running", JA: "デーモンは動作していません"}),
	}
	if readErr != nil {
		status.Ledger.Error = readErr.Error()
	}
	return status
}

// Raised lists the faults that count as raised.
func (s Status) Raised() []Fault {
	var raised []Fault
	for _, f := range s.Faults {
		if f.Counts == fault.Raised {
			raised = append(raised, f)
		}
	}
	return raised
}
