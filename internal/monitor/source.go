package monitor

import (
	"context"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// SourceName names a way to get events from the kernel, best first.
type SourceName string

const (
	EBPFKernelBTF   SourceName = "ebpf"          // eBPF with the kernel's own BTF
	EBPFExternalBTF SourceName = "ebpf-external" // eBPF with a matching BTF file
	EBPFHeaders     SourceName = "ebpf-headers"  // eBPF with layouts derived from the header package
	Modules         SourceName = "modules"       // ampfsm, ampnetworkflow
	Degraded        SourceName = "degraded"      // fanotify, process connector, sock_diag
	NoSource        SourceName = "none"          // nothing is monitored
)

// Count is what became of the events of one kind since the source was opened. Produced = Handled + Excluded + Merged + Shed + Lost.
type Count struct {
	Handled  uint64 // given to the handler
	Excluded uint64 // left out since an exclusion says so
	Merged   uint64 // told by the count of another event
	Shed     uint64 // left out while monitoring was reduced
	Full     uint64 // lost: the queue was full
	Missed   uint64 // lost: the kernel did not run the program, or could not tell
	Damaged  uint64 // lost: what came could not be read
}

// Lost are the events that nobody decided to leave out.
func (c Count) Lost() uint64 { return c.Full + c.Missed + c.Damaged }

// Counts are a source's counts and how full its queue is.
type Counts struct {
	Kinds      [kindEnd]Count // by Kind; [0] has what cannot be told by kind
	QueueBytes uint64         // waiting now
	QueueSize  uint64
}

// Total adds the kinds up.
func (c *Counts) Total() Count {
	var t Count
	for _, k := range c.Kinds {
		t = t.Plus(k)
	}
	return t
}

// Plus adds two counts.
func (c Count) Plus(d Count) Count {
	return Count{
		Handled: c.Handled + d.Handled, Excluded: c.Excluded + d.Excluded, Merged: c.Merged + d.Merged, Shed: c.Shed + d.Shed,
		Full: c.Full + d.Full, Missed: c.Missed + d.Missed, Damaged: c.Damaged + d.Damaged,
	}
}

// Plus adds what another source counted; the queue is c's.
func (c Counts) Plus(d Counts) Counts {
	for k := range c.Kinds {
		c.Kinds[k] = c.Kinds[k].Plus(d.Kinds[k])
	}
	return c
}

// Settings are what a source is told to do. It follows at once, without being opened anew.
type Settings struct {
	Kinds      Kinds // that are wanted; a source attaches to nothing for the others
	Exclusions policy.Exclusions
	// Reduced asks for the critical kinds and the system's directories only. The source does so by itself too while its queue is nearly full.
	Reduced bool
}

// Equal compares two settings.
func (s Settings) Equal(o Settings) bool {
	return s.Kinds == o.Kinds && s.Reduced == o.Reduced && s.Exclusions.Equal(o.Exclusions)
}

// Activity is how much one process did since the source was opened, with what was excluded and shed.
type Activity struct {
	PID       uint32
	StartBoot uint64 // ns
	UID       uint32
	Comm      string
	Device    uint64 // of its executable, as st_dev
	Inode     uint64
	Kinds     [kindEnd]uint64 // events by Kind
}

// BlindSpot is something that a source cannot see.
type BlindSpot struct {
	Kinds Kinds
	What  fault.Text
}

// Source delivers events until it is closed.
type Source interface {
	Name() SourceName
	// Hooks names how it is attached, for a person: "fentry", "kprobe", "tracepoint" or "fanotify and process connector".
	Hooks() string
	// Sees are the kinds that it sees as it is attached, of things however short, and with the process that did them. What it misses of
	// them all the same are its BlindSpots. The canary expects one event of each, as far as Settings.Kinds has it.
	Sees() Kinds
	// Run calls handle for each event, from one goroutine, until ctx ends or Close is called. It returns nil then.
	Run(ctx context.Context, handle func(*Event)) error
	// Set may be called at any time. After an error the source goes on as before.
	Set(Settings) error
	// Counts may be called at any time, after Close too.
	Counts() (Counts, error)
	// Activity may be called at any time. Its result is bounded; which processes are left out is the source's choice, the quiet ones first. It
	// is good until the next call.
	Activity() ([]Activity, error)
	// BlindSpots depends on how it is attached.
	BlindSpots() []BlindSpot
	// Close detaches from the kernel. It may be called more than once.
	Close() error
}

// Neighboured is a Source that shares something of the kernel's with other programs.
type Neighboured interface {
	// Neighbours says which programs those are, as found some minutes ago at most, and what they mean for the connector.
	Neighbours() []fault.Text
}

// Prompt is a Source that lets events wait for a while, to be woken less often.
type Prompt interface {
	// Look makes it read what has come until now. It may be called at any time while Run does, and waits for nothing.
	Look()
}
