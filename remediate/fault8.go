package remediate

import (
	"context"
	"path"
	"slices"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// fault8 and fault9 make the connector open its event source anew, and have the kernel take its modules.
var (
	fault8 = monitorRemedy(kmod.FileModule, fault.Text{
		EN: "the control socket of the daemon: which event source is open, and which of its own test events did not come",
		JA: "デーモンの制御ソケット: 有効なイベントソースと、届かなかったテストイベントの種類",
	})
	fault9 = monitorRemedy(kmod.NetworkModule, fault.Text{
		EN: "the control socket of the daemon: which event source is open, and which of its own test events did not come",
		JA: "デーモンの制御ソケット: 有効なイベントソースと、届かなかったテストイベントの種類",
	})
)

func monitorRemedy(module string, source fault.Text) remedy {
	return remedy{
		plan: func(f *health.Facts, finding fault.Finding) []installer.Item {
			if slices.Contains(finding.Causes, health.CauseNoModule) {
				return planModule(f, module)
			}
			return planMonitor(f)
		},
		sources: []fault.Text{
			source,
			{EN: "the two switches of the policy", JA: "ポリシーの二つの監視スイッチ"},
			{
				EN: "/sys/kernel/security/lockdown, the parameter sig_enforce of /sys/module/module and the sysctl kernel.modules_disabled: what the kernel asks of modules",
				JA: "/sys/kernel/security/lockdown、/sys/module/module のパラメーター sig_enforce、sysctl kernel.modules_disabled: カーネルがモジュールに求めるもの",
			},
			{EN: "the EFI variable SecureBoot: does the firmware boot only what is signed", JA: "EFI 変数 SecureBoot: ファームウェアが署名済みのものだけを起動するか"},
		},
		commands: []string{"ampcli status -v", "amp-install restart"},
	}
}

// planMonitor restarts the service: programs that were detached behind its back, maps that were frozen and buffers that others hold are
// made anew with it. A source that does not open at all is not helped by that; its reason is in the evidence.
func planMonitor(f *health.Facts) []installer.Item {
	return installer.ServiceItems(f, installer.Renew)
}

// planModule is for a module that the policy wants and that is not loaded. Loading is tried again with the connector's start, and that builds and signs
// too; where the kernel asks for a key that it does not trust, the firmware has to be asked first.
func planModule(f *health.Facts, module string) []installer.Item {
	var items []installer.Item
	tried := f.Modules.Tried.Value
	cause, toBuild := tried.Causes[module], installer.ModuleItems(f, tried.Unbuilt, tried.Wanted)
	switch {
	case cause.AsksSignature():
		items = installer.KeyItems(f)
		if len(items) > 0 { // nothing loads before the reboot
			return append(items, rather, secureBootOff)
		}
	case cause == kmod.NameTaken:
		return append(inTheWay(f, module), rather)
	case cause == kmod.LoadingDisabled:
		return []installer.Item{{Manual: loadingDisabled, Commands: []string{"systemctl reboot"}}, rather}
	case cause == kmod.SELinuxRefused:
		return []installer.Item{{Manual: policyRefuses, Commands: []string{"ausearch -m AVC,USER_AVC -ts boot -c amp-install", "systemctl restart cisco-amp.service"}}, rather}
	case cause == kmod.BadSignature:
		items = append(slices.Clone(toBuild), installer.Item{Manual: changed.With(path.Join(kmod.PrebuiltDir, tried.Release, module+".ko"))})
	default:
		items = toBuild
	}
	return append(append(items, installer.ServiceItems(f, installer.Renew)...), rather)
}

// inTheWay names the other module of that name, with its package. To take it out is for a person: what it is there for is not known here.
func inTheWay(f *health.Facts, module string) []installer.Item {
	r := host.At(f.Host.Root)
	file := fault.Text{EN: "no file of this kernel's", JA: "このカーネルのファイルには見つかりません"}
	if loaded := kmod.FindLoaded(r, f.Host.Kernel.Value.Release, module); loaded.Known() && loaded.Value != nil && loaded.Value.File != "" {
		file = fault.Verbatim(loaded.Value.File)
		if owner := host.FindPackageOwner(context.Background(), r, loaded.Value.File); owner.Known() && owner.Value.Package != "" {
			file = fault.Verbatim(loaded.Value.File + ", " + owner.Value.Package)
		}
	}
	return []installer.Item{{
		Manual: fault.Text{
			EN: "Another module is loaded as %s (%s). Take it out, and keep what loads it from doing so again, if the host does not need it.",
			JA: "別のモジュールが %s という名前でロードされています (%s)。不要であればアンロードし、再びロードされないようにしてください。",
		}.With(module, file),
		Commands: []string{"rmmod " + module, "systemctl restart cisco-amp.service"},
	}}
}

// What only a person can decide about modules.
var (
	changed = fault.Text{
		EN: "%s was changed after it was signed: nobody knows what is in it, and it is neither loaded nor signed anew. Find out who changed it, and put it back from where it came; without it the connector builds its own from the kernel's headers.",
		JA: "%s は署名後に変更されています。内容を保証できないため、ロードも再署名もしません。変更の原因を調べ、元のファイルに戻してください。このファイルがなければ、コネクタはカーネルのヘッダーから自身でビルドします。",
	}
	loadingDisabled = fault.Text{
		EN: "The sysctl kernel.modules_disabled is 1: no module is loaded any more until the next boot. Have it set later than the connector starts, or not at all, and reboot.",
		JA: "sysctl kernel.modules_disabled が 1 のため、次回起動までモジュールはロードできません。コネクタの起動後に設定するか設定をやめ、再起動してください。",
	}
	policyRefuses = fault.Text{
		EN: "The SELinux policy does not let the domain that starts the connector load kernel modules (module_load of class system, or sys_module of class capability). Who may is for its administrator to say; the connector's own policy module does not allow it. Allow it there, and restart the connector.",
		JA: "SELinux ポリシーが、コネクタを起動するドメインによるカーネルモジュールのロード (system クラスの module_load、または capability クラスの sys_module) を許可していません。許可するかどうかはポリシーの管理者が決めるものであり、コネクタのポリシーモジュールは許可しません。ポリシーで許可してから、コネクタを再起動してください。",
	}
	rather = installer.Item{Manual: fault.Text{
		EN: "Modules are used on this host because the policy says so. Where the policy leaves the choice to the connector (source=\"auto\"), it monitors by eBPF as far as the kernel allows, which needs no module, no key and no reboot.",
		JA: "このホストではポリシーの指定によりモジュールを使用しています。ポリシーで選択をコネクタに任せると (source=\"auto\")、カーネルが許す限り eBPF で監視し、モジュールも鍵も再起動も不要です。",
	}}
	secureBootOff = installer.Item{Manual: fault.Text{
		EN: "Only if nothing else will do: Secure Boot can be turned off in the firmware's setup, by a person at the machine. It protects the host from the start on; this program does not touch it.",
		JA: "他に手段がない場合に限り、セキュアブートはマシンの前でファームウェアの設定画面から無効にできます。セキュアブートは起動時からホストを保護するものであり、本プログラムは変更しません。",
	}}
)
