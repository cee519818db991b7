package installer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// Host is the host that a plan changes, and how: below a root directory, with the tools found there.
type Host struct {
	Root host.Root
	Live bool         // Root is the running host: services can be started, the kernel can be asked
	Log  *slog.Logger // every command that is run is logged with its output
	Now  func() time.Time
}

// Item is a step of a plan, or something that only a person can do.
type Item struct {
	Step     Step   // nil for a manual item
	Manual   string // exact words for a person, when Step is nil
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

// Run applies a plan, step by step, each journaled before it is applied. A failed step is undone; unless its item is optional
// the rest is not tried and the error is returned. The caller holds the lock.
func Run(ctx context.Context, h *Host, p Plan, o Options) ([]Result, error) {
	return nil, errors.New("installer: no engine")
}

// Recover looks for a journal that an interrupted run left behind and undoes the step that was being applied, so that the host is as
// before that step; finished steps stay. It returns the titles of the steps that it undid. The caller holds the lock.
func Recover(ctx context.Context, h *Host) ([]string, error) {
	return nil, nil
}
