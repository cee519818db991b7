package remediate

import (
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/policy"
)

// fault18 shows who makes the events. What is excluded is an administrator's choice and never the program's.
var fault18 = remedy{
	plan: planOverload,
	sources: []fault.Text{
		{EN: "the counters of the daemon's event source, kept in the kernel: handled, excluded, shed and lost events, and the fill of the queue", JA: "デーモンのイベントソースがカーネル内に保持するカウンター: 処理、除外、縮小、損失の件数とキューの使用率"},
		{EN: "the counters of each process, kept in the kernel: who was busiest in the last five minutes", JA: "カーネル内に保持されるプロセスごとのカウンター: 直近 5 分間に最も活発だったもの"},
		{EN: "the package database (dpkg, rpm): which package has the executable, and is its content the package's", JA: "パッケージデータベース (dpkg、rpm): 実行ファイルの所属パッケージと、内容がパッケージと一致するか"},
	},
	commands: []string{"ampcli top --window 5m", "amp-remediate 18 --exclude /usr/bin/EXAMPLE", "amp-remediate 18 --include /usr/bin/EXAMPLE", "ampcli exclusions list"},
}

// planOverload is the plan where nobody can say who makes the events.
func planOverload(f *health.Facts, _ fault.Finding) []installer.Item { return overloadByHand(f, nil) }

// offered is how many of the busiest programs may be offered for exclusion.
const offered = 5

// overloadByHand tells what a person can do: nothing is excluded that nobody chose.
func overloadByHand(f *health.Facts, busy []busyProgram) []installer.Item {
	exclude := installer.Item{Manual: fault.Text{
		EN: "A program that is known and trusted, such as a build or a backup, can be excluded. It takes effect at once, and --include takes it back.",
		JA: "ビルドやバックアップなど、既知で信頼できるプログラムは除外できます。除外は直ちに有効になり、--include で取り消せます。",
	}}
	for _, p := range busy {
		if p.trusted() && len(exclude.Commands) < offered {
			exclude.Commands = append(exclude.Commands, "amp-remediate 18 --exclude "+installer.ShellWord(p.Exe))
		}
	}
	if len(exclude.Commands) == 0 {
		exclude.Commands = []string{"ampcli top --window 5m", "amp-remediate 18 --exclude /usr/bin/EXAMPLE"}
	}
	return []installer.Item{exclude, suspicious(busy), tooSmall(f)}
}

// suspicious names the programs that no package vouches for.
func suspicious(busy []busyProgram) installer.Item {
	var odd []fault.Text
	for _, p := range busy {
		if p.odd() {
			odd = append(odd, fault.Text{EN: "%s (%s)", JA: "%s (%s)"}.With(p.name(), p.vouched()))
		}
	}
	if len(odd) == 0 {
		return installer.Item{Manual: fault.Text{
			EN: "If no program has a reason to be so busy, the activity may be malicious. Programs that no package has, or that were changed, would stand out; none was seen among the busiest.",
			JA: "活発である理由のあるプログラムがない場合は、悪意のある活動の可能性があります。どのパッケージにも属さないプログラムや変更されたプログラムは特に疑わしいものですが、最も活発なプログラムの中には見つかりませんでした。",
		}}
	}
	return installer.Item{Manual: fault.Text{
		EN: "It may be malicious: these stand out among the busiest, since no package has them or they were changed. Look at them before anything is excluded: %s.",
		JA: "悪意のある活動の可能性があります。最も活発なもののうち、どのパッケージにも属さないか変更されているため特に疑わしいのは次のとおりです。除外する前に確認してください: %s。",
	}.With(fault.Join(odd, fault.Text{EN: "; ", JA: "、"}))}
}

// tooSmall says what the machine was asked for, and what it managed.
func tooSmall(f *health.Facts) installer.Item {
	load := f.Monitoring.Value.Overload
	figures := fault.Text{EN: "%.0f events a second happened, %.0f were handled, %.0f shed, %.0f lost", JA: "1 秒あたり 発生 %.0f 件、処理 %.0f 件、縮小 %.0f 件、損失 %.0f 件"}.
		With(load.Produced, load.Handled, load.Shed, load.Lost)
	return installer.Item{Manual: fault.Text{
		EN: "If all of it is wanted, the machine is too small for it: %s, with %s. More processors, or less work, help.",
		JA: "すべて必要な活動であれば、マシンの能力が不足しています: %s (%s)。プロセッサーを増やすか、作業を減らしてください。",
	}.With(figures, machine(f))}
}

// exclusionItems are the steps that were asked for. A connector that keeps its exclusions elsewhere gets them in words.
func exclusionItems(f *health.Facts, exclude, include []policy.Exclusion) []installer.Item {
	if f.Connector.Vendor {
		return []installer.Item{{Manual: fault.Text{
			EN: "The exclusions of %s are kept in the vendor's console. Add there, to the policy of this host, as process exclusions: %s; take out: %s.",
			JA: "%s の除外設定はベンダーのコンソールで管理されています。このホストのポリシーのプロセス除外に追加: %s、削除: %s。",
		}.With(f.Connector.Package, values(exclude), values(include))}}
	}
	var items []installer.Item
	if len(exclude) > 0 {
		items = append(items, installer.Item{Step: &installer.Exclude{Exclusions: exclude}})
	}
	if len(include) > 0 {
		items = append(items, installer.Item{Step: &installer.Exclude{Exclusions: include, Remove: true}})
	}
	return items
}

func values(exclusions []policy.Exclusion) string {
	if len(exclusions) == 0 {
		return "-"
	}
	paths := make([]string, len(exclusions))
	for i, x := range exclusions {
		paths[i] = x.Value
	}
	return strings.Join(paths, ", ")
}

// machine is how large the host is.
func machine(f *health.Facts) fault.Text {
	if m := f.Host.Memory; m.Known() {
		return fault.Text{EN: "%d processors and %d MiB of memory", JA: "プロセッサー %d 個、メモリー %d MiB"}.With(processors(), m.Value.Total>>20)
	}
	return fault.Text{EN: "%d processors", JA: "プロセッサー %d 個"}.With(processors())
}
