package installer

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// InstallPlan is what an install does on a host: directories, account, policy module, service. Every item is optional: one
// that fails does not stop the rest, and what it leaves is a fault with a remedy.
func InstallPlan(f *health.Facts) Plan {
	format := "rpm"
	if f.Host.PackageManager.Value.Name == "apt" {
		format = "deb"
	}
	return installPlan(f, EnableAndStart, Occasion{Format: format, First: true})
}

// installPlan is InstallPlan for an occasion; act "" leaves the service alone. It is our package that is installed, whatever
// connector the facts were gathered for.
func installPlan(f *health.Facts, act ServiceAction, o Occasion) Plan {
	var items []Item
	items = append(items, DirectoryItems(f)...)
	items = append(items, AccountItems(f)...)
	items = append(items, PolicyModuleItems(f)...)
	if act != "" {
		items = append(items, serviceItems(ourFacts(), act, o)...)
	}
	return Plan{Name: "install", Items: optional(withoutPackages(items))}
}

// withoutPackages leaves the installation of packages to a person: the package manager holds its lock while a hook runs. What
// cannot be done without them is left too.
func withoutPackages(items []Item) []Item {
	var kept []Item
	var missing []string // tools
	for _, item := range items {
		switch s := item.Step.(type) {
		case *Packages:
			missing = append(missing, s.Tools...)
			item = Item{Manual: installAfterwards.With(strings.Join(s.Names, ", ")), Commands: append(s.Commands(), "amp-remediate all"), Packages: s.Names}
		case *PolicyModule:
			if slices.Contains(missing, "semodule") {
				continue
			}
		}
		kept = append(kept, item)
	}
	return kept
}

var installAfterwards = fault.Text{
	EN: "Install %s, which a package's script cannot do, and have the rest done.",
	JA: "%s をインストールし (パッケージのスクリプトからは実行できません)、残りの設定を行ってください。",
}

func optional(items []Item) []Item {
	for i := range items {
		items[i].Optional = true
	}
	return items
}

// Doctor writes what an install would do on this host, for a person, and changes nothing. It reports whether an install would
// get everything done by itself.
func Doctor(ctx context.Context, h *Host, f *health.Facts, out io.Writer, l fault.Language) (bool, error) {
	results, err := Run(ctx, h, InstallPlan(f), Options{DryRun: true})
	if err != nil {
		return false, err
	}
	fmt.Fprintln(out, doctorHead.With(hostName(f)).In(l))
	whole := true
	for _, r := range results {
		line, commands, gets := doctorLine(r)
		whole = gets && whole
		fmt.Fprintf(out, "  %s\n", line.In(l))
		for _, c := range commands {
			fmt.Fprintf(out, "      %s\n", c)
		}
	}
	if len(results) == 0 {
		fmt.Fprintf(out, "  %s\n", doctorNothing.In(l))
	}
	return whole, nil
}

// What doctor says.
var (
	doctorHead    = fault.Text{EN: "An install on this host (%s) would:", JA: "このホスト (%s) にインストールした場合の動作:"}
	doctorNothing = fault.Text{EN: "change nothing: all is as it should be", JA: "変更なし: すべて正常です"}
	doctorManual  = fault.Text{EN: "leave to you: %s", JA: "手動での操作が必要: %s"}
	doctorLeft    = fault.Text{EN: "leave: %s", JA: "変更なし: %s"}
	doctorSkipped = fault.Text{EN: "find already done: %s", JA: "対応済み: %s"}
	doctorFailed  = fault.Text{EN: "not know how to %s: %v", JA: "実行不可: %s: %v"}
)

// doctorLine is what doctor says of one result of a dry run, and whether an install would get it done.
func doctorLine(r Result) (line fault.Text, commands []string, done bool) {
	if r.Outcome == Manual {
		return doctorManual.With(r.Item.Manual), r.Item.Commands, false
	}
	title := r.Item.Step.Title()
	if s, ok := r.Item.Step.(*Service); ok && s.Left != (fault.Text{}) {
		return doctorLeft.With(s.Left), nil, false
	}
	switch r.Outcome {
	case Skipped:
		return doctorSkipped.With(title), nil, true
	case Failed:
		return doctorFailed.With(title, r.Err), nil, false
	}
	return title, r.Item.Step.Commands(), true
}

func hostName(f *health.Facts) fault.Text {
	if d := f.Host.Distribution; d.Known() && d.Value.Name != "" {
		return fault.Verbatim(d.Value.Name)
	}
	return fault.Text{EN: "of unknown distribution", JA: "ディストリビューション不明"}
}
