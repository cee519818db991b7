// Package bpf is the eBPF event source: the programs (programs/, headers/), their loading, the decoding of their records, and
// the question to the kernel whether it lets such programs load. It knows processes; it judges no fault.
package bpf

import "github.com/ampconnector/amp/internal/host"

// Facts is what is known of eBPF on a host.
type Facts struct {
	KernelBTF host.Reading[bool] // /sys/kernel/btf/vmlinux can be read and parsed
	// Load is the result of loading, for real, a small program that reads what ours read, by the calling process. Err is the kernel's
	// errno as it is: EPERM under SELinux is fault 19, EPERM under lockdown is not, and this package does not say which. Where
	// nothing was tried (GatherUntried), it is the caller's reason.
	Load host.Reading[bool]
	// Layouts are where a kernel's layouts are that offers no BTF: see FindLayouts.
	Layouts host.Reading[Layouts]
}
