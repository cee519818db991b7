package bpf

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
)

// lacksLoop reports whether the kernel is known to have no bpf_loop (5.17, e6f2dd0f8067). The programs have loops of their own for it
// (headers/loop.h).
func lacksLoop() bool {
	err := withMemlock(func() error { return features.HaveProgramHelper(ebpf.RawTracepoint, asm.FnLoop) })
	return errors.Is(err, ebpf.ErrNotSupported)
}

// withoutCallbacks returns a program without the functions that it only has pointers to, and with 0 in place of those: kernels before 5.13
// refuse a program that has any, even where it never comes to that.
func withoutCallbacks(program asm.Instructions) asm.Instructions {
	callbacks := map[string]bool{}
	for i := range program {
		if program[i].IsLoadOfFunctionPointer() {
			callbacks[program[i].Reference()] = true
		}
	}
	var out asm.Instructions
	in := ""
	for _, ins := range program {
		if btf.FuncMetadata(&ins) != nil {
			in = ins.Symbol()
		}
		if callbacks[in] {
			continue
		}
		if ins.IsLoadOfFunctionPointer() {
			ins = asm.LoadImm(ins.Dst, 0, asm.DWord).WithMetadata(ins.Metadata).WithReference("")
		}
		out = append(out, ins)
	}
	return out
}
