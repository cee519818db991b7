package connector

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
	"github.com/ampconnector/amp/kmod"
)

// modulesEnv names a folder with modules of the running kernel, built of this version's sources.
const modulesEnv = "AMP_TEST_MODULES"

// modulesTell are the kinds that modules tell.
var modulesTell = monitor.FileKinds | monitor.NetworkKinds | monitor.KindsOf(monitor.Exec, monitor.Exit)

// The kernel modules tell what the eBPF programs tell, of the same script of actions, on the host and in a container; what they do not is in their blind spots.
func TestModules(t *testing.T) {
	w, program := watchModules(t)
	lost := w.Lost(t)
	for _, name := range actions.Files() {
		t.Run(name, func(t *testing.T) { w.CheckFiles(t, program, name) })
	}
	for _, name := range actions.Network() {
		t.Run(name, func(t *testing.T) { w.CheckNetwork(t, program, name) })
	}
	for _, name := range actions.ContainedFiles {
		t.Run(name+" in a container", func(t *testing.T) { w.CheckFiles(t, program, name, actions.InContainer(t.TempDir())) })
	}
	for _, name := range actions.ContainedNetwork {
		t.Run(name+" in a container", func(t *testing.T) { w.CheckNetwork(t, program, name, actions.InContainer(t.TempDir())) })
	}
	if lost := w.Lost(t) - lost; lost != 0 {
		t.Errorf("lost %d events", lost)
	}
}

// watchModules loads the modules, opens them as the daemon does, and gives a program that does actions.
func watchModules(t *testing.T) (w *actions.Watch, program string) {
	t.Helper()
	from := os.Getenv(modulesEnv)
	if from == "" {
		t.Skip("not in a guest of the lab: it has the kernel modules, built for its kernel")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	release := host.RunningRelease()
	if release.Err != nil {
		t.Fatal(release.Err)
	}
	r := host.At("/")
	prebuilt := filepath.Join(kmod.PrebuiltDir, release.Value)
	t.Cleanup(func() {
		if err := errors.Join(kmod.Remove(r), os.RemoveAll(prebuilt)); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(prebuilt, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if refused := kmod.Ensure(t.Context(), r, release.Value, kmod.KeyFiles{}, nil); len(refused) > 0 {
		t.Fatalf("not loaded: %v", refused)
	}
	s, err := openSource(t.Context(), monitor.Modules, monitor.Settings{Kinds: modulesTell}, bpf.Types{})
	if err != nil {
		t.Fatal(err)
	}
	w = actions.NewWatch(s)
	w.Start()
	t.Cleanup(func() {
		if err := errors.Join(w.End(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return w, program
}
