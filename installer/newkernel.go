package installer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// newKernelWait bounds the derivation, which holds up the package manager. It takes seconds; on an emulated machine a minute.
const newKernelWait = 2 * time.Minute

// Preparation makes what monitoring needs on a kernel that need not run, and keeps it for when it does.
type Preparation struct {
	// Layouts derives the layouts of its structures.
	Layouts func(context.Context, host.Kernel) error
	// Modules builds the kernel modules where there are none for it, and reports whether it did.
	Modules func(context.Context, host.Kernel) (built bool, err error)
}

// PreparationHere is the one of this host, whose facts f are.
func PreparationHere(f *health.Facts) Preparation {
	here := host.At("/")
	return Preparation{
		Layouts: func(ctx context.Context, k host.Kernel) error {
			_, _, err := f.LayoutStore().Open(ctx, here, k.Release, k.Headers.Value)
			return err
		},
		Modules: func(ctx context.Context, k host.Kernel) (bool, error) { return kmod.Prepare(ctx, here, k) },
	}
}

// NewKernel makes ready what monitoring needs on the kernel that f judges, which was installed and may not run yet, and says on out what it
// will be like there: before the reboot something can still be done about it. It reports whether nothing is missing. Packages cannot be
// installed: the package manager that calls holds its lock.
func NewKernel(ctx context.Context, f *health.Facts, prepare Preparation, out io.Writer, l fault.Language) (ready bool) {
	say := func(t fault.Text) { fmt.Fprintln(out, "amp-connector: "+t.In(l)) }
	finding, _ := health.CheckOne(f, 11)
	release := f.Host.Kernel.Value.Release
	switch {
	case finding.State == fault.NotApplicable:
		return true
	case f.WantsModules():
		return newKernelModules(ctx, f, prepare, say)
	}
	switch finding.State {
	case fault.Raised:
		say(newKernelLacks.With(release, finding.Reason))
		sayItems(HeaderItems(f), say)
		return false
	case fault.Unknown:
		say(newKernelUnknown.With(release, finding.Reason))
		return false
	}
	layouts := f.BPF.Layouts.Value
	switch layouts.Origin {
	case layout.Derived:
		ctx, cancel := context.WithTimeout(ctx, newKernelWait)
		defer cancel()
		if err := prepare.Layouts(ctx, f.Host.Kernel.Value); err != nil {
			say(newKernelFailed.With(release, whyNot(err)))
			return false
		}
		if f.Host.Kernel.Value.Other {
			say(newKernelDerived.With(release))
		} else {
			say(runningKernelDerived.With(release))
		}
	case layout.None:
		say(newKernelFailed.With(release, whyNot(layouts.Reason)))
		if layouts.Reason.Why == layout.NoCompiler || layouts.Reason.Why == layout.NoMake {
			sayItems(CompilerItems(f, layouts.Reason.Wanted), say)
		}
		return false
	}
	return true
}

// sayItems says what a person could type, or do.
func sayItems(items []Item, say func(fault.Text)) {
	for _, item := range items {
		commands := item.Commands
		if item.Step != nil {
			commands = item.Step.Commands()
		} else {
			say(item.Manual)
		}
		for _, c := range commands {
			say(hookCommand.With(c))
		}
	}
}

// whyNot is an error of layouts in both languages.
func whyNot(err error) fault.Text {
	var e *layout.Error
	if !errors.As(err, &e) {
		return ErrorText(err)
	}
	return health.WhyNoLayouts(e)
}

// What is said of a new kernel.
var (
	newKernelLacks = fault.Text{
		EN: "after a reboot into %s monitoring will be degraded (fault 11): %s. Unless the headers are installed in this run too, before the reboot:",
		JA: "%s で再起動すると縮退モードでの監視になります (フォールト 11): %s。今回の処理でヘッダーが導入されない場合は、再起動前に次を実行してください:",
	}
	newKernelUnknown = fault.Text{
		EN: "what can be monitored after a reboot into %s is not known: %s",
		JA: "%s で再起動した後に監視できる範囲は不明です: %s",
	}
	newKernelFailed = fault.Text{
		EN: "after a reboot into %s monitoring will be degraded (fault 16): %s",
		JA: "%s で再起動すると縮退モードでの監視になります (フォールト 16): %s",
	}
	newKernelDerived = fault.Text{
		EN: "the layouts of the kernel %s are derived from its headers: it is monitored in full after a reboot",
		JA: "カーネル %s の構造体の配置をヘッダーから導出しました。再起動後も完全に監視されます",
	}
	runningKernelDerived = fault.Text{
		EN: "the layouts of the kernel %s, which runs, are derived from its headers: it is monitored in full without a reboot",
		JA: "稼働中のカーネル %s の構造体の配置をヘッダーから導出しました。再起動せずに完全に監視されます",
	}
)
