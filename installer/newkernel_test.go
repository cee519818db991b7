package installer

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
)

func TestNewKernel(t *testing.T) {
	const release = "6.1.0-49-amd64"
	right := host.Read(&host.Headers{Link: "/lib/modules/" + release + "/build", Release: release}, "/lib/modules/"+release+"/build")
	off := policy.Default()
	off.MonitorFiles, off.MonitorNetwork = false, false
	headers := func(f *health.Facts) { f.Host.Kernel.Value.Headers = right }
	layouts := func(found layout.Found) func(*health.Facts) {
		return func(f *health.Facts) { f.BPF.Layouts = host.Read(bpf.Layouts{Found: found}, found.From) }
	}
	for _, c := range []struct {
		name    string
		change  []func(*health.Facts)
		failure error // of the derivation
		derived bool
		ready   bool
		says    []string // nothing else is said where it is empty
	}{
		{name: "BTF", change: []func(*health.Facts){func(f *health.Facts) { f.Host.Kernel.Value.BTF.Value = true }}, ready: true},
		{name: "a file has it", change: []func(*health.Facts){layouts(layout.Found{Origin: layout.External, From: "/boot/btf"})}, ready: true},
		{name: "derived before", change: []func(*health.Facts){headers, layouts(layout.Found{Origin: layout.Cached})}, ready: true},
		{name: "headers", change: []func(*health.Facts){headers, layouts(layout.Found{Origin: layout.Derived})}, derived: true, ready: true, says: []string{release + " are derived"}},
		{
			name: "headers of the kernel that runs", change: []func(*health.Facts){headers, layouts(layout.Found{Origin: layout.Derived}), func(f *health.Facts) { f.Host.Kernel.Value.Other = false }},
			derived: true, ready: true, says: []string{"which runs, are derived", "without a reboot"},
		},
		{
			name: "headers, and the build fails", change: []func(*health.Facts){headers, layouts(layout.Found{Origin: layout.Derived})},
			failure: &layout.Error{Why: layout.BuildFailed, Detail: "x.c:1: error: y"}, derived: true, says: []string{"fault 16", "x.c:1: error: y"},
		},
		{
			name:    "headers, and it takes too long",
			change:  []func(*health.Facts){headers, layouts(layout.Found{Origin: layout.Derived})},
			failure: context.DeadlineExceeded, derived: true, says: []string{"fault 16", "deadline"},
		},
		{
			name: "headers, no compiler", change: []func(*health.Facts){headers, layouts(layout.Found{Origin: layout.None, Reason: &layout.Error{Why: layout.NoCompiler, Wanted: "gcc-12"}})},
			says: []string{"fault 16", "gcc-12", "apt-get install -y gcc-12"},
		},
		{
			name: "no headers", change: []func(*health.Facts){layouts(layout.Found{Origin: layout.None, Reason: &layout.Error{Why: layout.NoHeaders}})},
			says: []string{"after a reboot into " + release, "fault 11", "apt-get install -y linux-headers-" + release},
		},
		{name: "not known", change: []func(*health.Facts){func(f *health.Facts) { f.Host.Kernel.Value.BTF.Err = errors.New("no config") }}, says: []string{"is not known", "no config"}},
		{name: "monitoring is off", change: []func(*health.Facts){func(f *health.Facts) { f.Policy.Value = off }}, ready: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &health.Facts{Found: true, Connector: host.Connectors[0], Policy: host.Read(policy.Default(), policy.Path)}
			f.Host.Live, f.Host.Root = true, t.TempDir()
			f.Host.Distribution = host.Read(host.Distribution{ID: "debian", VersionID: "12", Family: host.Debian}, "/etc/os-release")
			f.Host.PackageManager = host.Read(host.PackageManager{Name: "apt"}, "apt-get")
			f.Host.Kernel = host.Read(host.Kernel{Release: release, Other: true, BTF: host.Read(false, "/boot/config-"+release)}, "--kernel")
			f.BPF.KernelBTF = host.Read(true, "/sys/kernel/btf/vmlinux") // of the kernel that runs
			for _, change := range c.change {
				change(f)
			}
			derived := false
			var out bytes.Buffer
			prepare := Preparation{Layouts: func(_ context.Context, k host.Kernel) error {
				derived = k.Release == release
				return c.failure
			}}
			ready := NewKernel(t.Context(), f, prepare, &out, fault.English)
			if ready != c.ready || derived != c.derived {
				t.Errorf("ready %v, derived %v; expected %v, %v", ready, derived, c.ready, c.derived)
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.String())
				}
			}
			if len(c.says) == 0 && out.Len() > 0 {
				t.Errorf("said:\n%s", out.String())
			}
			out.Reset()
			if NewKernel(t.Context(), f, prepare, &out, fault.Japanese); (out.Len() > 0) != (len(c.says) > 0) {
				t.Errorf("in Japanese:\n%s", out.String())
			}
		})
	}
}

