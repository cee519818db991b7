package bpf

import (
	"errors"
	"sync"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/internal/monitor"
)

// allKinds are what the sources of inEachSet make events of.
var allKinds = monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds

// inEachSet runs a test with each hook set that the kernel lets us attach, and all kinds of events.
func inEachSet(t *testing.T, test func(t *testing.T, w *watch)) {
	needsBPF(t)
	for _, set := range []hookSet{fentrySet, kprobeSet, tracepointSet} {
		t.Run(set.String(), func(t *testing.T) {
			needsHooks(t, set)
			w := watchOf(t, set)
			for program, err := range w.kernel.failed {
				t.Logf("%s is not attached: %v", program, err)
			}
			test(t, w)
		})
	}
}

func needsHooks(t *testing.T, set hookSet) {
	t.Helper()
	if best := bestHooks(); set < best {
		t.Skipf("needs a kernel that attaches programs by %s; the best here is %s", set, best)
	}
}

var bestHooks = sync.OnceValue(func() hookSet { return probeHooks(nil, btf.NewCache()) })

// watches are the sources that run for tests one after the other, by hook set: to load all programs takes an emulated guest ten seconds.
var watches = map[hookSet]*watch{}

// watchOf is the source with a hook set, without the settings and the events of the tests before.
func watchOf(t *testing.T, set hookSet) *watch {
	t.Helper()
	w := watches[set]
	if w == nil {
		var err error
		if w, err = newWatch(t.Context(), options{hooks: set}); err != nil {
			t.Fatal(err)
		}
		watches[set] = w
	}
	if err := w.Set(monitor.Settings{Kinds: allKinds}); err != nil {
		t.Fatal(err)
	}
	w.Forget()
	return w
}

// endWatches ends those that run.
func endWatches() error {
	var err error
	for _, w := range watches {
		err = errors.Join(err, w.end())
	}
	return err
}
