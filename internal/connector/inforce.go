package connector

import (
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// inForce is the policy that the connector works by, and the exclusions of this host.
type inForce struct {
	policy     kept[policy.Policy]
	exclusions kept[policy.Exclusions]
}

// kept is what was last read without an error. A file that was damaged after that changes nothing but the error.
type kept[T any] struct {
	value T
	known bool
	err   error // why the file as it is now could not be taken; nil if it was
}

// settle takes over what was read, and gives the reading that is in force.
func (k *kept[T]) settle(r host.Reading[T]) host.Reading[T] {
	k.err = r.Err
	if r.Known() {
		k.value, k.known = r.Value, true
		return r
	}
	if !k.known {
		return r
	}
	return host.Read(k.value, r.From+" (as it was before)")
}

// settle puts what is in force into the facts, so that all that is judged and chosen goes by it.
func (p *inForce) settle(f *health.Facts) {
	f.Policy = p.policy.settle(f.Policy)
	f.Exclusions = p.exclusions.settle(f.Exclusions)
}

// policyOf is the policy in force. One that was never known is the default one.
func policyOf(f *health.Facts) policy.Policy {
	if !f.Policy.Known() {
		return policy.Default()
	}
	return f.Policy.Value
}

// settings is what a source is told to do by the facts.
func settings(f *health.Facts, reduced bool) monitor.Settings {
	p := policyOf(f)
	var kinds monitor.Kinds
	if p.MonitorFiles || p.MonitorNetwork {
		kinds |= monitor.ProcessKinds
	}
	if p.MonitorFiles {
		kinds |= monitor.FileKinds
	}
	if p.MonitorNetwork {
		kinds |= monitor.NetworkKinds
	}
	exclusions := p.Exclusions.Plus(f.Exclusions.Value)
	for _, name := range exclusions.Kinds {
		if k, err := monitor.ParseKind(name); err == nil { // checked by the parser against the same list
			kinds &^= monitor.KindsOf(k)
		}
	}
	return monitor.Settings{Kinds: kinds, Exclusions: exclusions, Reduced: reduced}
}
