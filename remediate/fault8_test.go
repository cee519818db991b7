package remediate

import (
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// TestPlanForModules looks at the plans where the policy wants modules and the kernel did not take one.
func TestPlanForModules(t *testing.T) {
	for name, c := range map[string]struct {
		cause   kmod.Cause
		unbuilt layout.Why // when it was tried
		steps   string     // kinds
		words   []string
		headers *host.Headers // that are there now
	}{
		"no key":         {kmod.Unsigned, "", "module-key key-request", []string{"Press any key to perform MOK management", "source=\"auto\"", "Only if nothing else will do"}, nil},
		"lockdown":       {kmod.LockedDown, "", "module-key key-request", []string{"Enroll MOK"}, nil},
		"another one":    {kmod.NameTaken, "", "", []string{"Another module is loaded as ampfsm", "source=\"auto\""}, nil},
		"modules off":    {kmod.LoadingDisabled, "", "", []string{"kernel.modules_disabled"}, nil},
		"SELinux":        {kmod.SELinuxRefused, "", "", []string{"does not let the domain that starts the connector load kernel modules", "source=\"auto\""}, nil},
		"tampered":       {kmod.BadSignature, "", "service", []string{"/opt/cisco/amp/share/kmod/6.1.0-57-amd64/ampfsm.ko was changed after it was signed", "source=\"auto\""}, nil},
		"both":           {kmod.BadSignature, layout.NoHeaders, "headers packages packages service", []string{"was changed after it was signed"}, nil},
		"another kernel": {kmod.OtherKernel, "", "service", []string{"source=\"auto\""}, nil},
		"not built":      {"", layout.BuildFailed, "service", []string{"source=\"auto\""}, nil},
		"no headers":     {"", layout.NoHeaders, "headers packages packages service", []string{"source=\"auto\""}, nil},
		"no compiler":    {"", layout.NoCompiler, "packages service", nil, nil},
		"headers since":  {"", layout.NoHeaders, "service", nil, &host.Headers{Release: "5.14.0-427.el9.x86_64"}},
	} {
		f := soundWorld().facts
		f.Host.Kernel.Value.Headers = host.Read(c.headers, "/lib/modules")
		f.Host.Root = t.TempDir()
		f.Host.PackageManager = host.Read(host.PackageManager{Name: "dnf", Path: "/usr/bin/dnf"}, "/usr/bin/dnf")
		none := host.Read[[][]byte](nil, "efivars")
		f.Host.ModuleLoading = host.ModuleLoading{SecureBoot: host.SecureBoot{UEFI: host.Read(true, "efi"), Enrolled: none, Requested: none}}
		f.Modules.Tried = host.Read(kmod.Outcome{Release: "6.1.0-57-amd64", Causes: map[string]kmod.Cause{kmod.FileModule: c.cause}, Unbuilt: c.unbuilt, Wanted: "gcc-12"}, kmod.OutcomePath)
		plan, err := Plan(&f, fault.Finding{ID: 8, State: fault.Raised, Causes: []string{health.CauseNoModule}})
		if err != nil {
			t.Fatal(err)
		}
		var kinds, words []string
		for _, item := range plan.Items {
			if item.Step == nil {
				words = append(words, item.Manual.EN)
				if item.Manual.JA == "" {
					t.Errorf("%s: %q has no Japanese", name, item.Manual.EN)
				}
				continue
			}
			if _, mokutil := item.Step.(*installer.Packages); !mokutil || c.unbuilt != "" { // which brings mokutil
				kinds = append(kinds, item.Step.Kind())
			}
		}
		if got := strings.Join(kinds, " "); got != c.steps {
			t.Errorf("%s: steps %q, expected %q", name, got, c.steps)
		}
		for _, want := range c.words {
			if !slices.ContainsFunc(words, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("%s: nothing says %q: %q", name, want, words)
			}
		}
	}
}