// TestNewKernelModules is TestNewKernel where the policy wants modules: no layouts are derived, and the modules are built where there are none.
func TestNewKernelModules(t *testing.T) {
	const release = "6.1.0-49-amd64"
	lacks := func(why layout.Why, wanted string) error {
		return &layout.Error{Why: why, From: "/lib/modules", Wanted: wanted}
	}
	signed := func(f *health.Facts) { f.Host.ModuleLoading.Enforced = host.Read(true, "sig_enforce") }
	for _, c := range []struct {
		name   string
		change func(*health.Facts)
		built  bool
		err    error
		asked  bool
		ready  bool
		says   []string
	}{
		{name: "there", asked: true, ready: true},
		{name: "built", built: true, asked: true, ready: true, says: []string{"built for " + release}},
		{
			name: "built for the kernel that runs", built: true, asked: true, ready: true, says: []string{"built for " + release + ", which runs", "without a reboot", "amp-remediate 8"},
			change: func(f *health.Facts) { f.Host.Kernel.Value.Other = false },
		},
		{
			name: "built anew for the kernel that runs, where they are loaded", built: true, asked: true, ready: true, says: []string{"after a reboot"},
			change: func(f *health.Facts) {
				f.Host.Kernel.Value.Other = false
				f.Modules.Loaded = map[string]host.Reading[bool]{kmod.FileModule: host.Read(true, ""), kmod.NetworkModule: host.Read(true, "")}
			},
		},
		{name: "no headers", err: lacks(layout.NoHeaders, ""), asked: true, says: []string{"faults 8 and 9", "apt-get install -y linux-headers-" + release}},
		{name: "no compiler", err: lacks(layout.NoCompiler, "gcc-12"), asked: true, says: []string{"faults 8 and 9", "apt-get install -y gcc-12"}},
		{
			name: "the build fails", err: &layout.Error{Why: layout.BuildFailed, From: "/lib/modules", Detail: "x.c:1: error: y"}, asked: true,
			says: []string{"faults 8 and 9", "x.c:1: error: y"},
		},
		{name: "no room", err: errors.New("no space left"), asked: true, says: []string{"no space left"}},
		{name: "built, and no key", built: true, change: signed, asked: true, says: []string{"built for", "sig_enforce", "amp-remediate 8"}},
		{
			name: "loaded today, by whatever key", asked: true, ready: true,
			change: func(f *health.Facts) {
				signed(f)
				f.Modules.Loaded = map[string]host.Reading[bool]{kmod.FileModule: host.Read(true, ""), kmod.NetworkModule: host.Read(true, "")}
			},
		},
		{
			name: "it offers BTF, which is not used", asked: true, built: true, ready: true, says: []string{"built for " + release},
			change: func(f *health.Facts) { f.Host.Kernel.Value.BTF.Value = true },
		},
		{name: "monitoring is off", ready: true, change: func(f *health.Facts) { f.Policy.Value.MonitorFiles, f.Policy.Value.MonitorNetwork = false, false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			wants := policy.Default()
			wants.Source = policy.SourceModules
			f := &health.Facts{Found: true, Connector: host.Connectors[0], Policy: host.Read(wants, policy.Path)}
			f.Host.Live, f.Host.Root = true, t.TempDir()
			f.Host.Distribution = host.Read(host.Distribution{ID: "debian", VersionID: "12", Family: host.Debian}, "/etc/os-release")
			f.Host.PackageManager = host.Read(host.PackageManager{Name: "apt"}, "apt-get")
			f.Host.Kernel = host.Read(host.Kernel{Release: release, Other: true, BTF: host.Read(false, "/boot/config-"+release)}, "--kernel")
			f.Host.ModuleLoading.Lockdown.Value = host.NoLockdown
			if c.change != nil {
				c.change(f)
			}
			for _, language := range []fault.Language{fault.English, fault.Japanese} {
				asked := false
				var out bytes.Buffer
				ready := NewKernel(t.Context(), f, Preparation{Modules: func(_ context.Context, k host.Kernel) (bool, error) {
					asked = k.Release == release
					return c.built, c.err
				}}, &out, language)
				if ready != c.ready || asked != c.asked || (out.Len() > 0) != (len(c.says) > 0) {
					t.Errorf("%s: ready %v, asked %v; expected %v, %v; said:\n%s", language, ready, asked, c.ready, c.asked, out.String())
				}
				for _, want := range c.says {
					if language == fault.English && !strings.Contains(out.String(), want) {
						t.Errorf("%q is missing in\n%s", want, out.String())
					}
				}
			}
		})
	}
}
