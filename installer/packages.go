package installer

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// Packages is the step that installs packages of the distribution with its package manager, which is asked nothing and
// waits a limited time for its lock. It is for remedies; a package's own hook cannot install packages, since the package
// manager holds its lock while the hook runs.
type Packages struct {
	Manager string   // "apt", "dnf", "yum", "zypper"
	Names   []string // as the package manager takes them
	Instead []string // names of the package of Names, which is one then, in other releases: the first that the repositories have is installed
	Tools   []string // programs that the packages bring; while one of them is not there the step is needed. Without any, the package database tells

	Fresh []string // for Undo: those of Names and Instead that were not installed before
}

// PackageItems are the items that install packages; none for an empty list. Where the package sets are images, or the package
// manager is not known, a person has to.
func PackageItems(f *health.Facts, pkgs ...string) []Item {
	return packageItems(f, nil, pkgs)
}

// ToolItems are the items that install the packages of the named tools. A tool that no package is known for is left to a person.
func ToolItems(f *health.Facts, tools ...string) []Item {
	var items []Item
	for _, tool := range tools {
		pkg, ok := host.PackageOf(f.Host.Distribution.Value, tool)
		if !ok {
			items = append(items, Item{Manual: installTool.With(tool)})
			continue
		}
		items = append(items, packageItems(f, []string{tool}, []string{pkg})...)
	}
	return items
}

func packageItems(f *health.Facts, tools, pkgs []string) []Item {
	if len(pkgs) == 0 {
		return nil
	}
	m := f.Host.PackageManager
	command := m.Value.InstallCommand(pkgs...)
	switch {
	case !m.Known() || command == nil:
		return []Item{{Manual: installPackages.With(strings.Join(pkgs, ", ")), Packages: pkgs}}
	case f.Host.Distribution.Value.Immutable || managerRows[m.Value.Name].query == nil:
		return []Item{{Manual: installIntoImage.With(strings.Join(pkgs, ", ")), Commands: []string{strings.Join(command, " "), "systemctl reboot"}, Packages: pkgs}}
	}
	return []Item{{Step: &Packages{Manager: m.Value.Name, Names: pkgs, Tools: tools}, Packages: pkgs}}
}

// What only a person can do about packages.
var (
	installTool      = fault.Text{EN: "Install the package that has the program %s.", JA: "プログラム %s を含むパッケージをインストールしてください。"}
	installPackages  = fault.Text{EN: "Install %s.", JA: "%s をインストールしてください。"}
	installIntoImage = fault.Text{
		EN: "Install %s into the system image, and reboot into the new image.",
		JA: "システムイメージに %s をインストールし、新しいイメージで再起動してください。",
	}
)

// packageWait bounds an installation; its download is the long part.
const packageWait = 15 * time.Minute

// managerRow is what differs between package managers.
type managerRow struct {
	environment []string
	options     []string // put after the program's name
	refresh     []string // reads the repositories' lists anew, tried once where a package was not found
	query       []string // succeeds where one package, put last, is known; of its output one word is installed, unless that is ""
	installed   string
	exact       []string // the same for a name with its version, where query does not take one
	rebuilt     []string // prints version and release of all that are installed under a name, where a name may leave the last number of the release open
	remove      []string
	again       []string // installs what is installed
	repair      []string // ends what was interrupted, before anything else can be done
	begun       []string // states, as query tells them, of packages whose scripts any command may run first
	well        []int    // exit statuses beside 0 of work that was done, and of which there is something to tell
}

var (
	rpmQuery = []string{"rpm", "-q", "--whatprovides"}
	rpmExact = []string{"rpm", "-q"}
)

