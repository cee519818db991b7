package bpf

import (
	"testing"

	"github.com/ampconnector/amp/internal/monitor/actions"
)

// In a container of its own mounts (an overlay), processes and network, actions give the events that they give on the host: with the pid
// that the host has for the process, and the paths that the container has for files.
func TestContainer(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		for _, name := range actions.ContainedFiles {
			t.Run(name, func(t *testing.T) {
				w.CheckFiles(t, program, name, actions.InContainer(t.TempDir()))
			})
		}
		for _, name := range actions.ContainedNetwork {
			t.Run(name, func(t *testing.T) { w.CheckNetwork(t, program, name, actions.InContainer(t.TempDir())) })
		}
		t.Run("setuid", func(t *testing.T) {
			pid, r := actions.Do(t, program, "setuid", actions.InContainer(t.TempDir()))
			actions.Check(t, w.Finished(t, pid, len(r.Events), systemKinds), r.Events)
		})
	})
}
