package health

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/degraded"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

// Options says what is looked at.
type Options struct {
	Root   string // directory that stands for /; "" and "/" are the running host
	Kernel string // release to judge; "" is the running kernel, or the only one of an image
	Daemon bool   // the daemon asks: it is a connector itself, and what bpf(2) answers is an answer to it
}

// Gather reads the facts once, each room what it knows. What could not be read is an Err in its Reading; Gather itself has no error.
func Gather(ctx context.Context, o Options) *Facts {
	r := host.At(o.Root)
	f := &Facts{At: time.Now(), Daemon: o.Daemon}
	f.Host = host.Gather(ctx, r, host.Options{Kernel: o.Kernel})
	f.Connector, f.Found = pickConnector(f.Host.Connectors, o.Daemon)
	f.SELinux = selinux.Gather(ctx, r, selinux.Options{Unit: f.Connector.Unit, Binary: f.Connector.Binary, Needs: needs(f)})
	f.BPF = gatherBPF(ctx, r, f.SELinux)
	f.Policy = readPolicy(r, f.Connector.PolicyFile)
	f.BPF.Layouts = bpf.FindLayouts(r, f.LayoutStore(), f.BPF.KernelBTF, f.Host.Kernel)
	if !fits(f) {
		f.Kernels, f.BootLoader = host.InstalledKernels(r), host.BootLoaderOf(r)
	}
	f.Modules = kmod.Gather(r)
	f.Degraded = probeDegraded(ctx, r, f)
	if !f.Connector.Vendor {
		f.Exclusions = readExclusions(r, policy.ExclusionPath)
	}
	if !o.Daemon {
		f.Monitoring, f.Scanning = askDaemon(ctx, r, control.Socket)
		f.Changes = changes(r, f)
	}
	return f
}

// gatherBPF asks SELinux first, for the domain of this very process. As long as it refuses bpf(2), to try each time would fill the audit
// log; the question itself leaves nothing there.
func gatherBPF(ctx context.Context, r host.Root, se selinux.Facts) bpf.Facts {
	if err := se.Refusal(); r.Live() && err != nil {
		return bpf.GatherUntried(r, err)
	}
	return bpf.Gather(ctx, r)
}

// Why the degraded source was not asked for.
var (
	probeNotRunning = fault.Text{EN: host.ErrNotRunning.Error(), JA: "このホストは動作していません"}
	probeModules    = fault.Text{EN: "not asked for, since the kernel modules are loaded", JA: "カーネルモジュールが読み込まれているため、確認していません"}
	probeBPF        = fault.Text{EN: "not asked for, since eBPF works", JA: "eBPF が動作しているため、確認していません"}
)

// probeDegraded asks for what the degraded source needs, where it may be needed.
func probeDegraded(ctx context.Context, r host.Root, f *Facts) monitor.Support {
	switch b := f.BPF; {
	case !r.Live():
		return monitor.Support{Reason: probeNotRunning}
	case forced(f.Policy) && f.Modules.Support().Yes:
		return monitor.Support{Reason: probeModules}
	case !forced(f.Policy) && b.KernelBTF.Known() && b.KernelBTF.Value && b.Load.Known(): // with layouts from elsewhere it stands in until they are read, or made
		return monitor.Support{Reason: probeBPF}
	}
	return degraded.Probe(ctx).Support()
}

// fits reports whether the kernel is known to do: it offers BTF and, where it runs, lets programs load.
func fits(f *Facts) bool {
	if !f.Runs() {
		return f.Host.Kernel.Known() && f.Host.Kernel.Value.BTF.Known() && f.Host.Kernel.Value.BTF.Value
	}
	return f.BPF.KernelBTF.Known() && f.BPF.KernelBTF.Value && f.BPF.Load.Known()
}

// pickConnector chooses the row that predicates read: the first that is installed, else ours. The daemon is a connector even
// where no package put it.
func pickConnector(installed []host.Connector, daemon bool) (host.Connector, bool) {
	if len(installed) > 0 {
		return installed[0], true
	}
	return host.Connectors[0], daemon
}

// needs is what the connector's programs want from the policy. Of the vendor's only the rule of fault 19 is known.
func needs(f *Facts) []selinux.Need {
	if f.Connector.Vendor {
		return []selinux.Need{selinux.BPFNeed}
	}
	return selinux.WouldNeed(f.Host.Kernel.Value.Release)
}

// readPolicy loads the connector's policy; a host that has none has the default one. A file that cannot be read or parsed is not replaced by a guess.
func readPolicy(r host.Root, file string) host.Reading[policy.Policy] {
	path, err := r.Path(file)
	if err != nil {
		return host.NotKnown[policy.Policy](file, err)
	}
	p, err := policy.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return host.Read(policy.Default(), file+" (does not exist: the default policy)")
	case err != nil:
		return host.NotKnown[policy.Policy](file, err)
	}
	return host.Read(p, file)
}

// readExclusions loads the exclusions of this host; most hosts have none.
func readExclusions(r host.Root, file string) host.Reading[policy.Exclusions] {
	path, err := r.Path(file)
	if err != nil {
		return host.NotKnown[policy.Exclusions](file, err)
	}
	x, err := policy.LoadExclusions(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return host.NotKnown[policy.Exclusions](file, err)
	}
	return host.Read(x, file)
}
