package health

import (
	"errors"
	"syscall"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

// Choose picks the event source for a host from its facts. It is used alike by the installer, the daemon and remedies.
func Choose(f *Facts) monitor.Choice { return monitor.Choose(inputs(f)) }

func inputs(f *Facts) monitor.Inputs {
	return monitor.Inputs{
		Wanted: wanted(f.Policy),
		BPF:    bpfSupport(f),
		BTF:    support(f.BPF.KernelBTF, "the kernel offers BTF", "the kernel offers no BTF"),

		Degraded: f.Degraded,
	}
}

// wanted reports whether a monitoring switch is on. Where the policy cannot be read the host is monitored, as by the default policy: to
// monitor too little for a damaged file would be the worse mistake.
func wanted(r host.Reading[policy.Policy]) bool {
	return !r.Known() || r.Value.MonitorFiles || r.Value.MonitorNetwork
}

// bpfSupport asks fault 19 first: a program of an administrator's shell may load what the service's domain may not.
func bpfSupport(f *Facts) monitor.Support {
	if finding := (rule19{}).Check(f); finding.State == fault.Raised {
		return monitor.Support{Known: true, Reason: "fault 19: " + finding.Reason.EN}
	}
	load := f.BPF.Load
	var errno syscall.Errno
	if f.Daemon && (errors.As(load.Err, &errno) || errors.Is(load.Err, selinux.ErrRefused)) {
		// The process that would monitor tried, or asked, and the kernel answered.
		return monitor.Support{Known: true, Reason: "the kernel refuses eBPF programs: " + load.Err.Error()}
	}
	return support(load, "the kernel lets eBPF programs load", "the kernel refuses eBPF programs")
}

func support(r host.Reading[bool], yes, no string) monitor.Support {
	switch {
	case r.Err != nil:
		return monitor.Support{Reason: "not known: " + r.Err.Error()}
	case r.Value:
		return monitor.Support{Yes: true, Known: true, Reason: yes}
	}
	return monitor.Support{Known: true, Reason: no}
}