// managerRows: apt waits for dpkg's lock where it is told to (apt 1.9.11 and later; earlier ones ignore the option), zypper
// through its environment, dnf and yum always, until the step's deadline.
var managerRows = map[string]managerRow{
	"apt": {
		environment: []string{"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l"},
		options:     []string{"-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold", "-q"},
		refresh:     []string{"apt-get", "-q", "update"},
		query:       []string{"dpkg-query", "-W", `-f=${db:Status-Status}\n`}, // a line for each architecture
		installed:   "installed",
		remove:      []string{"apt-get", "remove", "-y"},
		again:       []string{"apt-get", "install", "--reinstall", "-y"},
		repair:      []string{"dpkg", "--force-confold", "--configure", "-a"},
		begun:       []string{"unpacked", "half-configured"},
	},
	"dnf": {query: rpmQuery, exact: rpmExact, remove: []string{"dnf", "remove", "-y"}, again: []string{"dnf", "reinstall", "-y"}},
	"yum": {query: rpmQuery, exact: rpmExact, remove: []string{"yum", "remove", "-y"}, again: []string{"yum", "reinstall", "-y"}},
	"zypper": {
		environment: []string{"ZYPP_LOCK_TIMEOUT=120"}, query: rpmQuery, exact: rpmExact, remove: []string{"zypper", "--non-interactive", "remove"},
		rebuilt: []string{"rpm", "-q", "--queryformat", `%{VERSION}-%{RELEASE}\n`},
		again:   []string{"zypper", "--non-interactive", "install", "--force"},
		// zypper(8), "Exit codes": a reboot is needed, zypper has to be started anew, a repository did not refresh and was left out, the
		// script of a package failed.
		well: []int{102, 103, 106, 107},
	},
}

func init() { register(func() Step { return &Packages{} }) }

// Kind implements Step.
func (p *Packages) Kind() string { return "packages" }

// Title implements Step.
func (p *Packages) Title() fault.Text {
	return fault.Text{EN: "install %s", JA: "パッケージ %s のインストール"}.With(strings.Join(p.Names, ", "))
}

// Commands implements Step.
func (p *Packages) Commands() []string {
	return []string{strings.Join(host.PackageManager{Name: p.Manager}.InstallCommand(p.Names...), " ")}
}

// Needed implements Step.
func (p *Packages) Needed(ctx context.Context, h *Host) (bool, error) {
	if len(p.Tools) == 0 {
		missing, err := p.missing(ctx, h)
		if len(p.Instead) > 0 {
			return len(missing) == 1+len(p.Instead), err
		}
		return len(missing) > 0, err
	}
	for _, tool := range p.Tools {
		if _, ok := host.FindTool(h.Root, tool); !ok {
			return true, nil
		}
	}
	return false, nil
}

// Prepare implements Step.
func (p *Packages) Prepare(ctx context.Context, h *Host) (err error) {
	p.Fresh, err = p.missing(ctx, h)
	return err
}

// Apply implements Step.
func (p *Packages) Apply(ctx context.Context, h *Host) error {
	if !h.Live {
		return errors.New("packages are installed on the running host only")
	}
	ctx, cancel := context.WithTimeout(ctx, packageWait)
	defer cancel()
	out, err := p.install(ctx, h, p.Names)
	for _, other := range p.Instead {
		if err == nil || explain(out, err) != noSuchPackage {
			break
		}
		out, err = p.install(ctx, h, []string{other})
	}
	if err != nil {
		return explained(out, err)
	}
	return p.arrived(ctx, h)
}

// install installs packages, with the repositories' lists read anew where they have none of them.
func (p *Packages) install(ctx context.Context, h *Host, names []string) ([]byte, error) {
	row := managerRows[p.Manager]
	return row.attempt(ctx, h, host.PackageManager{Name: p.Manager}.InstallCommand(names...))
}

