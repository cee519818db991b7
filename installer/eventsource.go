package installer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
)

// sourceWait bounds the change of the event source: layouts are derived in seconds, and programs attached in one; an emulated machine takes
// minutes for both.
const sourceWait = 10 * time.Minute

// SourceItems are the items that have the connector take the best event source that the host as it is then allows, and see it open. One that does
// not run, and others, are started anew.
func SourceItems(f *health.Facts) []Item {
	if !f.Found || f.Connector.Vendor || !f.Monitoring.Known() {
		return ServiceItems(f, Restart)
	}
	return []Item{{Step: &EventSource{}}}
}

func init() { register(func() Step { return new(EventSource) }) }

// EventSource has the daemon look at the host anew, and waits until it monitors by a full source.
type EventSource struct{}

// Kind implements Step.
func (*EventSource) Kind() string { return "event-source" }

// Title implements Step.
func (*EventSource) Title() fault.Text {
	return fault.Text{EN: "let the connector change to the better event source", JA: "より良いイベントソースへの切り替え"}
}

// Commands implements Step.
func (*EventSource) Commands() []string { return []string{"amp-install restart", "ampcli status -v"} }

// Needed implements Step.
func (*EventSource) Needed(ctx context.Context, h *Host) (bool, error) {
	if !h.Live {
		return false, nil
	}
	a, err := askAbout(ctx, h, control.ReadStatus)
	if err != nil {
		return false, err
	}
	return !full(a.Status.Source), nil
}

// Prepare implements Step.
func (*EventSource) Prepare(context.Context, *Host) error { return nil }

// Apply implements Step. What keeps the daemon from the source is an error in its own words.
func (*EventSource) Apply(ctx context.Context, h *Host) error {
	ctx, cancel := context.WithTimeout(ctx, sourceWait)
	defer cancel()
	for {
		a, err := askAbout(ctx, h, control.Evaluate)
		if err != nil && !errors.Is(err, control.ErrIncomplete) {
			return err
		}
		switch {
		case a.Status == nil:
			return err
		case full(a.Status.Source):
			return nil
		case err == nil && !pending(a.Status.Source):
			return fmt.Errorf("the connector still monitors by source %s: %w", a.Status.Source.Name, sourceError(a.Status.Source))
		}
	}
}

// askAbout asks the daemon of the host.
func askAbout(ctx context.Context, h *Host, v control.Verb) (control.Answer, error) {
	socket, err := h.Root.Path(control.Socket)
	if err != nil {
		return control.Answer{}, err
	}
	return control.Ask(ctx, socket, control.Request{Verb: v})
}

func full(s control.Source) bool {
	return s.Name != string(monitor.NoSource) && s.Name != string(monitor.Degraded)
}

func pending(s control.Source) bool { return s.Layouts != nil && s.Layouts.Pending }

func sourceError(s control.Source) error {
	if s.Error != "" {
		return errors.New(s.Error)
	}
	return errors.New(s.Reason)
}

// Undo implements Step: there is nothing to take back.
func (*EventSource) Undo(context.Context, *Host) error { return nil }
