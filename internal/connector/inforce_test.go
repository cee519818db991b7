package connector

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

var errLine = errors.New("policy.xml:3: not XML")

func TestDamagedPolicyKeepsTheOneBefore(t *testing.T) {
	var p inForce
	network := policy.Policy{MonitorNetwork: true}
	f := &health.Facts{Policy: host.NotKnown[policy.Policy]("policy.xml", errLine)}
	if p.settle(f); f.Policy.Known() {
		t.Errorf("%+v is in force, though no policy was ever read", f.Policy)
	}
	f.Policy = host.Read(network, "policy.xml")
	if p.settle(f); !f.Policy.Value.Equal(network) || p.policy.err != nil {
		t.Errorf("%+v, %v; expected the policy that was read", f.Policy, p.policy.err)
	}
	f.Policy = host.NotKnown[policy.Policy]("policy.xml", errLine)
	if p.settle(f); !f.Policy.Known() || !f.Policy.Value.Equal(network) || !errors.Is(p.policy.err, errLine) {
		t.Errorf("%+v, %v; expected the policy before, and the error", f.Policy, p.policy.err)
	}
}

func TestSettings(t *testing.T) {
	local := policy.Exclusions{Paths: []string{"/srv/"}, Kinds: []string{"map"}}
	for _, c := range []struct {
		name   string
		policy host.Reading[policy.Policy]
		local  policy.Exclusions
		want   monitor.Settings
	}{
		{"default", host.Read(policy.Default(), ""), policy.Exclusions{}, monitor.Settings{Kinds: monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds}},
		{"not known", host.NotKnown[policy.Policy]("", errLine), policy.Exclusions{}, monitor.Settings{Kinds: monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds}},
		{"files", host.Read(policy.Policy{MonitorFiles: true}, ""), policy.Exclusions{}, monitor.Settings{Kinds: monitor.ProcessKinds | monitor.FileKinds}},
		{"network", host.Read(policy.Policy{MonitorNetwork: true}, ""), policy.Exclusions{}, monitor.Settings{Kinds: monitor.ProcessKinds | monitor.NetworkKinds}},
		{"none", host.Read(policy.Policy{}, ""), policy.Exclusions{}, monitor.Settings{}},
		{"both sets", host.Read(policy.Policy{MonitorFiles: true, Exclusions: policy.Exclusions{Users: []uint32{7}}}, ""), local, monitor.Settings{
			Kinds:      (monitor.ProcessKinds | monitor.FileKinds) &^ monitor.KindsOf(monitor.FileMap),
			Exclusions: policy.Exclusions{Paths: []string{"/srv/"}, Users: []uint32{7}, Kinds: []string{"map"}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := settings(&health.Facts{Policy: c.policy, Exclusions: host.Read(c.local, "")}, false)
			if got.Kinds != c.want.Kinds || !got.Exclusions.Equal(c.want.Exclusions) {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
}

// The policy names kinds by a list of its own, since it stands below.
func TestKindsOfThePolicy(t *testing.T) {
	for k := range (monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds).All {
		if n := int(k) - 1; n >= len(policy.EventKinds) || policy.EventKinds[n] != k.String() {
			t.Errorf("kind %d is %q, and the policy's list is %v", k, k, policy.EventKinds)
		}
	}
}

// An exclusion that is added takes effect without the source being opened anew; a damaged file changes nothing.
func TestExclusionsFollow(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) {
			w.exclusions = host.Read(policy.Exclusions{Paths: []string{"/srv/"}}, policy.ExclusionPath)
		})
		c.handle(t.Context(), control.Request{Verb: control.Reload})
		told := w.source(0).told()
		if n := len(told); n != 2 || !slices.Equal(told[1].Exclusions.Paths, []string{"/srv/"}) {
			t.Fatalf("told %+v; expected a second time, with the exclusion", told)
		}
		w.set(func(w *world) { w.exclusions = host.NotKnown[policy.Exclusions](policy.ExclusionPath, errLine) })
		s := c.handle(t.Context(), control.Request{Verb: control.Reload}).Status
		if n := len(w.source(0).told()); n != 2 || w.openings() != 1 {
			t.Errorf("told %d times, %d sources; expected no change", n, w.openings())
		}
		if s.Policy.Exclusions.Error != errLine.Error() || s.Policy.Exclusions.Count != 1 {
			t.Errorf("status %+v; expected the error and one exclusion", s.Policy.Exclusions)
		}
	})
}
