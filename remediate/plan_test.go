package remediate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/selinux"
)

// kinds are the kinds of a plan's steps in order, "manual" for what a person does.
func kinds(p installer.Plan) (kinds []string) {
	for _, item := range p.Items {
		if item.Step == nil {
			kinds = append(kinds, "manual")
		} else {
			kinds = append(kinds, item.Step.Kind())
		}
	}
	return kinds
}

func packages(p installer.Plan) (names []string) {
	for _, item := range p.Items {
		names = append(names, item.Packages...)
	}
	return names
}

// scanning makes the running scan process another one than it should be.
func scanning(change func(*control.Scan)) func(*world) {
	return func(w *world) {
		u := w.facts.Host.Account.User.Value
		s := control.Scan{State: control.ScanReady, PID: 500, User: u.Name, UID: u.UID, GID: u.GID}
		change(&s)
		w.facts.Scanning = host.Read(s, control.Socket)
	}
}

// changedBy makes a directory one that others may write to, with who did that.
func changedBy(r host.Reading[*host.Change]) func(*world) {
	return func(w *world) {
		d := host.Connectors[0].Directories[0]
		w.facts.Host.Directories = []host.DirectoryFact{{Want: d, State: host.Read(&host.DirectoryState{Mode: 0o777, IsDir: true}, d.Path)}}
		w.facts.Changes = map[string]host.Reading[*host.Change]{d.Path: r}
	}
}

func TestPlan(t *testing.T) {
	denied := func(w *world) {
		w.facts.SELinux.Access[0].Value.Denied = selinux.BPFNeed.Permissions
		w.facts.SELinux.Store.Value = selinux.Store{State: selinux.ModuleAbsent}
		w.facts.SELinux.DenyUnknown = host.Read(false, "/sys/fs/selinux/deny_unknown")
		w.facts.SELinux.PolicyType = host.Read("targeted", "/etc/selinux/config")
		w.facts.Host.PackageManager = host.Read(host.PackageManager{Name: "dnf", Path: "/usr/bin/dnf"}, "/usr/bin/dnf")
	}
	noTools := func(w *world) {
		w.facts.SELinux.Tools = map[string]host.Reading[bool]{"semodule": host.Read(false, "semodule"), "semanage": host.Read(false, "semanage")}
	}
	for _, c := range []struct {
		name     string
		id       fault.ID
		change   []func(*world)
		kinds    []string
		packages []string
	}{
		{"sound", 19, nil, nil, nil},
		{"denied", 19, []func(*world){denied}, []string{"policy-module", "service"}, nil},
		{"denied, no semodule", 19, []func(*world){denied, noTools}, []string{"packages", "policy-module", "service"}, []string{"policycoreutils"}},
		{"denied, no tools, vendor's connector", 19, []func(*world){denied, noTools, func(w *world) { w.facts.Connector = host.Connectors[1] }},
			[]string{"packages", "policy-module", "service"}, []string{"policycoreutils", "policycoreutils-python-utils"}},
		{"class unknown", 19, []func(*world){denied, func(w *world) {
			w.facts.SELinux.Access[0].Value = selinux.Access{Need: selinux.BPFNeed, Missing: selinux.BPFNeed.Permissions}
			w.facts.SELinux.DenyUnknown.Value = true
		}}, []string{"manual"}, nil},
		{"no user", 5, []func(*world){func(w *world) { w.facts.Host.Account.User.Value = nil }}, []string{"account-locks", "user", "service"}, nil},
		{"nobody knows who changed a directory", 5, []func(*world){changedBy(host.Read[*host.Change](nil, "the logs"))}, []string{"directory", "service", "manual"}, nil},
		{"a log tells who changed a directory", 5, []func(*world){changedBy(host.Read(&host.Change{PID: 5}, "a log"))}, []string{"directory", "service"}, nil},
		{"the scan process runs as root", 5, []func(*world){scanning(func(s *control.Scan) { s.AsRoot, s.UID, s.UserError = true, 0, "refused" })}, []string{"scan-service"}, nil},
		{"the scan process runs as another user", 5, []func(*world){scanning(func(s *control.Scan) { s.UID = 1000 })}, []string{"scan-service"}, nil},
		{"the scan process runs with another group", 5, []func(*world){scanning(func(s *control.Scan) { s.GID = 100 })}, []string{"scan-service"}, nil},
		{"the scan process runs in further groups", 5, []func(*world){scanning(func(s *control.Scan) { s.Groups = []uint32{4} })}, []string{"scan-service"}, nil},
		{"the scan process runs with capabilities", 5, []func(*world){scanning(func(s *control.Scan) { s.Capable = true })}, []string{"scan-service"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := soundWorld()
			for _, change := range c.change {
				change(w)
			}
			finding, _ := health.CheckOne(&w.facts, c.id)
			p, err := Plan(&w.facts, finding)
			got := slices.Compact(kinds(p)) // a step a package or one for all is the installer's choice
			if err != nil || !slices.Equal(got, c.kinds) {
				t.Errorf("plan %v, %v; want %v (fault is %s)", got, err, c.kinds, finding.State)
			}
			if got := packages(p); c.id == 19 && !slices.Equal(got, c.packages) {
				t.Errorf("packages %v, want %v", got, c.packages)
			}
		})
	}
}

