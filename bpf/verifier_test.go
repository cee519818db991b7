package bpf

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// mostInstructions is how many instructions the verifier may look at for one program: kernels of 5.2 and later stop at a million, and older
// ones need more for the same.
const mostInstructions = 250_000

var processed = regexp.MustCompile(`processed (\d+) insns`)

// Every program that can be attached here loads, with the verifier's limit far away.
func TestVerifierCost(t *testing.T) {
	needsBPF(t)
	best := bestHooks()
	cache := btf.NewCache()
	for _, o := range objects {
		t.Run(o.name, func(t *testing.T) {
			spec, err := o.load()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range spec.Maps {
				if m.Name == "events" {
					m.MaxEntries = 1 << 20
				}
			}
			names := map[string]bool{}
			for _, h := range hooks {
				if h.sets&tracepointSet != 0 || h.sets >= best {
					for _, n := range h.of(o.name, true) {
						names[n] = true
					}
				}
			}
			for _, name := range slices.Sorted(maps.Keys(names)) {
				one := spec.Copy()
				one.Programs = map[string]*ebpf.ProgramSpec{name: one.Programs[name]}
				if one.Programs[name] == nil {
					t.Errorf("the object has no program %s", name)
					continue
				}
				if err := fit(one, nil, cache, false); err != nil {
					t.Fatal(err)
				}
				var c *ebpf.Collection
				err := withMemlock(func() (err error) {
					c, err = ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Cache: cache, Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
					return err
				})
				if err != nil {
					t.Errorf("%s: %v", name, brief(err))
					continue
				}
				m := processed.FindStringSubmatch(c.Programs[name].VerifierLog)
				c.Close()
				if m == nil {
					t.Logf("%s: the verifier does not say", name)
					continue
				}
				n, _ := strconv.Atoi(m[1])
				t.Logf("%s: %d instructions looked at", name, n)
				if n > mostInstructions {
					t.Errorf("%s: %d instructions looked at, expected at most %d", name, n, mostInstructions)
				}
			}
		})
	}
}
