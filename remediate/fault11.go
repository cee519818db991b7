package remediate

import (
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// fault11 and fault16 name what a person can do about a kernel that has no full source: this version neither installs kernels nor works
// from headers.
var (
	fault11 = remedy{
		plan: planHeaders,
		sources: []fault.Text{
			{EN: "/sys/kernel/btf/vmlinux: does the kernel describe its own types", JA: "/sys/kernel/btf/vmlinux: カーネルが自身の型情報を提供しているか"},
			{
				EN: "/lib/modules/RELEASE/build and its version header, RELEASE being what uname -r prints: is it the tree of this kernel, and complete",
				JA: "/lib/modules/RELEASE/build とそのバージョンヘッダー (RELEASE は uname -r の出力): このカーネルのツリーであり、完全であるか",
			},
		},
		commands: []string{"ls -l /sys/kernel/btf/vmlinux", "ls -lL /lib/modules/$(uname -r)/build"},
	}
	fault16 = remedy{
		plan: planKernel,
		sources: []fault.Text{
			{EN: "the event source of the daemon: what the kernel said to its programs", JA: "デーモンのイベントソース: プログラムに対するカーネルの応答"},
			{EN: "the kernel's answer to bpf(2)", JA: "bpf(2) に対するカーネルの応答"},
		},
		commands: []string{"uname -r", "ampcli status -v"},
	}
)

var newerKernel = installer.Item{Manual: fault.Text{
	EN: "Boot a kernel of the distribution that offers BTF (it has the file /sys/kernel/btf/vmlinux; its build configuration says CONFIG_DEBUG_INFO_BTF=y). The connector then switches to eBPF by itself.",
	JA: "BTF を提供するディストリビューションのカーネルで起動してください (/sys/kernel/btf/vmlinux が存在し、ビルド設定が CONFIG_DEBUG_INFO_BTF=y のもの)。コネクタは自動的に eBPF に切り替わります。",
}}

func planHeaders(f *health.Facts, _ fault.Finding) []installer.Item {
	items := []installer.Item{newerKernel}
	release := f.Host.Kernel.Value.Release
	pkg, ok := host.HeaderPackage(f.Host.Distribution.Value, release)
	if !ok {
		return append(items, installer.Item{Manual: fault.Text{
			EN: "Or install the header package of exactly the kernel %s; its name on this distribution is not known here.",
			JA: "または、カーネル %s に正確に一致するヘッダーパッケージをインストールしてください。このディストリビューションでのパッケージ名は不明です。",
		}.With(release)})
	}
	header := installer.Item{Packages: []string{pkg}, Manual: fault.Text{
		EN: "Or install the header package of exactly the running kernel: %s. This version of the connector goes on in degraded mode with it; kernel modules can be built with it.",
		JA: "または、稼働中のカーネルに正確に一致するヘッダーパッケージ %s をインストールしてください。このバージョンのコネクタは縮退モードのままですが、カーネルモジュールのビルドに使用できます。",
	}.With(pkg)}
	if m := f.Host.PackageManager; m.Known() {
		if command := m.Value.InstallCommand(pkg); len(command) > 0 {
			header.Commands = []string{strings.Join(command, " ")}
		}
	}
	return append(items, header)
}

func planKernel(*health.Facts, fault.Finding) []installer.Item { return []installer.Item{newerKernel} }
