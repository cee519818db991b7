package monitor

import "context"

// SourceName names a way to get events from the kernel, best first.
type SourceName string

const (
	EBPFKernelBTF   SourceName = "ebpf"          // eBPF with the kernel's own BTF
	EBPFExternalBTF SourceName = "ebpf-external" // eBPF with a matching BTF file
	EBPFHeaders     SourceName = "ebpf-headers"  // eBPF with layouts derived from the header package
	Modules         SourceName = "modules"       // ampfsm, ampnetworkflow
	Degraded        SourceName = "degraded"      // fanotify, process connector, sock_diag
	NoSource        SourceName = "none"          // nothing is monitored
)

// Loss counts events by what became of them, since the source was opened.
type Loss struct {
	Handled uint64 // given to the handler
	Lost    uint64 // seen by the kernel part, not given to the handler
}

// Source delivers events until it is closed.
type Source interface {
	Name() SourceName
	// Run calls handle for each event, from one goroutine, until ctx ends or Close is called. It returns nil then.
	Run(ctx context.Context, handle func(*Event)) error
	// Loss may be called at any time.
	Loss() (Loss, error)
	// Close detaches from the kernel. It may be called more than once.
	Close() error
}
