package bpf

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// eachProgram calls f with all programs of all objects, anew.
func eachProgram(t *testing.T, f func(name string, p *ebpf.ProgramSpec)) {
	t.Helper()
	for _, o := range objects {
		spec, err := o.load()
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range spec.Programs {
			f(name, p)
		}
	}
}

// What is left of a program without callbacks has all functions that it calls, and no pointer to one.
func TestWithoutCallbacks(t *testing.T) {
	taken := 0
	eachProgram(t, func(name string, p *ebpf.ProgramSpec) {
		before := functions(p.Instructions)
		left := withoutCallbacks(p.Instructions)
		after := functions(left)
		taken += len(before) - len(after)
		for i := range left {
			switch ins := &left[i]; {
			case ins.IsLoadOfFunctionPointer():
				t.Errorf("%s: instruction %d still points to %s", name, i, ins.Reference())
			case ins.IsFunctionCall() && !slices.Contains(after, ins.Reference()):
				t.Errorf("%s: instruction %d calls %s, which is not there (there are %q)", name, i, ins.Reference(), after)
			}
		}
		if left.Name() != name {
			t.Errorf("%s begins with %s", name, left.Name())
		}
	})
	if taken == 0 {
		t.Error("no program has a callback: what is withoutCallbacks for?")
	}
}

// functions are the names of a program's, its own first.
func functions(program asm.Instructions) []string {
	var names []string
	for i := range program {
		if btf.FuncMetadata(&program[i]) != nil {
			names = append(names, program[i].Symbol())
		}
	}
	return names
}

// A program without casts asks nothing of the kernel's functions, and has all that it had else: a jump that was right still is.
func TestWithoutCasts(t *testing.T) {
	taken := 0
	eachProgram(t, func(name string, p *ebpf.ProgramSpec) {
		calls, size, had := len(kernelCalls(p.Instructions)), p.Instructions.Size(), functions(p.Instructions)
		withoutCasts(p.Instructions)
		if left := kernelCalls(p.Instructions); len(left) > 0 {
			t.Errorf("%s still calls %q", name, left)
		}
		if got := p.Instructions.Size(); got != size {
			t.Errorf("%s has %d bytes, and had %d", name, got, size)
		}
		if got := functions(p.Instructions); p.Instructions.Name() != name || !slices.Equal(got, had) {
			t.Errorf("%s has the functions %q, and had %q", name, got, had)
		}
		taken += calls
	})
	if taken == 0 {
		t.Error("no program casts: what is withoutCasts for?")
	}
}

// kernelCalls are the names of the kernel's own functions that a program calls.
func kernelCalls(program asm.Instructions) []string {
	var names []string
	for i := range program {
		if program[i].IsKfuncCall() {
			names = append(names, program[i].Reference())
		}
	}
	return names
}
