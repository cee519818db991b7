package health

import "testing"

func TestOnOneLine(t *testing.T) {
	for words, want := range map[string]string{
		"operation not permitted": "operation not permitted",
		"":                        "",
		// Of a kernel that is locked down, as it was seen.
		"invalid argument; the verifier's last lines:\n\t5: (b7) r2 = 8\n\t6: (85) call bpf_probe_read#4\n\tunknown func bpf_probe_read#4\n\tprocessed 7 insns (limit 1000000) max_states_per_insn 0": "invalid argument: unknown func bpf_probe_read#4",
		"load amp_exec: no BTF\nload amp_exit: no BTF": "load amp_exec: no BTF: load amp_exit: no BTF",
		"processed 7 insns":                            "processed 7 insns",
	} {
		if got := onOneLine(words); got != want {
			t.Errorf("%q: %q, expected %q", words, got, want)
		}
	}
}
