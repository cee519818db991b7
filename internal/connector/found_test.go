package connector

import (
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/queue"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// A detection names what it was found with, also while no service runs, or one with other definitions.
func TestADetectionNamesWhatItWasFoundWith(t *testing.T) {
	var told monitor.Event
	s := &scanner{with: ScanSurroundings{Found: func(e *monitor.Event) { told = *e }}}
	s.settings.Store(&ScanSettings{})
	s.found(&queue.Finding{Path: "/x", Answer: scan.Answer{Result: scan.Infected, Name: "Test.A"}, Epoch: verdicts.Epoch{Definitions: "7", Engine: "1.4.3"}})
	if told.Name != "Test.A" || told.Found.Engine != "1.4.3" || told.Found.Definitions != "7" {
		t.Errorf("%+v", told)
	}
}
