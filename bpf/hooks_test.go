package bpf

import (
	"slices"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// What interrupts a program is left out of it by the kernel, whatever the kernel preempts: where softirqs pass a hook, the second
// program is there to take it.
func TestSecondPrograms(t *testing.T) {
	for _, tt := range []struct {
		program string
		second  bool
		want    []string
	}{
		{"amp_exec", false, []string{"amp_exec"}},
		{"amp_exec", true, []string{"amp_exec", "amp_exec_second"}},
		{"amp_tcp_state", false, []string{"amp_tcp_state", "amp_tcp_state_second"}},
		{"amp_tcp_state", true, []string{"amp_tcp_state", "amp_tcp_state_second"}},
		{"amp_tcp_destroy", true, []string{"amp_tcp_destroy"}},
	} {
		i := slices.IndexFunc(hooks, func(h hook) bool { return h.program == tt.program })
		if i < 0 {
			t.Fatalf("no hook has the program %s", tt.program)
		}
		if got := hooks[i].names(tt.second); !slices.Equal(got, tt.want) {
			t.Errorf("%s, second %t: %v, expected %v", tt.program, tt.second, got, tt.want)
		}
	}
}

// Where the kernel preempts programs, each hook that has a second one has both attached, whichever objects they come from.
func TestSecondProgramsAreAttached(t *testing.T) {
	needsBPF(t)
	s, err := open(t.Context(), monitor.Settings{Kinds: allKinds}, options{name: monitor.EBPFKernelBTF, second: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	twice := 0
	for h := range s.kernel.hooks() {
		got, want := len(s.kernel.links[h.program]), len(h.names(true))
		switch {
		case s.kernel.failed[h.program] != nil, got == 0 && !s.kernel.needed(h, s.applied):
		case got != want:
			t.Errorf("%s: %d programs attached, expected %d", h.program, got, want)
		case want == 2:
			twice++
		}
	}
	if twice == 0 {
		t.Error("no hook has two programs")
	}
	t.Logf("hooks %s: %d have two programs", s.Hooks(), twice)
}
