package remediate

import (
	"context"
	"slices"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// fitKernels are the installed kernels that offer BTF, without the one that is judged, the newest first.
func fitKernels(f *health.Facts) []string {
	var releases []string
	for _, k := range f.Kernels.Value {
		if k.BTF.Known() && k.BTF.Value && k.Release != f.Host.Kernel.Value.Release {
			releases = append(releases, k.Release)
		}
	}
	return releases
}

var rebootInto = fault.Text{
	EN: "Reboot when it suits; nothing here does that. %s then boots. To go back to %s, choose it in the boot menu, or make it the default again.",
	JA: "都合のよいときに再起動してください (自動では再起動しません)。%s が起動します。%s に戻すには、起動メニューで選択するか、再び既定に設定してください。",
}

// chooseBoot checks what was asked for about the kernel that boots. Errors are ones of the command line.
func (r *run) chooseBoot(ctx context.Context) error {
	if r.Boot == "" {
		return nil
	}
	if r.sel.All || len(r.sel.IDs) != 1 || r.sel.IDs[0] != noHeaders && r.sel.IDs[0] != incompatible {
		return errBootAlone.wrong()
	}
	if err := host.CheckRelease(r.Boot); err != nil {
		return errBoot.wrong(err)
	}
	if r.facts.Kernels.From == "" { // nobody looked, since the kernel that runs is all that is needed
		r.facts.Kernels = host.InstalledKernels(r.target.Root)
	}
	if r.facts.Kernels.Known() && !slices.ContainsFunc(r.facts.Kernels.Value, func(k host.Kernel) bool { return k.Release == r.Boot }) {
		return r.chooseNewKernel(ctx)
	}
	return nil
}

// chooseNewKernel looks for the package of the kernel that is to boot and is not installed.
func (r *run) chooseNewKernel(ctx context.Context) error {
	pkg, ok := host.KernelPackage(r.facts.Host.Distribution.Value, r.Boot)
	if !ok || r.image() {
		return errNoKernel.wrong(r.Boot, r.facts.Kernels.From)
	}
	versions := r.hands.versions(ctx, r.facts.Host.PackageManager.Value.Name, pkg)
	switch {
	case !versions.Known():
		return errKernelUnknown.wrong(r.Boot, r.facts.Kernels.From, pkg, versions.Err)
	case len(versions.Value) == 0:
		return errNoKernelAnywhere.wrong(r.Boot, r.facts.Kernels.From, pkg)
	}
	r.bootPackage = pkg
	return nil
}

// planOfBoot is the plan of faults 11 and 16 where a kernel was named that is to boot: it is installed where it is not. What it is to be is an administrator's choice: that it
// offers BTF is not asked for, as kernels without may be the ones that have headers.
func (r *run) planOfBoot(items []installer.Item) []installer.Item {
	if r.Boot == "" {
		return items
	}
	running, loader := r.facts.Host.Kernel.Value.Release, r.facts.BootLoader
	reboot := installer.Item{Manual: rebootInto.With(r.Boot, running), Commands: []string{"systemctl reboot"}}
	if back := installer.BootDefaultItem(loader, running); back.Step != nil {
		reboot.Manual = fault.Text{EN: reboot.Manual.EN + " " + back.Step.Commands()[0], JA: reboot.Manual.JA + " " + back.Step.Commands()[0]}
	}
	if r.bootPackage == "" {
		return []installer.Item{installer.BootDefaultItem(loader, r.Boot), reboot}
	}
	return manualLast(append(installer.PackageItems(r.facts, r.bootPackage), installer.BootDefaultAfter(loader, r.Boot), reboot))
}
