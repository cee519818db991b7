package remediate

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

const oldDebian = "4.19.0-27-amd64"

// withoutLayouts is a Debian host whose kernel has no BTF, with headers as they are and a daemon that met trouble with them.
func withoutLayouts(headers *host.Headers, why *layout.Error, met control.Layouts) *world {
	w := soundWorld()
	f := &w.facts
	f.Host.Root = "/nonexistent"
	f.Host.Distribution = host.Read(host.Distribution{ID: "debian", VersionID: "10", Name: "Debian 10", Family: host.Debian}, "/etc/os-release")
	f.Host.PackageManager = host.Read(host.PackageManager{Name: "apt", Path: "/usr/bin/apt-get"}, "/usr/bin/apt-get")
	f.Host.Kernel = host.Read(host.Kernel{Release: oldDebian, Headers: host.Read(headers, "/lib/modules/"+oldDebian+"/build")}, "uname -r")
	f.BPF.KernelBTF.Value = false
	origin := layout.Derived
	if why != nil {
		origin = layout.None
	}
	f.BPF.Layouts = host.Read(bpf.Layouts{Found: layout.Found{Origin: origin, From: "/tree", Reason: why}, Stamp: "s"}, "/tree")
	f.Monitoring.Value = health.Monitoring{Source: monitor.Degraded, Chosen: monitor.Degraded, Proved: true, Detail: "exec of process 7", Layouts: met}
	if met.Cause != "" {
		f.Monitoring.Value.Chosen, f.Monitoring.Value.Error = monitor.EBPFHeaders, "layouts from /tree: "+met.Cause
	}
	return w
}

func TestPlansOfKernelsWithoutBTF(t *testing.T) {
	whole := &host.Headers{Link: "/lib/modules/" + oldDebian + "/build", Release: oldDebian}
	half := &host.Headers{Link: whole.Link, Release: oldDebian, Missing: []string{"Module.symvers"}}
	stopped := func(w *world) {
		w.facts.Monitoring = host.NotKnown[health.Monitoring](control.Socket, control.ErrNotRunning)
	}
	vendor := func(w *world) { stopped(w); w.facts.Connector = host.Connectors[1] }
	for _, c := range []struct {
		name     string
		id       fault.ID
		w        *world
		change   func(*world)
		kinds    string
		packages string
	}{
		{"no headers", 11, withoutLayouts(nil, &layout.Error{Why: layout.NoHeaders}, control.Layouts{}), nil, "headers packages event-source manual", "linux-headers-" + oldDebian + " make"},
		{"half of the headers", 11, withoutLayouts(half, &layout.Error{Why: layout.TreeIncomplete}, control.Layouts{}), nil, "headers packages event-source manual", "linux-headers-" + oldDebian + " make"},
		{"headers that lack a file", 11, withoutLayouts(whole, nil, control.Layouts{Cause: string(layout.TreeIncomplete)}), nil, "headers packages event-source manual", "linux-headers-" + oldDebian + " make"},
		{"no headers, no daemon", 11, withoutLayouts(nil, &layout.Error{Why: layout.NoHeaders}, control.Layouts{}), stopped, "headers packages service manual", "linux-headers-" + oldDebian + " make"},
		{"no headers, vendor's", 11, withoutLayouts(nil, &layout.Error{Why: layout.NoHeaders}, control.Layouts{}), vendor, "headers packages service manual", "linux-headers-" + oldDebian + " make"},
		{"no headers, and no package manager", 11, withoutLayouts(nil, &layout.Error{Why: layout.NoHeaders}, control.Layouts{}), func(w *world) { w.facts.Host.PackageManager.Value.Name = "apk" }, "manual manual manual", "linux-headers-" + oldDebian + " make"},
		{"no compiler", 16, withoutLayouts(whole, &layout.Error{Why: layout.NoCompiler, From: "/tree", Wanted: "gcc-8"}, control.Layouts{}), nil, "packages event-source manual", "gcc-8"},
		{"no make", 16, withoutLayouts(whole, &layout.Error{Why: layout.NoMake, From: "/tree", Wanted: "make"}, control.Layouts{}), nil, "packages event-source manual", "make"},
		{"another compiler, as the daemon saw", 16, withoutLayouts(whole, nil, control.Layouts{Cause: string(layout.OtherCompiler), Wanted: "gcc-8"}), nil, "packages event-source manual", "gcc-8"},
		{"failed build", 16, withoutLayouts(whole, nil, control.Layouts{Cause: string(layout.BuildFailed), Detail: "x.c:1"}), nil, "manual manual", "linux-headers-" + oldDebian},
	} {
		if c.change != nil {
			c.change(c.w)
		}
		finding, _ := health.CheckOne(&c.w.facts, c.id)
		p, err := Plan(&c.w.facts, finding)
		if got := strings.Join(kinds(p), " "); err != nil || got != c.kinds || strings.Join(packages(p), " ") != c.packages {
			t.Errorf("%s: fault %d is %s, plan %s, packages %s, %v; expected %s, %s", c.name, c.id, finding.State, got, packages(p), err, c.kinds, c.packages)
		}
	}
}

