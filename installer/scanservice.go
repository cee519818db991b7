package installer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// scanWait bounds a start of the scan service: large definitions take half a minute, on slow machines minutes. The daemon itself
// gives a request two minutes.
const scanWait = 3 * time.Minute

// ScanItems are the items that start the scan service anew. Only our own connector has one that can be asked to.
func ScanItems(f *health.Facts) []Item {
	if !f.Found || f.Connector.Vendor {
		return nil
	}
	return []Item{{Step: &ScanService{}}}
}

func init() { register(func() Step { return new(ScanService) }) }

// ScanService has the daemon start its scan service anew, which loads the engine and the definitions, finds its own sample, and is given
// the files again at which it ended.
type ScanService struct{}

// Kind implements Step.
func (*ScanService) Kind() string { return "scan-service" }

// Title implements Step.
func (*ScanService) Title() fault.Text {
	return fault.Text{EN: "start the scan service anew and let it prove itself", JA: "スキャンサービスの再起動と動作確認"}
}

// Commands implements Step.
func (*ScanService) Commands() []string { return []string{"amp-install restart"} }

// Needed implements Step.
func (*ScanService) Needed(_ context.Context, h *Host) (bool, error) { return h.Live, nil }

// Prepare implements Step.
func (*ScanService) Prepare(context.Context, *Host) error { return nil }

// Apply implements Step. That the service does not come up is an error with its own words.
func (*ScanService) Apply(ctx context.Context, h *Host) error {
	ctx, cancel := context.WithTimeout(ctx, scanWait)
	defer cancel()
	a, err := askAbout(ctx, h, control.RestartScan)
	if err != nil && !errors.Is(err, control.ErrIncomplete) {
		return err
	}
	if a.Status == nil {
		return err
	}
	if s := a.Status.Scan; s.State == control.ScanFailed {
		return startError(s)
	}
	return err
}

func startError(s control.Scan) error {
	why := s.Error
	if why == "" {
		why = s.Detail
	}
	if s.File != "" {
		why = s.File + ": " + why
	}
	return fmt.Errorf("the scan service did not come up: stage %s, %s: %s", s.Stage, s.Cause, why)
}

// Undo implements Step: there is nothing to take back.
func (*ScanService) Undo(context.Context, *Host) error { return nil }
