package degraded

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// docs/events.md has the table of what is not seen although all parts work.
func TestDocument(t *testing.T) {
	const path = "../../docs/events.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	if table := blindSpotTable(); !strings.Contains(string(b), table) {
		t.Errorf("%s has not the table of blind spots, expected:\n%s", path, table)
	}
}

func blindSpotTable() string {
	var b strings.Builder
	b.WriteString("| not seen | of events |\n|---|---|\n")
	for _, spot := range slices.Concat(append(always[:], []monitor.BlindSpot{noPart})...) {
		var kinds []string
		for k := range spot.Kinds.All {
			kinds = append(kinds, k.String())
		}
		fmt.Fprintf(&b, "| %s | %s |\n", spot.What.EN, strings.Join(kinds, ", "))
	}
	return b.String()
}
