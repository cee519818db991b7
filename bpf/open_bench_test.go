package bpf

import (
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// BenchmarkOpen is what a start of the daemon costs: programs for all kinds are relocated, verified, attached.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		s, err := Open(b.Context(), monitor.Settings{Kinds: monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
