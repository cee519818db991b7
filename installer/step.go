// Package installer is the plan engine and the steps that change a host. Everything that changes a host, install and remedy
// alike, is a Step run by the engine: journaled before it is applied, undone or carried on after an interruption.
package installer

import (
	"context"

	"github.com/ampconnector/amp/internal/fault"
)

// Step is one change of a host. A step is plain data (its exported fields are its journal record), so that another program
// can undo it after the one that began it was killed. Each kind is registered by name.
type Step interface {
	// Kind names the step's type in the journal, e.g. "group". It never changes: by it a newer version undoes what an older one began.
	Kind() string
	// Title is one line for a person, e.g. "create group cisco-amp-scan-svc". Nothing but a person may rest on its words.
	Title() fault.Text
	// Commands is what a person could type instead, exactly; empty where there is no such command.
	Commands() []string
	// Needed reports whether the host differs from what Apply would make of it. It changes nothing.
	Needed(ctx context.Context, h *Host) (bool, error)
	// Prepare records in the step's own exported fields what Undo needs. The engine journals the step after Prepare and before Apply.
	Prepare(ctx context.Context, h *Host) error
	// Apply makes the change. It is safe to call again after it was interrupted.
	Apply(ctx context.Context, h *Host) error
	// Undo takes back what Apply did or began to do. It is safe to call when Apply did nothing.
	Undo(ctx context.Context, h *Host) error
}

// Teller is a step that has something to tell a person once it is done, and that is kept nowhere.
type Teller interface {
	Told() fault.Text // empty where there is nothing
}
