package monitor

// Inputs is all that the choice of a source depends on. internal/health fills it from facts and policy.
type Inputs struct {
	Wanted bool // a monitoring switch is on
	// Forced says that the policy wants modules and no eBPF. Modules is yes where they are loaded.
	Forced  bool
	Modules Support
	BPF     Support
	BTF     Support // the kernel's own
	// External and Headers are other ways to the layouts of the kernel's structures: a file with its BTF, and what is derived from its header
	// tree. Their reasons name the file and the tree.
	External, Headers Support
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
	case in.Forced && in.Modules.no():
		return in.reduced("the policy wants kernel modules; " + in.Modules.because("they are not loaded"))
	case in.Forced:
		return Choice{Modules, "the policy wants kernel modules"}
	case in.BPF.no():
		return in.reduced(in.BPF.because("the kernel does not let eBPF programs load"))
	case in.BTF.no():
		return in.withoutBTF()
	case !in.BPF.Known:
		return Choice{EBPFKernelBTF, in.BPF.because("eBPF could not be probed") + "; it is tried"}
	case !in.BTF.Known:
		return Choice{EBPFKernelBTF, in.BTF.because("the kernel's BTF could not be read") + "; it is tried"}
	}
	return Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}
}

// withoutBTF is the choice for a kernel that does not offer its own. A file or a tree that is not known to be there is not tried: there is nothing
// to try.
func (in Inputs) withoutBTF() Choice {
	reason := in.BTF.because("the kernel offers no BTF")
	switch {
	case in.External.Yes:
		return Choice{EBPFExternalBTF, reason + "; " + in.External.because("a file has it")}
	case in.Headers.Yes:
		return Choice{EBPFHeaders, reason + "; " + in.Headers.because("its headers have the layouts of its structures")}
	case in.Headers.Reason != "":
		reason += "; " + in.Headers.Reason
	}
	return in.reduced(reason)
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