// attempt runs a command that installs or removes, once more after what was in its way. Where our own package waits to be configured it does nothing:
// its script waits for the lock, which this program holds, and would have to give up without having set anything up.
func (row managerRow) attempt(ctx context.Context, h *Host, command []string) ([]byte, error) {
	if own := host.Connectors[0].Package; row.hasBegun(ctx, h, own) {
		return nil, fault.Errorf(ownUnconfigured, own)
	}
	out, err := row.run(ctx, h, command)
	if err == nil {
		return out, nil
	}
	var first []string
	switch explain(out, err) {
	case noSuchPackage, unreachable:
		first = row.refresh
	case interrupted:
		first = row.repair
	}
	if first == nil {
		return out, err
	}
	if out, err = row.run(ctx, h, first); err == nil {
		out, err = row.run(ctx, h, command)
	}
	return out, err
}

// hasBegun reports whether a package is unpacked and not configured.
func (row managerRow) hasBegun(ctx context.Context, h *Host, pkg string) bool {
	if row.begun == nil {
		return false
	}
	out, err := h.Run(ctx, row.query[0], append(slices.Clone(row.query[1:]), pkg)...)
	return err == nil && slices.ContainsFunc(strings.Fields(string(out)), func(state string) bool { return slices.Contains(row.begun, state) })
}

var ownUnconfigured = fault.Text{
	EN: "the package %s is unpacked and not configured, and its script would wait for this program in vain; run this first: dpkg --configure -a",
	JA: "パッケージ %s が展開されたまま設定されておらず、設定用のスクリプトはこのプログラムの終了を待ち続けることになります。先に次のコマンドを実行してください: dpkg --configure -a",
}

// reinstall installs packages that are installed.
func (p *Packages) reinstall(ctx context.Context, h *Host, names []string) error {
	command := ReinstallCommand(p.Manager, names...)
	if command == nil {
		return errNoReinstall
	}
	ctx, cancel := context.WithTimeout(ctx, packageWait)
	defer cancel()
	return explained(managerRows[p.Manager].attempt(ctx, h, command))
}

// ReinstallCommand is the command that installs packages again that are installed, and asks nothing, as a person would type it; nil for a package
// manager of which it is not known.
func ReinstallCommand(manager string, pkgs ...string) []string {
	again := managerRows[manager].again
	if again == nil {
		return nil
	}
	return append(slices.Clone(again), pkgs...)
}

// explained puts what is known of a failure before it.
func explained(out []byte, err error) error {
	if err == nil {
		return nil
	}
	if why := explain(out, err); why != "" {
		return fmt.Errorf("%s: %w", why, err)
	}
	return err
}

// arrived checks that what was asked for is there now: a package manager may end well and have left it out.
func (p *Packages) arrived(ctx context.Context, h *Host) error {
	if len(p.Tools) == 0 {
		if needed, err := p.Needed(ctx, h); err != nil || needed {
			return orElse(err, fmt.Errorf("%s ended well, and %s is not installed", p.Manager, strings.Join(p.Names, ", ")))
		}
	}
	for _, tool := range p.Tools {
		if _, ok := host.FindTool(h.Root, tool); !ok {
			return fmt.Errorf("%s was installed, and there is no program %s in /usr/sbin, /usr/bin, /sbin, /bin", strings.Join(p.Names, ", "), tool)
		}
	}
	return nil
}

// Undo implements Step: it removes what was newly asked for and is installed now. What came along as dependencies is
// marked as such in the package manager's records and left to its own clean-up.
func (p *Packages) Undo(ctx context.Context, h *Host) error {
	missing, err := p.missing(ctx, h)
	if err != nil {
		return err
	}
	row := managerRows[p.Manager]
	remove := append([]string{}, row.remove...)
	asked := len(remove)
	for _, name := range p.Fresh {
		if !slices.Contains(missing, name) {
			remove = append(remove, name)
		}
	}
	if len(remove) == asked {
		return nil
	}
	return explained(row.attempt(ctx, h, remove))
}

