package monitor

import (
	"testing"

	"github.com/ampconnector/amp/internal/fault"
)

func TestChoose(t *testing.T) {
	var (
		yes     = Support{Yes: true, Known: true}
		no      = Support{Known: true, Reason: fault.Verbatim("refused: EPERM")}
		silent  = Support{Known: true}
		unknown = Support{Reason: fault.Verbatim("needs root")}
		file    = Support{Yes: true, Known: true, Reason: fault.Verbatim("it is in F")}
		tree    = Support{Yes: true, Known: true, Reason: fault.Verbatim("they are derived from T")}
	)
	type because struct {
		source SourceName
		reason string
	}
	for _, tt := range []struct {
		name string
		in   Inputs
		want because
	}{
		{"all there", Inputs{Wanted: true, BPF: yes, BTF: yes, Degraded: yes}, because{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"not wanted", Inputs{Wanted: false, BPF: yes, BTF: yes, Degraded: yes}, because{NoSource, "both monitoring switches of the policy are off"}},
		{"not wanted and not possible", Inputs{Wanted: false, BPF: no, BTF: no, Degraded: yes}, because{NoSource, "both monitoring switches of the policy are off"}},
		{"modules forced, and loaded", Inputs{Wanted: true, Forced: true, Modules: yes, BPF: yes, BTF: yes, Degraded: yes}, because{Modules, "the policy wants kernel modules"}},
		{"modules forced, and not known", Inputs{Wanted: true, Forced: true, Modules: unknown, BPF: yes, BTF: yes, Degraded: yes}, because{Modules, "the policy wants kernel modules"}},
		{"modules forced, and refused", Inputs{Wanted: true, Forced: true, Modules: no, BPF: yes, BTF: yes, Degraded: yes}, because{Degraded, "the policy wants kernel modules; refused: EPERM"}},
		{"modules forced, and not wanted", Inputs{Forced: true, Modules: yes}, because{NoSource, "both monitoring switches of the policy are off"}},
		{"modules there, and not forced", Inputs{Wanted: true, Modules: yes, BPF: yes, BTF: yes, Degraded: yes}, because{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"refused", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: yes}, because{Degraded, "refused: EPERM"}},
		{"refused without a reason", Inputs{Wanted: true, BPF: silent, BTF: yes, Degraded: yes}, because{Degraded, "the kernel does not let eBPF programs load"}},
		{"refused comes before no BTF", Inputs{Wanted: true, BPF: no, BTF: silent, Degraded: yes}, because{Degraded, "refused: EPERM"}},
		{"no BTF", Inputs{Wanted: true, BPF: yes, BTF: silent, Degraded: yes}, because{Degraded, "the kernel offers no BTF"}},
		{"no BTF, and a file", Inputs{Wanted: true, BPF: yes, BTF: silent, External: file, Headers: tree, Degraded: yes}, because{EBPFExternalBTF, "the kernel offers no BTF; it is in F"}},
		{"no BTF, and headers", Inputs{Wanted: true, BPF: yes, BTF: silent, External: silent, Headers: tree, Degraded: yes}, because{EBPFHeaders, "the kernel offers no BTF; they are derived from T"}},
		{"no BTF, and headers that do not do", Inputs{Wanted: true, BPF: yes, BTF: silent, Headers: no, Degraded: yes}, because{Degraded, "the kernel offers no BTF; refused: EPERM"}},
		{"no BTF, and headers that are not known", Inputs{Wanted: true, BPF: yes, BTF: silent, Headers: unknown, Degraded: yes}, because{Degraded, "the kernel offers no BTF; needs root"}},
		{"no BTF, headers, eBPF unknown", Inputs{Wanted: true, BPF: unknown, BTF: silent, Headers: tree, Degraded: yes}, because{EBPFHeaders, "the kernel offers no BTF; they are derived from T"}},
		{"BTF, and all else", Inputs{Wanted: true, BPF: yes, BTF: yes, External: file, Headers: tree, Degraded: yes}, because{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"refused, with headers", Inputs{Wanted: true, BPF: no, BTF: silent, Headers: tree, Degraded: yes}, because{Degraded, "refused: EPERM"}},
		{"no BTF, eBPF unknown", Inputs{Wanted: true, BPF: unknown, BTF: silent, Degraded: yes}, because{Degraded, "the kernel offers no BTF"}},
		{"refused, and nothing else", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: Support{Known: true, Reason: fault.Verbatim("no fanotify")}}, because{NoSource, "refused: EPERM; no fanotify"}},
		{"refused, and nothing else for no reason", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: silent}, because{NoSource, "refused: EPERM; the kernel has no other way to tell of events"}},
		{"refused, and the rest unknown", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: unknown}, because{Degraded, "refused: EPERM"}},
		{"eBPF unknown", Inputs{Wanted: true, BPF: unknown, BTF: yes, Degraded: yes}, because{EBPFKernelBTF, "needs root; it is tried"}},
		{"BTF unknown", Inputs{Wanted: true, BPF: yes, Degraded: yes}, because{EBPFKernelBTF, "the kernel's BTF could not be read; it is tried"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Choose(tt.in)
			if (because{got.Source, got.Reason.EN}) != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got.Reason.JA == "" || got.Reason.JA == got.Reason.EN && got.Reason != no.Reason {
				t.Errorf("the reason is %q, and in Japanese %q", got.Reason.EN, got.Reason.JA)
			}
		})
	}
}
