package remediate

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

// fault16 brings what compiles against the headers of the running kernel. What keeps the kernel itself from it is named, and left to a person.
var fault16 = remedy{
	plan: planKernel,
	sources: []fault.Text{
		{EN: "the event source of the daemon: what the kernel said to its programs", JA: "デーモンのイベントソース: プログラムに対するカーネルの応答"},
		{EN: "the kernel's answer to bpf(2)", JA: "bpf(2) に対するカーネルの応答"},
	},
	commands: []string{"uname -r", "ampcli status -v"},
}

// planKernel installs a compiler where that is all that is missing.
func planKernel(f *health.Facts, finding fault.Finding) []installer.Item {
	switch {
	case slices.Contains(finding.Causes, health.CauseNoCompiler):
		return append(thenSource(f, installer.CompilerItems(f, wantedCompiler(f))), newerKernel)
	case slices.Contains(finding.Causes, health.CauseNotDerived):
		return append(installer.HeadersAgain(f), newerKernel)
	}
	return planRefused(f)
}

// wantedCompiler is what the kernel's headers ask for, or make.
func wantedCompiler(f *health.Facts) string {
	if l := f.BPF.Layouts; l.Known() && l.Value.Reason != nil {
		return l.Value.Reason.Wanted
	}
	return f.Monitoring.Value.Layouts.Wanted
}

// planRefused is for a kernel that refuses the programs. Another kernel helps where this one is too old, and not where something else holds programs
// back: of that it is said what it may be.
func planRefused(f *health.Facts) []installer.Item {
	lockdown := f.Host.ModuleLoading.Lockdown
	switch {
	case lockdown.Known() && lockdown.Value == host.LockdownConfidentiality:
		return append(modulesInstead(f), installer.Item{Manual: confidential.With(lockdown.From), Commands: []string{"cat /proc/cmdline"}})
	case errors.Is(f.BPF.Load.Err, fs.ErrPermission):
		return []installer.Item{{Manual: heldBack, Commands: []string{
			"grep -E 'Seccomp|CapEff' /proc/$(systemctl show -p MainPID --value " + f.Connector.Unit + ")/status", "dmesg",
		}}}
	}
	return append(append(modulesInstead(f), testedKernels(f)...), newerKernel)
}

// firstForModules is before the first kernel that the modules' sources are written for, 4.19, since enterprise kernels of 4.18 have much of it.
const firstForModules = "4.18"

// modulesInstead is for a kernel that refuses the programs and whose headers are there: it says that kernel modules see all here. To use them is for the policy,
// and not chosen without it. Who may not load programs at all seldom may load modules, and is not told.
func modulesInstead(f *health.Facts) []installer.Item {
	k := f.Host.Kernel.Value
	if tree := k.Headers; !tree.Known() || !tree.Value.Right(k.Release) || host.CompareReleases(k.Release, firstForModules) < 0 || f.Policy.Value.Source == policy.SourceModules {
		return nil
	}
	switch asks := f.Host.ModuleLoading.NeedsSignature(); {
	case f.Host.ModuleLoading.Disabled.Known() && f.Host.ModuleLoading.Disabled.Value:
		return nil
	case asks.Known() && asks.Value:
		return []installer.Item{{Manual: signedModules.With(asks.From), Commands: []string{"amp-remediate 8"}}}
	}
	return []installer.Item{{Manual: modules}}
}

// testedKernels names those of the distribution that this version was tested with, if there are any.
func testedKernels(f *health.Facts) []installer.Item {
	var names []string
	for _, row := range host.TestedKernels(f.Host.Distribution.Value) {
		names = append(names, strings.Join(row.Series, ", ")+" of "+row.Name)
	}
	if len(names) == 0 {
		return nil
	}
	return []installer.Item{{Manual: tested.With(strings.Join(names, ", "))}}
}

var (
	modules = fault.Text{
		EN: "For full monitoring on this kernel, write <monitor source=\"modules\"/> into the policy: the connector then builds kernel modules from the headers of this kernel, which are there, and monitors by them instead of eBPF.",
		JA: "このカーネルで完全に監視するには、ポリシーに <monitor source=\"modules\"/> と記述してください。コネクタはインストール済みのカーネルヘッダーからカーネルモジュールをビルドし、eBPF の代わりに使用して監視します。",
	}
	signedModules = fault.Text{
		EN: "For full monitoring on this kernel, write <monitor source=\"modules\"/> into the policy: the connector then builds kernel modules from the headers of this kernel, which are there, and monitors by them instead of eBPF. The kernel loads them only with a signature of a key that it trusts (%s): if it then refuses them, amp-remediate 8 sees to the signing key, which may take a reboot.",
		JA: "このカーネルで完全に監視するには、ポリシーに <monitor source=\"modules\"/> と記述してください。コネクタはインストール済みのカーネルヘッダーからカーネルモジュールをビルドし、eBPF の代わりに使用して監視します。カーネルは信頼された鍵による署名のあるモジュールだけをロードします (%s)。ロードが拒否された場合は、amp-remediate 8 が署名鍵を用意します。再起動が必要になることがあります。",
	}
	tested = fault.Text{
		EN: "Of this distribution, this version was tested with the kernels %s.",
		JA: "このディストリビューションで本バージョンを試験したカーネルは次のとおりです: %s。",
	}
	confidential = fault.Text{
		EN: "The kernel is locked down, as %s says (confidentiality). It lets no program read its memory, which monitoring by eBPF has to. Lockdown \"integrity\" lets it: have the word lockdown=confidentiality on the kernel's command line, or what else asks for it, say integrity, if the host's rules allow that, and reboot. Another kernel would not help.",
		JA: "カーネルがロックダウンされています (%s は confidentiality)。eBPF による監視に必要なカーネルメモリーの読み取りが一切許可されません。ロックダウンが integrity であれば許可されます。ホストの規則で認められる場合は、カーネルコマンドラインの lockdown=confidentiality などの設定を integrity に変更して再起動してください。別のカーネルでは解決しません。",
	}
	heldBack = fault.Text{
		EN: "The kernel says that the connector has no right to eBPF, which another kernel would say too. In a container the daemon needs CAP_SYS_ADMIN (or CAP_BPF and CAP_PERFMON) in the initial user namespace, and no filter of system calls that keeps bpf(2) from it; elsewhere the kernel's messages, and the log of the security module in use, say more.",
		JA: "カーネルは、コネクタに eBPF を使用する権限がないと応答しています。別のカーネルでも結果は同じです。コンテナー内では、初期ユーザー名前空間の CAP_SYS_ADMIN (または CAP_BPF と CAP_PERFMON) が必要であり、システムコールフィルターが bpf(2) を妨げていないことも必要です。それ以外の場合は、カーネルメッセージと使用中のセキュリティモジュールのログを確認してください。",
	}
)
