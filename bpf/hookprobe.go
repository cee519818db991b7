package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// probedFunction is the kernel function on which probeHooks hangs an empty program for a moment. It exists under this name on all kernels that have BPF.
const probedFunction = "vfs_unlink"

// probeHooks finds the best hook set by attaching a program of each kind. Trampolines find their functions in the kernel's own BTF, so
// that with other layouts they are out of the question. The kernel's types, where they are read, are left in the cache.
func probeHooks(types *btf.Spec, cache *btf.Cache) hookSet {
	switch {
	case types == nil && attaches(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: probedFunction}, cache, func(p *ebpf.Program) (link.Link, error) {
		return link.AttachTracing(link.TracingOptions{Program: p})
	}):
		return fentrySet
	case attaches(&ebpf.ProgramSpec{Type: ebpf.Kprobe}, cache, func(p *ebpf.Program) (link.Link, error) {
		return link.Kprobe(probedFunction, p, nil)
	}):
		return kprobeSet
	}
	return tracepointSet
}

// attaches reports whether a program of the type does. Why it does not is of no matter: the next set may, and the last one says so itself.
func attaches(spec *ebpf.ProgramSpec, cache *btf.Cache, attach func(*ebpf.Program) (link.Link, error)) bool {
	const name = "amp_probe"
	spec.Name, spec.License = name, "Dual BSD/GPL"
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	var c *ebpf.Collection
	err := withMemlock(func() (err error) {
		one := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{name: spec}}
		c, err = ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Cache: cache}) // NewProgram takes no cache
		return err
	})
	if err != nil {
		return false
	}
	l, err := attach(c.Programs[name])
	if err != nil {
		c.Close()
		return false
	}
	// The kernel takes its time to let go of a trampoline: it waits until no task can be in it, 0.3 s of idling in a guest. What is loaded meanwhile
	// hangs on other functions' trampolines or waits for the same lock.
	go func() {
		l.Close()
		c.Close()
	}()
	return true
}
