package remediate

import (
	"slices"
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// fault7 lets the scan service come up, by what keeps it from that.
var fault7 = remedy{
	plan: planStart,
	sources: []fault.Text{
		{EN: "the control socket of the daemon: the stage of the start that was not passed, with its error", JA: "デーモンの制御ソケット: 完了しなかった開始段階とそのエラー"},
		{EN: "libclamav.so in the folders of the dynamic linker (ld.so(8)), and /etc/ld.so.conf", JA: "動的リンカー (ld.so(8)) のフォルダーおよび /etc/ld.so.conf にある libclamav.so"},
		{EN: "the definitions in /var/lib/cisco/amp/definitions", JA: "/var/lib/cisco/amp/definitions の定義ファイル"},
		{EN: "/proc/meminfo: is there as much memory as loading needs", JA: "/proc/meminfo: 読み込みに必要なメモリーがあるか"},
	},
	commands: []string{"ldconfig -p | grep libclamav", "ampcli definitions verify", "ampcli definitions rollback", "free -m", "amp-install restart"},
}

// startPlans are what helps against each cause, beside the start itself.
var startPlans = map[string]func(*health.Facts) []installer.Item{
	control.ScanLibraryMissing:  installer.EngineItems,
	control.ScanLibraryUnusable: func(f *health.Facts) []installer.Item { return append(installer.EngineItems(f), updateEngine(f)) },
	control.ScanDefinitions:     func(f *health.Facts) []installer.Item { return restoreItems(missedByChecks) },
	control.ScanSelfTest:        func(f *health.Facts) []installer.Item { return restoreItems(selfTestByHand) },
	control.ScanHung:            func(f *health.Facts) []installer.Item { return restoreItems(slowByHand) },
	control.ScanKilled:          func(f *health.Facts) []installer.Item { return append(restoreItems(signalByHand), moreMemory(f)) },
	control.ScanMemory:          func(f *health.Facts) []installer.Item { return []installer.Item{moreMemory(f)} },
	control.ScanRights: func(f *health.Facts) []installer.Item {
		return append(slices.Concat(installer.AccountItems(f), installer.DirectoryItems(f)), installer.Item{Manual: rightsByHand, Commands: []string{"ausearch -m avc -c ampscansvc"}})
	},
	control.ScanProgram: func(f *health.Facts) []installer.Item {
		return []installer.Item{{Manual: programByHand.With(f.Connector.Package), Packages: []string{f.Connector.Package}, Commands: reinstall(f)}}
	},
}

func planStart(f *health.Facts, finding fault.Finding) []installer.Item {
	var items []installer.Item
	for _, cause := range finding.Causes {
		if plan := startPlans[cause]; plan != nil {
			items = append(items, plan(f)...)
		}
	}
	if !f.Scanning.Known() { // no daemon that could be asked to start its service
		return thenLook(f, items)
	}
	if steps(items) == 0 && waitsForInstallation(finding) {
		return items
	}
	return append(items, installer.ScanItems(f)...)
}

// waitsForInstallation: to start the service again before the library or the program is there would prove what is known.
func waitsForInstallation(finding fault.Finding) bool {
	return slices.Contains(finding.Causes, control.ScanLibraryMissing) || slices.Contains(finding.Causes, control.ScanProgram)
}

func restoreItems(manual fault.Text) []installer.Item {
	return []installer.Item{{Step: &installer.RestoreDefinitions{}}, {Manual: manual, Commands: []string{"ampcli definitions list", "tail -n 50 /var/log/cisco/ampscansvc.log"}}}
}

func updateEngine(f *health.Facts) installer.Item {
	item := installer.Item{Manual: updateByHand}
	if libraries := f.Host.Engine.Libraries; libraries.Known() && len(libraries.Value) > 0 {
		item.Manual = updateKnownByHand.With(strings.Join(libraries.Value, ", "))
	}
	return item
}

func moreMemory(f *health.Facts) installer.Item {
	available := fault.Text{EN: "not known how much is available", JA: "空きメモリーは不明"}
	if m := f.Host.Memory; m.Known() {
		available = fault.Text{EN: "%d MiB of %d MiB are available", JA: "空き %d MiB、全体 %d MiB"}.With(m.Value.Available>>20, m.Value.Total>>20)
	}
	return installer.Item{Manual: memoryByHand.With(available), Commands: []string{"free -m", "amp-remediate 7 --rollback"}}
}

func reinstall(f *health.Facts) []string {
	command := installer.ReinstallCommand(f.Host.PackageManager.Value.Name, f.Connector.Package)
	if command == nil {
		return nil
	}
	return []string{strings.Join(command, " ")}
}

// What only a person can do about a start that fails.
var (
	missedByChecks = fault.Text{
		EN: "If this returns with each update of the definitions, the checks before it let a bad file through: its content is never taken again, and the file set aside and the log of the scan service show why. Report both.",
		JA: "定義を更新するたびに再発する場合は、事前の検査が不正なファイルを通しています。その内容が再び使用されることはなく、退避したファイルとスキャンサービスのログから原因を確認できます。両方を添えて報告してください。",
	}
	selfTestByHand = fault.Text{
		EN: "If the self-test fails with the last good definitions too, the engine library itself is damaged: install its package again.",
		JA: "最後に正常だった定義でも自己テストに失敗する場合は、エンジンのライブラリ自体が破損しています。パッケージを再インストールしてください。",
	}
	slowByHand = fault.Text{
		EN: "If the start takes too long with the last good definitions too, the machine is too slow or too busy for them: use smaller ones, or give it more processors.",
		JA: "最後に正常だった定義でも開始に時間がかかりすぎる場合は、マシンの能力が不足しているか負荷が高すぎます。より小さな定義を使用するか、プロセッサーを増やしてください。",
	}
	signalByHand = fault.Text{
		EN: "If a signal ends the start with the last good definitions too: SIGSYS means that this host's libraries make a system call that the sandbox forbids, SIGKILL that memory ran out, another one that the engine library is damaged. Report the log of the scan service.",
		JA: "最後に正常だった定義でも開始処理がシグナルで終了する場合: SIGSYS は、このホストのライブラリがサンドボックスで禁止されたシステムコールを使用したことを示します。SIGKILL はメモリー不足、その他はエンジンのライブラリの破損を示します。スキャンサービスのログを添えて報告してください。",
	}
	updateByHand = fault.Text{
		EN: "If the library of the distribution is too old, update the host to a release that has ClamAV 0.101 or newer.",
		JA: "ディストリビューションのライブラリが古すぎる場合は、ClamAV 0.101 以降を含むリリースに更新してください。",
	}
	updateKnownByHand = fault.Text{
		EN: "If %s is not from the distribution's package, take it out of the way of the dynamic linker; if it is, and too old, update the host to a release that has ClamAV 0.101 or newer.",
		JA: "%s がディストリビューションのパッケージのものでない場合は、動的リンカーの検索対象から外してください。パッケージのものが古すぎる場合は、ClamAV 0.101 以降を含むリリースに更新してください。",
	}
	memoryByHand = fault.Text{
		EN: "Give the host more memory (%s; ClamAV's official definitions take about 1200 MiB), or go back to smaller definitions.",
		JA: "ホストのメモリーを増やすか (%s、ClamAV の公式定義には約 1200 MiB が必要)、より小さな定義に戻してください。",
	}
	rightsByHand = fault.Text{
		EN: "If a right is still missing, a security module may refuse it: on hosts with SELinux its log names what was denied.",
		JA: "それでも権限が不足する場合は、セキュリティモジュールが拒否している可能性があります。SELinux を使用するホストでは、拒否された内容がログに記録されます。",
	}
	programByHand = fault.Text{
		EN: "Install %s again: the program of the scan service, /opt/cisco/amp/bin/ampscansvc, is missing or damaged, or its file system forbids programs (noexec).",
		JA: "%s を再インストールしてください。スキャンサービスのプログラム /opt/cisco/amp/bin/ampscansvc が存在しないか破損しています。または、ファイルシステムで実行が禁止されています (noexec)。",
	}
)
