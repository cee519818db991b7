package bpf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
)

// fit has programs do things in the cheapest way that the kernel has. types are the layouts that they will be relocated with, nil for the
// kernel's own, which are in the cache. lines: the programs keep the lines of their source, which the verifier's log tells of them.
func fit(spec *ebpf.CollectionSpec, types *btf.Spec, cache *btf.Cache, lines bool) error {
	if lacks(asm.FnLoop) {
		for _, p := range spec.Programs {
			p.Instructions = withoutCallbacks(p.Instructions)
		}
	}
	casts := types == nil && hasCast(cache)
	if !casts {
		for _, p := range spec.Programs {
			withoutCasts(p.Instructions)
		}
	}
	typed := casts || types == nil && !lacks(asm.FnGetCurrentTaskBtf) && !distrusts(cache)
	fronts := !casts && hasFront(types, cache)
	for name, on := range map[string]bool{"casts": casts, "typed": typed, "fronts": fronts} { // headers/typed.h and file.h
		if v := spec.Variables[name]; v != nil && on {
			if err := v.Set(uint32(1)); err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	dead := newDeadCode(constantsOf(spec), lines)
	for _, p := range spec.Programs {
		p.Instructions = dead.withoutDead(p.Instructions)
	}
	return nil
}

// inodeFront is AMP_INODE_FRONT of headers/events.h, in bytes, and inodeMembers are what the programs expect in it.
const inodeFront = 136

var inodeMembers = []string{"i_mode", "i_uid", "i_gid", "i_sb", "i_ino", "i_size"}

// changeMembers, the programs expect there too: a kernel has one or two of them (before 6.6, until 6.10, since 6.11).
var changeMembers = []string{"i_ctime", "__i_ctime", "i_ctime_sec", "i_ctime_nsec"}

// hasFront reports whether the front of an inode is known to hold what the programs read of it, in types or, if they are nil, in the kernel's own.
func hasFront(types *btf.Spec, cache *btf.Cache) bool {
	if types == nil {
		kernel, err := cache.Kernel()
		if err != nil {
			return false
		}
		types = kernel
	}
	var inode *btf.Struct
	return types.TypeByName("inode", &inode) == nil && inFront(inode.Members)
}

// inFront reports whether an inode's members that the programs read are all there, and in its front. Where members are in random order they are in
// a structure without a name, and not found: nothing is gained there.
func inFront(members []btf.Member) bool {
	n, change := 0, false
	for _, m := range members {
		switch {
		case slices.Contains(inodeMembers, m.Name):
			n++
		case slices.Contains(changeMembers, m.Name):
			change = true
		default:
			continue
		}
		if size, err := btf.Sizeof(m.Type); err != nil || int(m.Offset.Bytes())+size > inodeFront {
			return false
		}
	}
	return n == len(inodeMembers) && change
}

// cast is a function of the kernel that gives an address a type to read it by, since 6.2.
const cast = "bpf_rdonly_cast"

// hasCast reports whether the kernel is known to have it.
func hasCast(cache *btf.Cache) bool {
	kernel, err := cache.Kernel()
	if err != nil {
		return false
	}
	var fn *btf.Func
	return kernel.TypeByName(cast, &fn) == nil
}

// withoutCasts puts 0 in place of what a cast gives, in programs that will not come to it. The library would do so too, as the function is
// weak, but would look for it in all modules of the kernel first, for each call anew: that made loading four times as long.
func withoutCasts(program asm.Instructions) {
	for i := range program {
		ins := &program[i]
		if ins.IsKfuncCall() && ins.Reference() == cast {
			*ins = asm.Mov.Imm(asm.R0, 0).WithSymbol(ins.Symbol()).WithSource(ins.Source())
		}
	}
}

// distrusts reports whether the verifier asks of each pointer that is loaded whether it can be trusted (seen with 6.12 and 6.18, not with 6.1). It
// searches all types of the kernel for the answer, several times: loading the programs took 1.8 s in place of 0.5.
func distrusts(cache *btf.Cache) bool {
	kernel, err := cache.Kernel()
	if err != nil {
		return true
	}
	_, err = kernel.AnyTypesByName("task_struct__safe_rcu")
	return err == nil
}

// lacks reports whether the kernel is known not to have a helper: bpf_loop came with 5.17, bpf_get_current_task_btf with 5.11.
func lacks(helper asm.BuiltinFunc) bool {
	err := withMemlock(func() error { return features.HaveProgramHelper(ebpf.RawTracepoint, helper) })
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
