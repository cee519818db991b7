package remediate

import (
	"slices"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/policy"
)

// fault11 brings the headers of the running kernel, from which the layouts of its structures are derived. Kernels that need none are named, and left
// to a person, who reboots.
var fault11 = remedy{
	plan: planHeaders,
	sources: []fault.Text{
		{EN: "/sys/kernel/btf/vmlinux: does the kernel describe its own types", JA: "/sys/kernel/btf/vmlinux: カーネルが自身の型情報を提供しているか"},
		{
			EN: "/lib/modules/RELEASE/build and its version header, RELEASE being what uname -r prints: is it the tree of this kernel, and complete",
			JA: "/lib/modules/RELEASE/build とそのバージョンヘッダー (RELEASE は uname -r の出力): このカーネルのツリーであり、完全であるか",
		},
		{
			EN: "/var/lib/cisco/amp/btf, /boot, /lib/modules and /usr/lib/debug: a file with the BTF of this kernel",
			JA: "/var/lib/cisco/amp/btf、/boot、/lib/modules、/usr/lib/debug: このカーネルの BTF を含むファイル",
		},
	},
	commands: []string{"ls -l /sys/kernel/btf/vmlinux", "ls -lL /lib/modules/$(uname -r)/build"},
}

// planHeaders installs for the kernel that runs. The kernel that would be better comes after: it takes a reboot. Where the kernel refuses eBPF programs
// and no modules are wanted, nothing would be made with headers, so that none are brought.
func planHeaders(f *health.Facts, _ fault.Finding) []installer.Item {
	wanted := f.Policy.Known() && f.Policy.Value.Source == policy.SourceModules
	if finding, _ := health.CheckOne(f, incompatible); !wanted && slices.Contains(finding.Causes, health.CauseProgramsRefused) {
		return append([]installer.Item{{Manual: headersInVain}}, planRefused(f)...)
	}
	return append(thenSource(f, installer.HeaderItems(f)), newerKernel)
}

// thenSource lets the connector change its source, where a step changes something.
func thenSource(f *health.Facts, items []installer.Item) []installer.Item {
	if steps(items) == 0 {
		return items
	}
	return append(items, installer.SourceItems(f)...)
}

var headersInVain = fault.Text{
	EN: "Do not install headers for this: the kernel refuses eBPF programs whatever headers there are, which is fault 16.",
	JA: "このためにヘッダーを導入する必要はありません。ヘッダーの有無にかかわらず、カーネルが eBPF プログラムを拒否しています (フォールト 16)。",
}

var newerKernel = installer.Item{Manual: fault.Text{
	EN: "Better still, boot a kernel of the distribution that offers BTF (it has the file /sys/kernel/btf/vmlinux; its build configuration says CONFIG_DEBUG_INFO_BTF=y): then neither headers nor a compiler are needed, and the connector sees more. It changes to that by itself.",
	JA: "可能であれば、BTF を提供するディストリビューションのカーネルで起動してください (/sys/kernel/btf/vmlinux が存在し、ビルド設定が CONFIG_DEBUG_INFO_BTF=y のもの)。ヘッダーもコンパイラーも不要になり、監視できる範囲も広がります。コネクタは自動的に切り替わります。",
}}
