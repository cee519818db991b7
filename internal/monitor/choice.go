package monitor

// Inputs is all that the choice of a source depends on. internal/health fills it from facts and policy.
type Inputs struct {
	Wanted bool // a monitoring switch is on
	BPF    Support
	BTF    Support // the kernel's own
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

// Choose is a pure function: the same inputs give the same source.
func Choose(in Inputs) Choice {
	switch {
	case !in.Wanted:
		return Choice{NoSource, "both monitoring switches of the policy are off"}
	case in.BPF.Known && !in.BPF.Yes:
		return Choice{NoSource, in.BPF.Reason}
	case in.BTF.Known && !in.BTF.Yes:
		return Choice{NoSource, in.BTF.Reason}
	}
	return Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}
}