// Of a kernel that refuses the programs it is said what helps: another kernel only where it is the kernel, and headers in no case but that of modules.
func TestPlansOfKernelsThatRefuse(t *testing.T) {
	refused := func(err error) func(*health.Facts) {
		return func(f *health.Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", err) }
	}
	for _, c := range []struct {
		name   string
		id     fault.ID
		change func(*health.Facts)
		steps  bool
		says   string
		not    string
	}{
		{"too old", 16, refused(syscall.EINVAL), false, "boot a kernel of the distribution that offers BTF", "has no right"},
		{"too old, of a distribution that was tested", 16, refused(syscall.EINVAL), false, "tested with the kernels 5.10 of Debian 11, 6.1 of Debian 12", ""},
		{"too old, and no headers", 11, refused(syscall.EINVAL), false, "Do not install headers for this", ""},
		{"too old, and modules are wanted", 11, func(f *health.Facts) {
			refused(syscall.EINVAL)(f)
			f.Policy.Value.Source = policy.SourceModules
		}, true, "offers BTF", "Do not install headers"},
		{"locked down", 16, func(f *health.Facts) {
			refused(syscall.EINVAL)(f)
			f.Host.ModuleLoading.Lockdown = host.Read(host.LockdownConfidentiality, "/sys/kernel/security/lockdown")
		}, false, "as /sys/kernel/security/lockdown says", "boot a kernel of"},
		{"no right", 16, func(f *health.Facts) {
			refused(syscall.EPERM)(f)
			f.BPF.KernelBTF.Value = true
		}, false, "has no right to eBPF", "boot a kernel of"},
	} {
		f := &withoutLayouts(nil, &layout.Error{Why: layout.NoHeaders}, control.Layouts{}).facts
		c.change(f)
		finding, _ := health.CheckOne(f, c.id)
		p, err := Plan(f, finding)
		var said []string
		for _, item := range p.Items {
			if item.Step == nil {
				said = append(said, item.Manual.EN)
				bilingual(t, c.name, item.Manual)
			}
		}
		words := strings.Join(said, "\n")
		if err != nil || finding.State != fault.Raised || steps(p.Items) > 0 != c.steps || !strings.Contains(words, c.says) || c.not != "" && strings.Contains(words, c.not) {
			t.Errorf("%s: fault %d is %s, %d steps, says\n%s\nexpected steps %v, %q and not %q; %v", c.name, c.id, finding.State, steps(p.Items), words, c.steps, c.says, c.not, err)
		}
	}
}

// A kernel that refuses the programs, and has headers, can be monitored by modules: where they help that is said, first of all, with the key where one is needed.
func TestPlansOfModulesInstead(t *testing.T) {
	const newer, from = "6.1.0-57-amd64", "/sys/kernel/security/lockdown"
	tree := func(release string) *host.Headers {
		return &host.Headers{Link: "/lib/modules/" + release + "/build", Release: release}
	}
	mode := func(l host.Lockdown) host.ModuleLoading {
		no := host.Read(false, "/proc")
		return host.ModuleLoading{Disabled: no, Enforced: no, Lockdown: host.Read(l, from)}
	}
	disabled := mode(host.LockdownConfidentiality)
	disabled.Disabled.Value = true
	enforced := mode(host.NoLockdown)
	enforced.Enforced = host.Read(true, "/sys/module/module/parameters/sig_enforce")
	for _, c := range []struct {
		name    string
		release string
		headers *host.Headers
		loading host.ModuleLoading
		refusal error
		source  policy.Source
		want    fault.Text // none: it is not said
	}{
		{"locked down", newer, tree(newer), mode(host.LockdownConfidentiality), syscall.EINVAL, policy.SourceAuto, signedModules.With(from)},
		{"locked down, no headers", newer, nil, mode(host.LockdownConfidentiality), syscall.EINVAL, policy.SourceAuto, fault.Text{}},
		{"locked down, headers of another kernel", newer, tree(oldDebian), mode(host.LockdownConfidentiality), syscall.EINVAL, policy.SourceAuto, fault.Text{}},
		{"locked down, and no modules until the next boot", newer, tree(newer), disabled, syscall.EINVAL, policy.SourceAuto, fault.Text{}},
		{"locked down, modules in the policy already", newer, tree(newer), mode(host.LockdownConfidentiality), syscall.EINVAL, policy.SourceModules, fault.Text{}},
		{"refused", newer, tree(newer), mode(host.NoLockdown), syscall.ENOSYS, policy.SourceAuto, modules},
		{"refused, signatures asked for", newer, tree(newer), enforced, syscall.EINVAL, policy.SourceAuto, signedModules.With(enforced.Enforced.From)},
		{"refused, too old for modules", "3.10.0-1160.el7.x86_64", tree("3.10.0-1160.el7.x86_64"), mode(host.NoLockdown), syscall.EINVAL, policy.SourceAuto, fault.Text{}},
		{"no right", newer, tree(newer), mode(host.NoLockdown), syscall.EPERM, policy.SourceAuto, fault.Text{}},
	} {
		f := &withoutLayouts(c.headers, nil, control.Layouts{}).facts
		f.Host.Kernel.Value.Release, f.Host.ModuleLoading, f.Policy.Value.Source = c.release, c.loading, c.source
		f.BPF.Load = host.NotKnown[bool]("bpf(2)", c.refusal)
		items := planRefused(f)
		var said fault.Text
		for i, item := range items {
			bilingual(t, c.name, item.Manual)
			if strings.Contains(item.Manual.EN, `source="modules"`) && strings.Contains(item.Manual.JA, `source="modules"`) && i == 0 {
				said = item.Manual
			} else if strings.Contains(item.Manual.EN+item.Manual.JA, `source="modules"`) {
				t.Errorf("%s: item %d says %q", c.name, i, item.Manual.EN)
			}
		}
		if key := slices.Equal(items[0].Commands, []string{"amp-remediate 8"}); said != c.want || key != strings.Contains(c.want.EN, "amp-remediate 8") {
			t.Errorf("%s: says %q, commands %q; expected %q", c.name, said.EN, items[0].Commands, c.want.EN)
		}
	}
}

// The repositories are asked what they have; what they do not tell is not made up.
func TestKernelsOfTheRepositories(t *testing.T) {
	const headers = "linux-headers-" + oldDebian
	for _, c := range []struct {
		name string
		have map[string][]string // nil: it cannot be asked
		says []string
		not  string
	}{
		{"a newer kernel", map[string][]string{"linux-image-amd64": {"6.1.192-2", "5.10.1-1", "4.19.300-1"}, headers: {"4.19.316-1"}}, []string{"install linux-image-amd64, version 6.1.192-2", "apt-get install -y linux-image-amd64"}, "snapshot"},
		{"newer kernels that have none", map[string][]string{"linux-image-amd64": {"5.4.1-1", "4.19.300-1"}, headers: {"4.19.316-1"}}, []string{"boot a kernel of the distribution that offers BTF"}, "linux-image-amd64"},
		{"no headers", map[string][]string{"linux-image-amd64": {"6.1.192-2"}}, []string{"do not have " + headers, "https://snapshot.debian.org/binary/" + headers + "/", "version 6.1.192-2"}, ""},
		{"not known", nil, []string{"boot a kernel of the distribution that offers BTF"}, "snapshot"},
	} {
		w := withoutLayouts(nil, &layout.Error{Why: layout.NoHeaders}, control.Layouts{})
		plan := Plan
		code, out, _ := w.remedy(t, call{args: []string{"11"}, adapt: func(tool *Tool) {
			tool.DryRun = true
			tool.hands.Plan = plan
			tool.hands.Versions = func(_ context.Context, manager, pkg string) host.Reading[[]string] {
				if c.have == nil {
					return host.NotKnown[[]string](manager, errDisk)
				}
				return host.Read(c.have[pkg], manager)
			}
		}})
		missing := slices.DeleteFunc(slices.Clone(c.says), func(s string) bool { return strings.Contains(out, s) })
		if code != ExitThere || len(missing) > 0 || c.not != "" && strings.Contains(out, c.not) {
			t.Errorf("%s: exit code %d, lacks %q, or has %q:\n%s", c.name, code, missing, c.not, out)
		}
	}
}

// Fault 16 may be of this version of the connector alone: the others that can be had are named, which fault 11 has no use for.
func TestConnectorsOfTheRepositories(t *testing.T) {
	const says = "Of amp-connector, the host's repositories have 0.3.0, 0.2.0."
	plan := Plan
	for _, c := range []struct {
		id     string
		why    layout.Why
		have   []string
		listed bool
	}{
		{"16", layout.NoCompiler, []string{"0.3.0", "0.2.0"}, true},
		{"16", layout.NoCompiler, nil, false},
		{"11", layout.NoHeaders, []string{"0.3.0", "0.2.0"}, false},
	} {
		headers := &host.Headers{Link: "/lib/modules/" + oldDebian + "/build", Release: oldDebian}
		if c.why == layout.NoHeaders {
			headers = nil
		}
		w := withoutLayouts(headers, &layout.Error{Why: c.why, From: "/tree", Wanted: "gcc-8"}, control.Layouts{})
		_, out, _ := w.remedy(t, call{args: []string{c.id}, adapt: func(tool *Tool) {
			tool.DryRun, tool.hands.Plan = true, plan
			tool.hands.Versions = func(_ context.Context, manager, pkg string) host.Reading[[]string] {
				if pkg == "amp-connector" {
					return host.Read(c.have, manager)
				}
				return host.Read([]string(nil), manager)
			}
		}})
		if strings.Contains(out, says) != c.listed || strings.Contains(out, "apt-get install -y amp-connector") != c.listed {
			t.Errorf("fault %s, repositories with %q: listed should be %v:\n%s", c.id, c.have, c.listed, out)
		}
	}
}

func TestTextsOfKernels(t *testing.T) {
	d := host.Distribution{ID: "debian"}
	for name, text := range map[string]fault.Text{
		"from an archive": fromArchive(d, "p", "r").Manual, "from none": fromArchive(host.Distribution{}, "p", "r").Manual, "named": namedKernel.With("p", "1"), "connectors": connectorListed.With("p", "1"),
	} {
		bilingual(t, name, text)
	}
}