func TestPlanWithoutRemedy(t *testing.T) {
	for _, entry := range fault.All() {
		r, ok := remedies[entry.ID]
		if !ok || len(r.sources) == 0 || len(r.commands) == 0 {
			t.Errorf("fault %d has nothing to explain", entry.ID)
		}
		if (r.plan != nil) != entry.Judged {
			t.Errorf("fault %d: judged %v, remedy %v", entry.ID, entry.Judged, r.plan != nil)
		}
		if _, err := Plan(&soundWorld().facts, fault.Finding{ID: entry.ID, State: fault.Unknown}); errors.Is(err, ErrNoRemedy) == entry.Judged {
			t.Errorf("Plan of fault %d: %v", entry.ID, err)
		}
	}
}

func TestManualLast(t *testing.T) {
	w := soundWorld()
	items := manualLast([]installer.Item{{Manual: fault.Verbatim("reboot")}, w.step("a", nil), {Manual: fault.Verbatim("buy")}, w.step("b", nil)})
	var order []string
	for _, item := range items {
		if item.Step != nil {
			order = append(order, item.Step.Title().EN)
		} else {
			order = append(order, item.Manual.EN)
		}
	}
	if want := []string{"a", "b", "reboot", "buy"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

func TestPolicySource(t *testing.T) {
	f := &soundWorld().facts
	source, err := PolicySource(f, fault.English)
	if err != nil || !strings.Contains(source, "(allow unconfined_service_t self (bpf (map_create map_read map_write prog_load prog_run)))") {
		t.Errorf("%v\n%s", err, source)
	}
	for line := range strings.Lines(source) {
		if !strings.HasPrefix(line, ";") && !strings.HasPrefix(strings.TrimSpace(line), "(") {
			t.Errorf("line is neither a comment nor CIL: %q", line)
		}
	}
	f.SELinux.Domain = host.Read("amp_t", "/proc/412/attr/current")
	if source, err = PolicySource(f, fault.English); err != nil || !strings.Contains(source, "allow amp_t self") {
		t.Errorf("%v\n%s", err, source)
	}
	f.SELinux.Store.Value = selinux.Store{State: selinux.ModuleShadowed, Priority: 400, Shadow: 500}
	if source, err = PolicySource(f, fault.English); err != nil || !strings.Contains(source, "-i cisco-secure-bpf-allow.cil") {
		t.Errorf("beside an admin's module: %v\n%s", err, source)
	}
	f.SELinux.Store.Value = selinux.Store{State: selinux.ModuleDisabled, Priority: 400}
	if source, err = PolicySource(f, fault.English); err != nil || !strings.Contains(source, "semodule -e cisco-secure-bpf\n") {
		t.Errorf("disabled: %v\n%s", err, source)
	}
}
