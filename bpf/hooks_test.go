package bpf

import (
	"slices"
	"testing"
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
