package installer

import (
	"errors"
	"log/slog"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Host is the host that a plan changes, and how: below a root directory, with the tools found there.
type Host struct {
	Root host.Root
	Live bool         // Root is the running host: services can be started, the kernel can be asked
	Log  *slog.Logger // every command that is run is logged with its output
	Now  func() time.Time

	// Definitions is the store of the scan engine's definitions; nil where this program has none.
	Definitions Definitions

	lock        *Lock         // held by this process, nil if not
	accountWait time.Duration // for account files that another program has locked
}

// NewHost is the host at root. A nil log keeps no log.
func NewHost(root host.Root, log *slog.Logger) *Host {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Host{Root: root, Live: root.Live(), Log: log, Now: time.Now, accountWait: accountLockWait}
}

// Item is a step of a plan, or something that only a person can do.
type Item struct {
	Step     Step       // nil for a manual item
	Manual   fault.Text // exact words for a person, when Step is nil
	Commands []string   // what the person types, in order, when Step is nil; empty where the words say it all
	Packages []string
	// Optional items may fail without stopping the plan: what they leave is a fault with a remedy.
	Optional bool
}

// Plan is what is to be done, in order.
type Plan struct {
	Name  string // journal's name for it, e.g. "install", "fault-19"
	Items []Item
}

// Outcome is what became of an item.
type Outcome string

const (
	Planned Outcome = "planned"
	Done    Outcome = "done"
	Skipped Outcome = "skipped" // not needed: the host is already so
	Failed  Outcome = "failed"  // and undone
	Manual  Outcome = "manual"
)

// Result is the outcome of one item.
type Result struct {
	Item    Item
	Outcome Outcome
	Err     error // of a Failed item; joined with the error of its Undo, if that failed too
	Took    time.Duration
}

// Options of a run.
type Options struct {
	DryRun   bool                        // nothing is changed, not even the journal; outcomes are Planned, Skipped or Manual
	Progress func(n, of int, item Item)  // called before each item; may be nil
	Finished func(n, of int, res Result) // called after each item; may be nil
}

// ErrLocked is in the chain of the error of Acquire when another program holds the lock.
var ErrLocked = errors.New("another program is changing this host")
