package bpf

import (
	"slices"

	"github.com/cilium/ebpf"

	"github.com/ampconnector/amp/internal/monitor"
)

// hookSet is one way to get at what happens in the kernel, or several of them.
type hookSet uint8

const (
	fentrySet     hookSet = 1 << iota // fentry and fexit: since 5.5, with the kernel's own BTF and trampolines
	kprobeSet                         // kprobe and kretprobe: CONFIG_KPROBE_EVENTS
	tracepointSet                     // raw tracepoints only: always
	anySet        = fentrySet | kprobeSet | tracepointSet
)

// String is the set's name, as monitor.Source.Hooks has it.
func (s hookSet) String() string {
	switch s {
	case fentrySet:
		return "fentry"
	case kprobeSet:
		return "kprobe"
	case tracepointSet:
		return "tracepoint"
	}
	return "any"
}

// attachment is how a program hangs in the kernel.
type attachment uint8

const (
	toRawTracepoint attachment = iota
	toFentry
	toFexit
	toKprobe
	toKretprobe
)

// hook is one program and where it is attached.
type hook struct {
	object  string // of objects
	program string // name of its C function
	how     attachment
	to      string  // tracepoint or kernel function
	sets    hookSet // in which it is used
	// kinds are those for which it is needed: it is attached if one of them is wanted. 0 stands for "always".
	kinds monitor.Kinds
	// helper: it makes no events, but others of its kinds need what it remembers.
	helper bool
	// counted is the kind of the events that the kernel's recursion misses are; 0 where one cannot tell.
	counted monitor.Kind
	// second is the object that has the second program, named program_second, which takes what the kernel leaves out of the first, events.h.
	// "": there is none.
	second string
	// interrupted: the hook is passed in softirqs too, which interrupt a program as they interrupt all else: the second one is needed
	// whether or not the kernel preempts its own code.
	interrupted bool
	// only, if set, says whether there is a use for it beside kinds.
	only func(*applied) bool
	// essential: without it the source does not open. Otherwise its kinds become a blind spot.
	essential bool
}

// object is a compiled C file.
type object struct {
	name string
	load func() (*ebpf.CollectionSpec, error)
}

// objects are loaded in this order. The maps that several of them have, by name, are made once.
var objects = []object{
	{"process", loadProcess},
	{"process_second", loadProcessSecond},
	{"system_calls", loadSystemCalls},
	{"file_fentry", loadFileFentry},
	{"file_fentry_second", loadFileFentrySecond},
	{"file_kprobe", loadFileKprobe},
	{"file_calls", loadFileCalls},
	{"network_tcp", loadNetworkTCP},
	{"network_udp", loadNetworkUDP},
	{"system", loadSystem},
}

// hooks are all programs. Those of one tracepoint are attached in this order.
var hooks = slices.Concat(processHooks, callHooks, fileHooks, fileCallHooks, networkHooks, systemHooks)

var processHooks = []hook{
	{object: "process", program: "amp_exec", to: "sched_process_exec", sets: anySet, counted: monitor.Exec, second: "process_second", essential: true},
	{object: "process", program: "amp_exit", to: "sched_process_exit", sets: anySet, counted: monitor.Exit, second: "process_second", essential: true},
	{object: "process", program: "amp_fork", to: "sched_process_fork", sets: anySet, helper: true, only: (*applied).heirs},
}
