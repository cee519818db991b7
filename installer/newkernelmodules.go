package installer

import (
	"context"
	"errors"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// newKernelModules is NewKernel where the policy wants kernel modules: they are built now where neither a package nor DKMS, whose own hook comes before ours,
// has brought them.
func newKernelModules(ctx context.Context, f *health.Facts, prepare Preparation, say func(fault.Text)) (ready bool) {
	release := f.Host.Kernel.Value.Release
	built, err := prepare.Modules(ctx, f.Host.Kernel.Value)
	if err != nil {
		say(newKernelNoModules.With(release, whyNot(err)))
		var e *layout.Error
		if errors.As(err, &e) {
			sayItems(ModuleItems(f, e.Why, e.Wanted), say)
		}
		return false
	}
	running := built && !f.Host.Kernel.Value.Other && !f.Modules.Support().Yes
	if built && !running {
		say(newKernelModulesBuilt.With(release))
	}
	if asks := keyLacking(f); asks != "" {
		say(newKernelNoKey.With(release, asks))
		say(hookCommand.With("amp-remediate 8"))
		return false
	}
	if running { // headers came later than the kernel: modules are loaded when the service starts, which is no matter of a package manager's hook
		say(runningKernelModulesBuilt.With(release))
		say(hookCommand.With("amp-remediate 8"))
	}
	return true
}

// ModuleItems are the items for what kernel modules could not be built without when that was tried; wanted is the compiler that the kernel's headers ask
// for. Headers that have come since are not installed once more.
func ModuleItems(f *health.Facts, why layout.Why, wanted string) []Item {
	kernel := f.Host.Kernel.Value
	switch why {
	case layout.NoHeaders, layout.OtherRelease:
		if tree := kernel.Headers; tree.Known() && tree.Value.Right(kernel.Release) {
			return nil
		}
		return HeaderItems(f)
	case layout.TreeIncomplete:
		return HeaderItems(f)
	case layout.NoMake, layout.NoCompiler, layout.OtherCompiler:
		return CompilerItems(f, wanted)
	}
	return nil
}

// keyLacking is where it is read that modules need a signature, if the host has no key for that which the kernel trusts, or that the firmware is to ask for at
// the next boot; else "". It is what the running kernel asks: the next one is started by the same firmware. Where modules of ours are loaded, some way is
// there.
func keyLacking(f *health.Facts) string {
	asks := f.Host.ModuleLoading.NeedsSignature()
	if !asks.Known() || !asks.Value || f.Modules.Support().Yes {
		return ""
	}
	keys, _ := kmod.FindSigningKeys(host.At(f.Host.Root), f.ModuleKey()) // what cannot be used is none
	if key := kmod.PickSigningKey(keys, f.Host.ModuleLoading); key != nil {
		if state := kmod.EnrolmentOf(key, f.Host.ModuleLoading); !state.Known() || state.Value == kmod.Trusted || state.Value == kmod.Requested {
			return ""
		}
	}
	return asks.From
}

// What is said of a new kernel where the policy wants modules.
var (
	newKernelNoModules = fault.Text{
		EN: "after a reboot into %s the kernel modules that the policy wants will be missing, and monitoring degraded (faults 8 and 9): %s",
		JA: "%s で再起動すると、ポリシーが指定するカーネルモジュールがなく、縮退モードでの監視になります (フォールト 8、9): %s",
	}
	newKernelModulesBuilt = fault.Text{
		EN: "the kernel modules are built for %s: it is monitored in full after a reboot",
		JA: "%s 用のカーネルモジュールをビルドしました。再起動後も完全に監視されます",
	}
	runningKernelModulesBuilt = fault.Text{
		EN: "the kernel modules are built for %s, which runs. They are loaded, and it is monitored in full without a reboot, by:",
		JA: "稼働中のカーネル %s 用のモジュールをビルドしました。次のコマンドでロードすると、再起動せずに完全に監視されます:",
	}
	newKernelNoKey = fault.Text{
		EN: "after a reboot into %s the kernel modules will not be loaded (faults 8 and 9), since only signed ones are (%s), and no key of this host is trusted for that:",
		JA: "%s で再起動しても、署名済みのカーネルモジュールしかロードされず (%s)、信頼された鍵がこのホストにないため、モジュールはロードされません (フォールト 8、9):",
	}
)
