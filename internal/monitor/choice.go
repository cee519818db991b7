package monitor

import "github.com/ampconnector/amp/internal/fault"

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
	Reason fault.Text
}

// Choice is a source and why it was chosen, for a person.
type Choice struct {
	Source SourceName
	Reason fault.Text
}

// Choose is a pure function: the same inputs give the same source. What is not known is tried: a source that then cannot be opened, or
// whose canary does not come, says so, while a source that was not tried is blind without a reason.
func Choose(in Inputs) Choice {
	switch {
	case !in.Wanted:
		return Choice{NoSource, reasonOff}
	case in.Forced && in.Modules.no():
		return in.reduced(reasonForced, in.Modules.because(reasonNotLoaded))
	case in.Forced:
		return Choice{Modules, reasonForced}
	case in.BPF.no():
		return in.reduced(in.BPF.because(reasonNoBPF))
	case in.BTF.no():
		return in.withoutBTF()
	case !in.BPF.Known:
		return Choice{EBPFKernelBTF, reasons(in.BPF.because(reasonBPFUnknown), reasonTried)}
	case !in.BTF.Known:
		return Choice{EBPFKernelBTF, reasons(in.BTF.because(reasonBTFUnknown), reasonTried)}
	}
	return Choice{EBPFKernelBTF, reasonAll}
}

// Reasons of a choice, beside those that the answers bring.
var (
	reasonOff        = fault.Text{EN: "both monitoring switches of the policy are off", JA: "ポリシーで両方の監視が無効になっています"}
	reasonForced     = fault.Text{EN: "the policy wants kernel modules", JA: "ポリシーでカーネルモジュールが指定されています"}
	reasonNotLoaded  = fault.Text{EN: "they are not loaded", JA: "モジュールが読み込まれていません"}
	reasonNoBPF      = fault.Text{EN: "the kernel does not let eBPF programs load", JA: "カーネルが eBPF プログラムの読み込みを許可しません"}
	reasonBPFUnknown = fault.Text{EN: "eBPF could not be probed", JA: "eBPF を確認できませんでした"}
	reasonBTFUnknown = fault.Text{EN: "the kernel's BTF could not be read", JA: "カーネルの BTF を読み取れませんでした"}
	reasonTried      = fault.Text{EN: "it is tried", JA: "使用を試みます"}
	reasonAll        = fault.Text{EN: "the kernel offers BTF and lets eBPF programs load", JA: "カーネルが BTF を提供し、eBPF プログラムの読み込みを許可しています"}
	reasonNoBTF      = fault.Text{EN: "the kernel offers no BTF", JA: "カーネルが BTF を提供していません"}
	reasonFile       = fault.Text{EN: "a file has it", JA: "BTF のファイルがあります"}
	reasonHeaders    = fault.Text{EN: "its headers have the layouts of its structures", JA: "ヘッダーから構造体のレイアウトが得られます"}
	reasonNothing    = fault.Text{EN: "the kernel has no other way to tell of events", JA: "カーネルにはイベントを取得する他の手段がありません"}
)

// reasons are several as one.
func reasons(all ...fault.Text) fault.Text { return fault.Join(all, fault.Text{EN: "; ", JA: "。"}) }

// withoutBTF is the choice for a kernel that does not offer its own. A file or a tree that is not known to be there is not tried: there is nothing
// to try. Why a file that is there is not used stands before what is used in its place.
func (in Inputs) withoutBTF() Choice {
	why := []fault.Text{in.BTF.because(reasonNoBTF)}
	if in.External.Yes {
		return Choice{EBPFExternalBTF, reasons(append(why, in.External.because(reasonFile))...)}
	}
	if in.External.Reason != (fault.Text{}) {
		why = append(why, in.External.Reason)
	}
	if in.Headers.Yes {
		return Choice{EBPFHeaders, reasons(append(why, in.Headers.because(reasonHeaders))...)}
	}
	if in.Headers.Reason != (fault.Text{}) {
		why = append(why, in.Headers.Reason)
	}
	return in.reduced(why...)
}

// reduced is the choice where there are reasons against each full source.
func (in Inputs) reduced(against ...fault.Text) Choice {
	if in.Degraded.no() {
		return Choice{NoSource, reasons(append(against, in.Degraded.because(reasonNothing))...)}
	}
	return Choice{Degraded, reasons(against...)}
}

func (s Support) no() bool { return s.Known && !s.Yes }

func (s Support) because(otherwise fault.Text) fault.Text {
	if s.Reason == (fault.Text{}) {
		return otherwise
	}
	return s.Reason
}
