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
		BTF: support(f.BPF.KernelBTF, supportBTF, supportNoBTF),

		Degraded: f.Degraded,
	}
	in.External, in.Headers = layoutSupport(f.BPF.Layouts)
	return in
}

// layoutSupport says whether a file, or the headers, have the layouts of the kernel's structures. That they could be derived counts: whether that
// works is seen when it is done.
func layoutSupport(r host.Reading[bpf.Layouts]) (external, headers monitor.Support) {
	if !r.Known() {
		return external, monitor.Support{Reason: supportNoLayouts.With(r.Err)}
	}
	yes := monitor.Support{Yes: true, Known: true}
	if passed := r.Value.Passed; len(passed) > 0 { // the first: it is the one that the policy or an administrator meant, if any is
		external = monitor.Support{Known: true, Reason: supportPassed.With(passed[0].From, WhyNoLayouts(passed[0]))}
	}
	switch f := r.Value; f.Origin {
	case layout.External:
		yes.Reason = supportFile.With(f.From)
		return yes, headers
	case layout.Cached, layout.Derived:
		yes.Reason = supportDerived.With(f.From)
		return external, yes
	default: // where there is BTF, nothing was looked for, and there is no reason
		if f.Reason != nil {
			headers.Known = true
			headers.Reason = supportNotDerived.With(f.Reason.From, WhyNoLayouts(f.Reason))
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
		return monitor.Support{Known: true, Reason: supportFault.With(19, finding.Reason)}
	}
	load := f.BPF.Load
	if kernelRefused(f) || f.Daemon && errors.Is(load.Err, selinux.ErrRefused) {
		// The kernel answered, or the process that would monitor asked SELinux, which did.
		return monitor.Support{Known: true, Reason: supportRefused.With(supportNoBPF, onOneLine(load.Err.Error()))}
	}
	return support(load, supportBPF, supportNoBPF)
}

// Reasons for and against a source.
var (
	supportBTF        = fault.Text{EN: "the kernel offers BTF", JA: "カーネルが BTF を提供しています"}
	supportNoBTF      = fault.Text{EN: "the kernel offers no BTF", JA: "カーネルが BTF を提供していません"}
	supportNoLayouts  = fault.Text{EN: "its layouts are not known: %v", JA: "構造体のレイアウトが不明です: %v"}
	supportFile       = fault.Text{EN: "it is in %s", JA: "BTF は %s にあります"}
	supportPassed     = fault.Text{EN: "%s is not used: %s", JA: "%s は使用しません: %s"}
	supportDerived    = fault.Text{EN: "the layouts of its structures are derived from %s", JA: "構造体のレイアウトを %s から導出しています"}
	supportNotDerived = fault.Text{EN: "layouts of its structures from %s: %s", JA: "%s からの構造体のレイアウト: %s"}
	supportFault      = fault.Text{EN: "fault %d: %s", JA: "フォールト %d: %s"}
	supportBPF        = fault.Text{EN: "the kernel lets eBPF programs load", JA: "カーネルが eBPF プログラムの読み込みを許可しています"}
	supportNoBPF      = fault.Text{EN: "the kernel refuses eBPF programs", JA: "カーネルが eBPF プログラムを拒否しています"}
	supportRefused    = fault.Text{EN: "%s: %s", JA: "%s: %s"}
	supportUnknown    = fault.Text{EN: "not known: %s", JA: "不明: %s"}
)

func support(r host.Reading[bool], yes, no fault.Text) monitor.Support {
	switch {
	case r.Err != nil:
		return monitor.Support{Reason: supportUnknown.With(onOneLine(r.Err.Error()))}
	case r.Value:
		return monitor.Support{Yes: true, Known: true, Reason: yes}
	}
	return monitor.Support{Known: true, Reason: no}
}
