package installer

import (
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// EngineItems are the items that install the library of the scan engine. That a repository which is not the distribution's own is set up is
// an administrator's to decide, and never a program's.
func EngineItems(f *health.Facts) []Item {
	d := f.Host.Distribution
	source, ok := host.EngineSource(d.Value)
	switch {
	case !d.Known() || !ok:
		return []Item{{Manual: engineUnknown.With(strings.Join(host.EngineSonames, ", "))}}
	case source.Repository != "" && !(f.Host.Engine.Repository.Known() && f.Host.Engine.Repository.Value):
		return []Item{{Manual: engineRepository.With(source.Name, strings.ToUpper(source.Repository)), Packages: []string{source.Name}, Commands: append(source.Enable, engineCommands(f, source.Name)...)}}
	}
	items := PackageItems(f, source.Name)
	for _, item := range items {
		if p, ok := item.Step.(*Packages); ok {
			p.Instead = source.Instead
		}
	}
	return items
}

// engineCommands end what a person does by hand with the remedy, which starts the service and proves it.
func engineCommands(f *health.Facts, pkg string) []string {
	var commands []string
	if m := f.Host.PackageManager; m.Known() {
		if install := m.Value.InstallCommand(pkg); install != nil {
			commands = append(commands, strings.Join(install, " "))
		}
	}
	return append(commands, "amp-remediate 7")
}

// What only a person can do about the library.
var (
	engineUnknown = fault.Text{
		EN: "Install ClamAV's library, one of %s; which package of this distribution has it is not known here.",
		JA: "ClamAV のライブラリ (%s のいずれか) をインストールしてください。このディストリビューションでのパッケージ名は不明です。",
	}
	engineRepository = fault.Text{
		EN: "Install %s. It comes from the repository %s, which is not set up on this host: set it up first.",
		JA: "%s をインストールしてください。このパッケージはリポジトリ %s にあり、このホストでは未設定のため、先に設定してください。",
	}
)
