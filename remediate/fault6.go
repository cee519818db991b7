package remediate

import (
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/policy"
)

// fault6 starts the scan service anew. What is excluded, and whether definitions are dropped, is an administrator's choice.
var fault6 = remedy{
	plan: planEnds,
	sources: []fault.Text{
		{EN: "the control socket of the daemon: each end of the scan service, with its signal, the memory that was available and the files that were being scanned", JA: "デーモンの制御ソケット: スキャンサービスの各終了のシグナル、空きメモリー、スキャン中だったファイル"},
		{EN: "the last lines of /var/log/cisco/ampdaemon.log and /var/log/cisco/ampscansvc.log", JA: "/var/log/cisco/ampdaemon.log および /var/log/cisco/ampscansvc.log の末尾"},
	},
	commands: []string{"ampcli status -v", "amp-remediate 6 --exclude /srv/EXAMPLE", "amp-remediate 6 --rollback", "dmesg | grep -i -e oom -e segfault"},
}

// planEnds is the plan where nobody chose anything.
func planEnds(f *health.Facts, _ fault.Finding) []installer.Item {
	return append(installer.ScanItems(f), endsByHand(f.Scanning.Value)...)
}

// planChoice is the plan of fault 6 with what was chosen. What is excluded is not scanned, and not monitored either.
func planChoice(f *health.Facts, exclude []policy.Exclusion, rollback bool) []installer.Item {
	var items []installer.Item
	if len(exclude) > 0 {
		items = append(items, installer.Item{Step: &installer.Exclude{Exclusions: exclude}})
	}
	if rollback {
		items = append(items, dropItems(f.Scanning.Value)...)
	}
	items = append(items, installer.ScanItems(f)...)
	if len(exclude) > 0 || rollback {
		return items
	}
	return append(items, endsByHand(f.Scanning.Value)...)
}

// dropItems drops the definitions in use. The built-in ones stay: they are part of the program.
func dropItems(s control.Scan) []installer.Item {
	if s.BuiltIn { // a service that does not run does not say so, and the step finds out
		return []installer.Item{{Manual: nothingToDrop}}
	}
	return []installer.Item{{Step: &installer.DropDefinitions{Version: s.Definitions}}}
}

// offeredPaths is how many files may be offered for exclusion.
const offeredPaths = 5

// endsByHand tells what a person can choose.
func endsByHand(s control.Scan) []installer.Item {
	exclude := installer.Item{Manual: excludeByHand}
	for _, path := range suspects(s) {
		if len(exclude.Commands) < offeredPaths {
			exclude.Commands = append(exclude.Commands, "amp-remediate 6 --exclude "+installer.ShellWord(path))
		}
	}
	if len(exclude.Commands) == 0 {
		exclude.Commands = []string{"amp-remediate 6 --exclude /srv/EXAMPLE"}
	}
	items := []installer.Item{exclude}
	if !s.BuiltIn && s.Definitions != "" {
		items = append(items, installer.Item{
			Manual:   dropByHand.With(s.Definitions),
			Commands: []string{"amp-remediate 6 --rollback"},
		})
	}
	if killed(s) {
		items = append(items, installer.Item{Manual: killedByHand, Commands: []string{"journalctl -k -g oom-kill", "free -m"}})
	}
	return items
}

// suspects are the files at which the service ended: those that come at several ends first. A name that a terminal or the exclusions'
// file could not take is left to a person.
func suspects(s control.Scan) (paths []string) {
	times := map[string]int{}
	var order []string
	add := func(path string) {
		if _, err := installer.NewExclusion(policy.ByPath, path, false); err != nil || quoted(path) != path {
			return
		}
		if times[path] == 0 {
			order = append(order, path)
		}
		times[path]++
	}
	for _, path := range s.SetAside {
		add(path)
	}
	for i := len(s.Ends) - 1; i >= 0; i-- {
		for _, path := range s.Ends[i].Files {
			add(path)
		}
	}
	for several := 1; several >= 0; several-- {
		for _, path := range order {
			if (times[path] > 1) == (several == 1) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// killed reports whether an end may be the kernel's, for want of memory.
func killed(s control.Scan) bool {
	for _, e := range s.Ends {
		if strings.EqualFold(e.Signal, "SIGKILL") && !e.Hung {
			return true
		}
	}
	return false
}

// What a person can do about ends.
var (
	excludeByHand = fault.Text{
		EN: "A file that ends the scan service and is known to be harmless can be excluded; it is then neither scanned nor monitored. ampcli exclusions remove takes it back. A file that nobody knows may be made to end scanners: look at it first.",
		JA: "スキャンサービスを終了させるファイルが無害と分かっている場合は除外できます。除外したファイルはスキャンも監視も行われません。ampcli exclusions remove で取り消せます。出所の分からないファイルは、スキャナーを停止させる目的で作られた可能性があるため、先に確認してください。",
	}
	dropByHand = fault.Text{
		EN: "If it began with the definitions %s, they can be dropped; the set before is used until newer ones come.",
		JA: "定義 %s の適用後に始まった場合は、その定義を取り下げられます。新しい定義が届くまで以前の定義を使用します。",
	}
	nothingToDrop = fault.Text{
		EN: "No definitions but the built-in ones are in use, and those cannot be dropped: update the connector instead.",
		JA: "組み込み以外の定義は使用されていません。組み込みの定義は取り下げられないため、コネクタを更新してください。",
	}
	killedByHand = fault.Text{
		EN: "SIGKILL comes from the kernel when memory runs out, or from a person. If the kernel's log names the scan service, give the host more memory or drop large definitions.",
		JA: "SIGKILL はメモリー不足時のカーネル、または管理者によるものです。カーネルログにスキャンサービスが記録されている場合は、メモリーを増やすか、大きな定義を取り下げてください。",
	}
)
