package installer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// Headers is the step that makes the header tree of a kernel whole: it installs the package of exactly that kernel, and again what is installed
// already and lacks files.
type Headers struct {
	Manager string // as Packages has it
	Package string // as the package manager takes it
	Release string
	Again   bool // it looks whole, and lacks files all the same

	Fresh []string // for Undo, as Packages has it
}

// HeaderItems are the items that bring the headers of the kernel that is judged, and what compiles against them. Where its package is not known, or
// cannot be installed into the running host, a person has to.
func HeaderItems(f *health.Facts) []Item {
	d, release := f.Host.Distribution.Value, f.Host.Kernel.Value.Release
	pkg, ok := host.HeaderPackage(d, release)
	if !ok {
		return []Item{{Manual: headersUnknown.With(release)}}
	}
	tree := f.Host.Kernel.Value.Headers
	again := tree.Known() && tree.Value.Right(release)
	items := PackageItems(f, pkg)
	for i, item := range items {
		if p, ok := item.Step.(*Packages); ok {
			items[i].Step = &Headers{Manager: p.Manager, Package: pkg, Release: release, Again: again}
		}
	}
	return append(items, compileItems(f)...)
}

// compileItems are the items for make and a compiler, as far as they are not there and do not come along.
func compileItems(f *health.Facts) []Item {
	var items []Item
	r := host.At(f.Host.Root)
	for _, tool := range []string{"make", "gcc"} {
		if _, there := host.FindTool(r, tool); !there && (tool != "gcc" || !host.BringsCompiler(f.Host.Distribution.Value)) {
			items = append(items, ToolItems(f, tool)...)
		}
	}
	return items
}

// CompilerItems are the items that install a compiler by the name that the kernel's headers have for it, or "make".
func CompilerItems(f *health.Facts, wanted string) []Item {
	names := host.CompilerPackages(f.Host.Distribution.Value, wanted)
	items := PackageItems(f, names[0])
	for _, item := range items {
		if p, ok := item.Step.(*Packages); ok {
			p.Instead = names[1:]
		}
	}
	return items
}

// HeadersAgain are items for headers that look whole, and that nothing compiles against: a person may install them again.
func HeadersAgain(f *health.Facts) []Item {
	item := Item{Manual: headersAgain}
	if pkg, ok := host.HeaderPackage(f.Host.Distribution.Value, f.Host.Kernel.Value.Release); ok {
		item.Packages = []string{pkg}
		if again := ReinstallCommand(f.Host.PackageManager.Value.Name, pkg); f.Host.PackageManager.Known() && again != nil {
			item.Commands = []string{strings.Join(again, " "), "systemctl reload cisco-amp.service"}
		}
	}
	return []Item{item}
}

var headersAgain = fault.Text{
	EN: "If a header is damaged, install the header package of the running kernel again, and have the connector try anew.",
	JA: "ヘッダーが破損している場合は、稼働中のカーネルのヘッダーパッケージを再インストールし、コネクタに再試行させてください。",
}

var headersUnknown = fault.Text{
	EN: "Install the header package of exactly the kernel %s; its name on this distribution is not known here.",
	JA: "カーネル %s に正確に一致するヘッダーパッケージをインストールしてください。このディストリビューションでのパッケージ名は不明です。",
}

func init() { register(func() Step { return &Headers{} }) }

// Kind implements Step.
func (s *Headers) Kind() string { return "headers" }

// Title implements Step.
func (s *Headers) Title() fault.Text {
	return fault.Text{EN: "install the headers of the kernel %s (%s)", JA: "カーネル %s のヘッダーのインストール (%s)"}.With(s.Release, s.Package)
}

// Commands implements Step.
func (s *Headers) Commands() []string { return s.packages().Commands() }

func (s *Headers) packages() *Packages {
	return &Packages{Manager: s.Manager, Names: []string{s.Package}, Fresh: s.Fresh}
}

// Needed implements Step: the tree itself tells, and not the package database.
func (s *Headers) Needed(_ context.Context, h *Host) (bool, error) {
	tree := host.HeadersOf(h.Root, s.Release)
	return tree.Err == nil && (s.Again || !tree.Value.Right(s.Release)), tree.Err
}

// Prepare implements Step.
func (s *Headers) Prepare(ctx context.Context, h *Host) (err error) {
	s.Fresh, err = s.packages().missing(ctx, h)
	return err
}

// Apply implements Step.
func (s *Headers) Apply(ctx context.Context, h *Host) error {
	p := s.packages()
	if len(s.Fresh) > 0 {
		if err := p.Apply(ctx, h); err != nil {
			return err
		}
	}
	tree := host.HeadersOf(h.Root, s.Release)
	if s.Again || tree.Known() && !tree.Value.Right(s.Release) {
		if err := p.reinstall(ctx, h, s.owners(ctx, h)); err != nil {
			return err
		}
		tree = host.HeadersOf(h.Root, s.Release)
	}
	if tree.Known() && !tree.Value.Right(s.Release) {
		return s.notRight(tree.Value)
	}
	return tree.Err
}

// owners are the packages that the tree's files belong to: it is spread over several, by links.
func (s *Headers) owners(ctx context.Context, h *Host) []string {
	names := []string{s.Package}
	for _, file := range host.HeaderFiles(h.Root, s.Release) {
		owner := host.FindPackageOwner(ctx, h.Root, resolved(h.Root, file)).Value.Package
		owner, _, _ = strings.Cut(owner, ":") // dpkg's architecture
		if owner != "" && owner != s.Package && !slices.Contains(names, owner) {
			names = append(names, owner)
		}
	}
	return names
}

// resolved is a path below the root without links, as package databases have it.
func resolved(r host.Root, name string) string {
	path, err := r.Path(name)
	if err != nil {
		return name
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, r.Dir()), "/")
}

func (s *Headers) notRight(tree *host.Headers) error {
	link := path.Join("/lib/modules", s.Release, "build")
	switch {
	case tree == nil:
		return fmt.Errorf("%s was installed, and there is no %s", s.Package, link)
	case tree.Release != "" && tree.Release != s.Release:
		return fmt.Errorf("%s was installed, and %s is of %s, expected %s", s.Package, link, tree.Release, s.Release)
	}
	return fmt.Errorf("%s was installed, and %s lacks %s", s.Package, link, strings.Join(tree.Missing, ", "))
}

// Undo implements Step. What was there already, and was installed again, stays.
func (s *Headers) Undo(ctx context.Context, h *Host) error {
	if len(s.Fresh) == 0 {
		return nil
	}
	return s.packages().Undo(ctx, h)
}

var errNoReinstall = errors.New("this package manager is not known to install a package again")
