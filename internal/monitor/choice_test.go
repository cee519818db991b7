package monitor

import "testing"

func TestChoose(t *testing.T) {
	var (
		yes     = Support{Yes: true, Known: true}
		no      = Support{Known: true, Reason: "refused: EPERM"}
		silent  = Support{Known: true}
		unknown = Support{Reason: "needs root"}
		file    = Support{Yes: true, Known: true, Reason: "it is in F"}
		tree    = Support{Yes: true, Known: true, Reason: "they are derived from T"}
	)
	for _, tt := range []struct {
		name string
		in   Inputs
		want Choice
	}{
		{"all there", Inputs{Wanted: true, BPF: yes, BTF: yes, Degraded: yes}, Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"not wanted", Inputs{Wanted: false, BPF: yes, BTF: yes, Degraded: yes}, Choice{NoSource, "both monitoring switches of the policy are off"}},
		{"not wanted and not possible", Inputs{Wanted: false, BPF: no, BTF: no, Degraded: yes}, Choice{NoSource, "both monitoring switches of the policy are off"}},
		{"modules forced, and loaded", Inputs{Wanted: true, Forced: true, Modules: yes, BPF: yes, BTF: yes, Degraded: yes}, Choice{Modules, "the policy wants kernel modules"}},
		{"modules forced, and not known", Inputs{Wanted: true, Forced: true, Modules: unknown, BPF: yes, BTF: yes, Degraded: yes}, Choice{Modules, "the policy wants kernel modules"}},
		{"modules forced, and refused", Inputs{Wanted: true, Forced: true, Modules: no, BPF: yes, BTF: yes, Degraded: yes}, Choice{Degraded, "the policy wants kernel modules; refused: EPERM"}},
		{"modules forced, and not wanted", Inputs{Forced: true, Modules: yes}, Choice{NoSource, "both monitoring switches of the policy are off"}},
		{"modules there, and not forced", Inputs{Wanted: true, Modules: yes, BPF: yes, BTF: yes, Degraded: yes}, Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"refused", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: yes}, Choice{Degraded, "refused: EPERM"}},
		{"refused without a reason", Inputs{Wanted: true, BPF: silent, BTF: yes, Degraded: yes}, Choice{Degraded, "the kernel does not let eBPF programs load"}},
		{"refused comes before no BTF", Inputs{Wanted: true, BPF: no, BTF: silent, Degraded: yes}, Choice{Degraded, "refused: EPERM"}},
		{"no BTF", Inputs{Wanted: true, BPF: yes, BTF: silent, Degraded: yes}, Choice{Degraded, "the kernel offers no BTF"}},
		{"no BTF, and a file", Inputs{Wanted: true, BPF: yes, BTF: silent, External: file, Headers: tree, Degraded: yes}, Choice{EBPFExternalBTF, "the kernel offers no BTF; it is in F"}},
		{"no BTF, and headers", Inputs{Wanted: true, BPF: yes, BTF: silent, External: silent, Headers: tree, Degraded: yes}, Choice{EBPFHeaders, "the kernel offers no BTF; they are derived from T"}},
		{"no BTF, and headers that do not do", Inputs{Wanted: true, BPF: yes, BTF: silent, Headers: no, Degraded: yes}, Choice{Degraded, "the kernel offers no BTF; refused: EPERM"}},
		{"no BTF, and headers that are not known", Inputs{Wanted: true, BPF: yes, BTF: silent, Headers: unknown, Degraded: yes}, Choice{Degraded, "the kernel offers no BTF; needs root"}},
		{"no BTF, headers, eBPF unknown", Inputs{Wanted: true, BPF: unknown, BTF: silent, Headers: tree, Degraded: yes}, Choice{EBPFHeaders, "the kernel offers no BTF; they are derived from T"}},
		{"BTF, and all else", Inputs{Wanted: true, BPF: yes, BTF: yes, External: file, Headers: tree, Degraded: yes}, Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"refused, with headers", Inputs{Wanted: true, BPF: no, BTF: silent, Headers: tree, Degraded: yes}, Choice{Degraded, "refused: EPERM"}},
		{"no BTF, eBPF unknown", Inputs{Wanted: true, BPF: unknown, BTF: silent, Degraded: yes}, Choice{Degraded, "the kernel offers no BTF"}},
		{"refused, and nothing else", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: Support{Known: true, Reason: "no fanotify"}}, Choice{NoSource, "refused: EPERM; no fanotify"}},
		{"refused, and nothing else for no reason", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: silent}, Choice{NoSource, "refused: EPERM; the kernel has no other way to tell of events"}},
		{"refused, and the rest unknown", Inputs{Wanted: true, BPF: no, BTF: yes, Degraded: unknown}, Choice{Degraded, "refused: EPERM"}},
		{"eBPF unknown", Inputs{Wanted: true, BPF: unknown, BTF: yes, Degraded: yes}, Choice{EBPFKernelBTF, "needs root; it is tried"}},
		{"BTF unknown", Inputs{Wanted: true, BPF: yes, Degraded: yes}, Choice{EBPFKernelBTF, "the kernel's BTF could not be read; it is tried"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Choose(tt.in); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