// missing are those of Names and Instead that the package database does not have.
func (p *Packages) missing(ctx context.Context, h *Host) ([]string, error) {
	row, ok := managerRows[p.Manager]
	if !ok {
		return nil, fmt.Errorf("package manager %q is not known", p.Manager)
	}
	if _, ok := host.FindTool(h.Root, row.query[0]); !ok {
		return nil, fmt.Errorf("%s is not installed, so it cannot be told whether %s is", row.query[0], strings.Join(p.Names, ", "))
	}
	var missing []string
	for _, name := range slices.Concat(p.Names, p.Instead) {
		out, err := h.Run(ctx, row.query[0], append(slices.Clone(row.query[1:]), bareName(name))...)
		if err != nil && row.exact != nil {
			out, err = h.Run(ctx, row.exact[0], append(slices.Clone(row.exact[1:]), name)...)
		}
		if err != nil && row.hasRebuild(ctx, h, name) {
			continue
		}
		if err != nil || row.installed != "" && !slices.Contains(strings.Fields(string(out)), row.installed) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// hasRebuild reports whether a rebuild of what a name with a version says is installed: rpm takes a release for what it says, to its last number, and
// uname -r has one less than the packages of SUSE's kernels.
func (row managerRow) hasRebuild(ctx context.Context, h *Host, name string) bool {
	bare, version := host.SplitNamed(name)
	if row.rebuilt == nil || version == "" {
		return false
	}
	out, err := h.Run(ctx, row.rebuilt[0], append(slices.Clone(row.rebuilt[1:]), bare)...)
	return err == nil && slices.ContainsFunc(strings.Fields(string(out)), func(v string) bool { return host.IsRebuild(v, version) })
}

// bareName drops the version that apt takes behind "=".
func bareName(name string) string {
	bare, _, _ := strings.Cut(name, "=")
	return bare
}

// run runs a command of the package manager with its options and environment.
func (row managerRow) run(ctx context.Context, h *Host, command []string) ([]byte, error) {
	args := append(slices.Clone(row.environment), command[0])
	if len(row.repair) == 0 || command[0] != row.repair[0] { // which is another program
		args = append(args, row.options...)
	}
	out, err := h.fetch(ctx, "env", append(args, command[1:]...)...)
	var exit *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &exit) && slices.Contains(row.well, exit.ExitCode()) {
		return out, nil
	}
	return out, err
}

const (
	noSuchPackage = "the host's repositories have no such package"
	unreachable   = "a repository cannot be reached"
	interrupted   = "an earlier installation was interrupted: dpkg --configure -a"
)

// packageTroubles are what package managers print, in their own English (LC_ALL=C), and what it means.
var packageTroubles = []struct{ printed, means string }{
	{"Could not get lock", "another program installs packages"},
	{"Unable to acquire the dpkg", "another program installs packages"},
	{"System management is locked", "another program installs packages"},
	{"dpkg was interrupted", interrupted},
	{"Temporary failure resolving", "the network or its name service does not work"},
	{"Could not resolve", "the network or its name service does not work"},
	{"Couldn't resolve", "the network or its name service does not work"},
	{"Failed to fetch", unreachable},
	{"Cannot download", unreachable},
	{"Failed to download", unreachable},
	{"Cannot retrieve", unreachable},
	{"Curl error", unreachable},
	{"Could not connect", unreachable},
	{"Unable to locate package", noSuchPackage},
	{"has no installation candidate", noSuchPackage},
	{"Unable to find a match", noSuchPackage},
	{"No match for argument", noSuchPackage},
	{"No package ", noSuchPackage},
	{"not found in package names", noSuchPackage},
	{"No space left on device", "the disk is full"},
	{"not enough free space", "the disk is full"},
}

// explain names what kept a package manager from its work, "" if its words are not known.
func explain(out []byte, err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("not done within %v, perhaps because another program installs packages", packageWait)
	}
	text := string(out) + "\n" + err.Error()
	for _, t := range packageTroubles {
		if strings.Contains(text, t.printed) {
			return t.means
		}
	}
	return ""
}
