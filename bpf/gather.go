package bpf

import (
	"context"

	"github.com/ampconnector/amp/internal/host"
)

// probed is where the answer to Load comes from.
const probed = "bpf(2)"

// Gather reads what the host at r says of eBPF. The program is loaded by the calling process, with its rights and in its SELinux
// domain: only the daemon's own answer is the daemon's. It takes a few milliseconds and leaves nothing in the kernel.
func Gather(ctx context.Context, r host.Root) Facts {
	return Facts{
		KernelBTF: kernelBTF(r),
		Load:      load(ctx, r),
	}
}

// GatherUntried is Gather without a system call of bpf(2), for a process of which it is known beforehand that it will be refused: each
// attempt would leave a denial in the audit log. What only an attempt tells is not known, because of why.
func GatherUntried(r host.Root, why error) Facts {
	return Facts{
		KernelBTF: kernelBTF(r),
		Load:      host.NotKnown[bool](probed, why),
	}
}

func load(ctx context.Context, r host.Root) host.Reading[bool] {
	if !r.Live() {
		return host.NotKnown[bool](probed, host.ErrNotRunning)
	}
	if err := ctx.Err(); err != nil {
		return host.NotKnown[bool](probed, err)
	}
	if err := probe(); err != nil {
		return host.NotKnown[bool](probed, err)
	}
	return host.Read(true, probed)
}
