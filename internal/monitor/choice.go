package monitor

// Inputs is all that the choice of a source depends on. internal/health fills it from facts and policy.
type Inputs struct {
	Wanted bool // a monitoring switch is on
	BPF    Support
	BTF    Support // the kernel's own
	// Degraded is no only where the kernel has none of its parts; a part that is missing is a blind spot.
	Degraded Support
}

// Support is a three-valued answer with the reason in words.
type Support struct {
	Yes    bool
	Known  bool
	Reason string
}

// Choice is a source and why it was chosen, for a person.
type Choice struct {
	Source SourceName
	Reason string
}

// Choose is a pure function: the same inputs give the same source. What is not known is tried: a source that then cannot be opened, or
// whose canary does not come, says so, while a source that was not tried is blind without a reason.
func Choose(in Inputs) Choice {
	switch {
	case !in.Wanted:
		return Choice{NoSource, "both monitoring switches of the policy are off"}
	case in.BPF.no():
		return in.reduced(in.BPF.because("the kernel does not let eBPF programs load"))
	case in.BTF.no():
		return in.reduced(in.BTF.because("the kernel offers no BTF"))
	case !in.BPF.Known:
		return Choice{EBPFKernelBTF, in.BPF.because("eBPF could not be probed") + "; it is tried"}
	case !in.BTF.Known:
		return Choice{EBPFKernelBTF, in.BTF.because("the kernel's BTF could not be read") + "; it is tried"}
	}
	return Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}
}

// reduced is the choice where there is a reason against each full source.
func (in Inputs) reduced(reason string) Choice {
	if in.Degraded.no() {
		return Choice{NoSource, reason + "; " + in.Degraded.because("the kernel has no other way to tell of events")}
	}
	return Choice{Degraded, reason}
}

func (s Support) no() bool { return s.Known && !s.Yes }

func (s Support) because(otherwise string) string {
	if s.Reason == "" {
		return otherwise
	}
	return s.Reason
}
