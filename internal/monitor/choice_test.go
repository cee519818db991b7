package monitor

import "testing"

func TestChoose(t *testing.T) {
	var (
		yes     = Support{Yes: true, Known: true}
		no      = Support{Known: true, Reason: "refused: EPERM"}
		silent  = Support{Known: true}
		unknown = Support{Reason: "needs root"}
	)
	for _, tt := range []struct {
		name string
		in   Inputs
		want Choice
	}{
		{"all there", Inputs{true, yes, yes, yes}, Choice{EBPFKernelBTF, "the kernel offers BTF and lets eBPF programs load"}},
		{"not wanted", Inputs{false, yes, yes, yes}, Choice{NoSource, "both monitoring switches of the policy are off"}},
		{"not wanted and not possible", Inputs{false, no, no, yes}, Choice{NoSource, "both monitoring switches of the policy are off"}},
		{"refused", Inputs{true, no, yes, yes}, Choice{Degraded, "refused: EPERM"}},
		{"refused without a reason", Inputs{true, silent, yes, yes}, Choice{Degraded, "the kernel does not let eBPF programs load"}},
		{"refused comes before no BTF", Inputs{true, no, silent, yes}, Choice{Degraded, "refused: EPERM"}},
		{"no BTF", Inputs{true, yes, silent, yes}, Choice{Degraded, "the kernel offers no BTF"}},
		{"no BTF, eBPF unknown", Inputs{true, unknown, silent, yes}, Choice{Degraded, "the kernel offers no BTF"}},
		{"refused, and nothing else", Inputs{true, no, yes, Support{Known: true, Reason: "no fanotify"}}, Choice{NoSource, "refused: EPERM; no fanotify"}},
		{"refused, and nothing else for no reason", Inputs{true, no, yes, silent}, Choice{NoSource, "refused: EPERM; the kernel has no other way to tell of events"}},
		{"refused, and the rest unknown", Inputs{true, no, yes, unknown}, Choice{Degraded, "refused: EPERM"}},
		{"eBPF unknown", Inputs{true, unknown, yes, yes}, Choice{EBPFKernelBTF, "needs root; it is tried"}},
		{"BTF unknown", Inputs{true, yes, Support{}, yes}, Choice{EBPFKernelBTF, "the kernel's BTF could not be read; it is tried"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Choose(tt.in); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
