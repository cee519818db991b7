package remediate

import (
	"context"
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

const (
	noHeaders    fault.ID = 11
	incompatible fault.ID = 16
)

// nameKernels says in a plan which kernel that offers BTF the host's repositories have, and where the headers of the running one are if they do
// not have those any more; for fault 16 also which versions of the connector they have. It asks the package manager, which may take its time.
func (r *run) nameKernels(ctx context.Context, id fault.ID, items []installer.Item) []installer.Item {
	d, release := r.facts.Host.Distribution.Value, r.facts.Host.Kernel.Value.Release
	var named []installer.Item
	for _, item := range items {
		if s, ok := item.Step.(*installer.Headers); ok && r.gone(ctx, s.Package) {
			named = append(named, item, fromArchive(d, s.Package, release))
			continue
		}
		if item.Step == nil && item.Manual == newerKernel.Manual {
			item = r.newerKernel(ctx, d, release)
			if id == incompatible {
				named = append(named, r.connectorVersions(ctx)...)
			}
		}
		named = append(named, item)
	}
	return manualLast(named)
}

// gone reports whether the repositories are known not to have a package.
func (r *run) gone(ctx context.Context, pkg string) bool {
	versions := r.hands.versions(ctx, r.facts.Host.PackageManager.Value.Name, pkg)
	return versions.Known() && len(versions.Value) == 0
}

// newerKernel names the kernels that are installed and offer BTF, else the newest one of the repositories that does, if there is one.
func (r *run) newerKernel(ctx context.Context, d host.Distribution, release string) installer.Item {
	if fit := fitKernels(r.facts); len(fit) > 0 {
		return installer.Item{Manual: installedKernel.With(strings.Join(fit, ", ")), Commands: []string{"amp-remediate 16 --boot " + fit[0], "systemctl reboot"}}
	}
	manager := r.facts.Host.PackageManager
	names, btf := host.KernelPackages(d, release)
	best := host.KernelOffer{Version: release}
	for _, name := range names {
		for _, version := range r.hands.versions(ctx, manager.Value.Name, name).Value {
			if !host.Newer(btf, version) && host.Newer(version, best.Version) {
				best = host.KernelOffer{Package: name, Version: version}
			}
		}
	}
	if best.Package == "" {
		return newerKernel
	}
	item := installer.Item{Manual: namedKernel.With(best.Package, best.Version), Packages: []string{best.Package}}
	if command := manager.Value.InstallCommand(best.Package); command != nil {
		item.Commands = []string{strings.Join(command, " "), "systemctl reboot"}
	}
	return item
}

// connectorVersions names the versions of the installed connector that the repositories have: one of them may do with this kernel.
func (r *run) connectorVersions(ctx context.Context) []installer.Item {
	manager, pkg := r.facts.Host.PackageManager.Value, r.facts.Connector.Package
	versions := r.hands.versions(ctx, manager.Name, pkg).Value
	command := manager.InstallCommand(pkg)
	if len(versions) == 0 || command == nil {
		return nil
	}
	versions = versions[:min(len(versions), maxNamedVersions)]
	return []installer.Item{{Manual: connectorListed.With(pkg, strings.Join(versions, ", ")), Commands: []string{strings.Join(command, " ")}}}
}

const maxNamedVersions = 5

func fromArchive(d host.Distribution, pkg, release string) installer.Item {
	item := installer.Item{Manual: headersGone.With(pkg, release), Packages: []string{pkg}}
	if archive := host.Archive(d, pkg); archive != "" {
		item.Manual = headersArchived.With(pkg, archive, release)
	}
	return item
}

var (
	installedKernel = fault.Text{
		EN: "Better still, boot a kernel that is installed and offers BTF: %s. Then neither headers nor a compiler are needed, and the connector sees more. It changes to that by itself.",
		JA: "可能であれば、インストール済みで BTF を提供するカーネルで起動してください: %s。ヘッダーもコンパイラーも不要になり、監視できる範囲も広がります。コネクタは自動的に切り替わります。",
	}
	namedKernel = fault.Text{
		EN: "Better still, install %s, version %s, from the host's repositories, a kernel that offers BTF, and reboot into it: then neither headers nor a compiler are needed, and the connector sees more. It changes to that by itself.",
		JA: "可能であれば、ホストのリポジトリから BTF を提供するカーネル %s (バージョン %s) をインストールし、再起動してください。ヘッダーもコンパイラーも不要になり、監視できる範囲も広がります。コネクタは自動的に切り替わります。",
	}
	connectorListed = fault.Text{
		EN: "Of %s, the host's repositories have %s. A newer version than the one that is installed may do with this kernel.",
		JA: "ホストのリポジトリにある %s のバージョンは次のとおりです: %s。インストール済みのものより新しいバージョンであれば、このカーネルに対応している可能性があります。",
	}
	headersGone = fault.Text{
		EN: "The host's repositories do not have %s, as far as their lists are known. If they no longer have it after the lists are read anew, take the package of exactly the kernel %s from an archive of the distribution, or update the kernel.",
		JA: "ホストのリポジトリの一覧に %s がありません。一覧を更新しても見つからない場合は、カーネル %s に正確に一致するパッケージをディストリビューションのアーカイブから入手するか、カーネルを更新してください。",
	}
	headersArchived = fault.Text{
		EN: "The host's repositories do not have %s, as far as their lists are known. If they no longer have it after the lists are read anew, take it from the distribution's archive, %s, with the packages of the same version that it needs, or update the kernel %s.",
		JA: "ホストのリポジトリの一覧に %s がありません。一覧を更新しても見つからない場合は、ディストリビューションのアーカイブ %s から、依存する同じバージョンのパッケージとともに入手するか、カーネル %s を更新してください。",
	}
)
