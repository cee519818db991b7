package bpf

import (
	"context"

	"github.com/ampconnector/amp/internal/host"
)

// Gather reads what the host at r says of eBPF. The program is loaded by the calling process, with its rights and in its SELinux
// domain: only the daemon's own answer is the daemon's. It takes a few milliseconds and leaves nothing in the kernel.
func Gather(ctx context.Context, r host.Root) Facts {
	return Facts{
		KernelBTF: kernelBTF(r),
		Load:      load(ctx, r),
	}
}

func load(ctx context.Context, r host.Root) host.Reading[bool] {
	const from = "bpf(2)"
	if !r.Live() {
		return host.NotKnown[bool](from, host.ErrNotRunning)
	}
	if err := ctx.Err(); err != nil {
		return host.NotKnown[bool](from, err)
	}
	if err := probe(); err != nil {
		return host.NotKnown[bool](from, err)
	}
	return host.Read(true, from)
}
