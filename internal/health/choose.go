package health

import (
	"errors"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

// Choose picks the event source for a host from its facts. It is used alike by the installer, the daemon and remedies.
func Choose(f *Facts) monitor.Choice { return monitor.Choose(inputs(f)) }

func inputs(f *Facts) monitor.Inputs {
	in := monitor.Inputs{
		Wanted: wanted(f.Policy),
		Forced: forced(f.Policy), Modules: f.Modules.Support(),
		BPF: bpfSupport(f),
		BTF: support(f.BPF.KernelBTF, "the kernel offers BTF", "the kernel offers no BTF"),

		Degraded: f.Degraded,
	}
	in.External, in.Headers = layoutSupport(f.BPF.Layouts)
	return in
}

// layoutSupport says whether a file, or the headers, have the layouts of the kernel's structures. That they could be derived counts: whether that
// works is seen when it is done.
func layoutSupport(r host.Reading[bpf.Layouts]) (external, headers monitor.Support) {
	if !r.Known() {
		return external, monitor.Support{Reason: "its layouts are not known: " + r.Err.Error()}
	}
	yes := monitor.Support{Yes: true, Known: true}
	switch f := r.Value; f.Origin {
	case layout.External:
		yes.Reason = "it is in " + f.From
		return yes, headers
	case layout.Cached, layout.Derived:
		yes.Reason = "the layouts of its structures are derived from " + f.From
		return external, yes
	default: // where there is BTF, nothing was looked for, and there is no reason
		if f.Reason != nil {
			headers.Known = true
			headers.Reason = "layouts of its structures from " + f.Reason.From + ": " + WhyNoLayouts(f.Reason).EN
		}
	}
	return external, headers
}

// wanted reports whether a monitoring switch is on. Where the policy cannot be read the host is monitored, as by the default policy: to
// monitor too little for a damaged file would be the worse mistake.
func wanted(r host.Reading[policy.Policy]) bool {
	return !r.Known() || r.Value.MonitorFiles || r.Value.MonitorNetwork
}

// forced reports whether the policy wants kernel modules.
func forced(r host.Reading[policy.Policy]) bool {
	return r.Known() && r.Value.Source == policy.SourceModules
}

// ModuleKey is where the policy has the key that signs kernel modules; zero where it names none.
func (f *Facts) ModuleKey() kmod.KeyFiles { return kmod.KeyFiles(f.Policy.Value.ModuleKey) }

// LayoutStore is where layouts of a kernel's structures are found, in the folder of the policy first.
func (f *Facts) LayoutStore() layout.Store { return bpf.LayoutStore(f.Policy.Value.BTFFolder) }

// WantsModules reports whether the policy wants kernel modules, and no eBPF.
func (f *Facts) WantsModules() bool { return forced(f.Policy) }

// bpfSupport asks fault 19 first: a program of an administrator's shell may load what the service's domain may not.
func bpfSupport(f *Facts) monitor.Support {
	if finding := (rule19{}).Check(f); finding.State == fault.Raised {
		return monitor.Support{Known: true, Reason: "fault 19: " + finding.Reason.EN}
	}
	load := f.BPF.Load
	if kernelRefused(f) || f.Daemon && errors.Is(load.Err, selinux.ErrRefused) {
		// The kernel answered, or the process that would monitor asked SELinux, which did.
		return monitor.Support{Known: true, Reason: "the kernel refuses eBPF programs: " + onOneLine(load.Err.Error())}
	}
	return support(load, "the kernel lets eBPF programs load", "the kernel refuses eBPF programs")
}

func support(r host.Reading[bool], yes, no string) monitor.Support {
	switch {
	case r.Err != nil:
		return monitor.Support{Reason: "not known: " + onOneLine(r.Err.Error())}
	case r.Value:
		return monitor.Support{Yes: true, Known: true, Reason: yes}
	}
	return monitor.Support{Known: true, Reason: no}
}
