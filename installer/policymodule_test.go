package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/selinux"
)

func init() {
	sweepPlans["policy-module"] = func(context.Context, *Host) Plan {
		return Plan{Name: "fault-19", Items: []Item{{Step: ourModule()}}}
	}
}

func ourModule() *PolicyModule {
	return &PolicyModule{
		Domains: []string{host.DefaultDomain}, Needs: []selinux.Need{selinux.BPFNeed}, PolicyType: "default",
		Module: selinux.ModuleName, CIL: selinux.Packaged, Wait: 20 * time.Second,
	}
}

// policyRoot is a root with a real module store that holds the small base policy of the selinux tests.
func policyRoot(t *testing.T) string {
	t.Helper()
	tool, ok := host.FindTool(host.At("/"), "semodule")
	if !ok {
		t.Skip("semodule is missing (package policycoreutils)")
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: semodule cannot make a store")
	}
	dir := t.TempDir()
	for _, d := range []string{"etc/selinux/default/contexts/files", "var/lib/selinux"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/selinux/config"), []byte("SELINUX=enforcing\nSELINUXTYPE=default\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	semodule(t, tool, "-p", dir, "-s", "default", "-n", "-X", "100", "-i", "../selinux/testdata/base.cil")
	return dir
}

func semodule(t *testing.T, tool string, args ...string) {
	t.Helper()
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Fatalf("semodule %q: %v\n%s", args, err, out)
	}
}

// stateAt is an error unless our module is in a state, with the policy built from it.
func stateAt(root string, want selinux.StoreState) error {
	st, err := selinux.ReadStore(host.At(root), "default", selinux.Packaged)
	if err != nil {
		return err
	}
	if st.State != want || !st.Built.Value || want == selinux.ModulePresent && !st.Current.Value {
		return fmt.Errorf("store: %q, current %v, built %v; want %q", st.State, st.Current.Value, st.Built.Value, want)
	}
	return nil
}

func TestPolicyModule(t *testing.T) {
	root := policyRoot(t)
	h, s, ctx := NewHost(host.At(root), nil), ourModule(), t.Context()
	needed := func(want bool) {
		t.Helper()
		if got, err := s.Needed(ctx, h); err != nil || got != want {
			t.Fatalf("needed: %v (%v), want %v", got, err, want)
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	needed(true)
	check(s.Undo(ctx, h)) // before Prepare: nothing to take back
	check(s.Prepare(ctx, h))
	check(s.Undo(ctx, h)) // before Apply
	check(stateAt(root, selinux.ModuleAbsent))
	check(s.Apply(ctx, h))
	check(stateAt(root, selinux.ModulePresent))
	needed(false)
	check(s.Apply(ctx, h)) // again, as after an interruption
	check(s.Undo(ctx, h))
	check(stateAt(root, selinux.ModuleAbsent))
	needed(true)
	check(s.Undo(ctx, h))
}

func TestPolicyModuleDisabled(t *testing.T) {
	root := policyRoot(t)
	h, ctx := NewHost(host.At(root), nil), t.Context()
	module := selinux.Module{Name: selinux.ModuleName, Priority: selinux.Priority, Language: "cil", Source: []byte(selinux.Packaged)}
	change := selinux.Change{Install: []selinux.Module{module}, Disable: []string{module.Name}}
	if err := selinux.Apply(ctx, h.Root, "default", change, time.Minute); err != nil {
		t.Fatal(err)
	}
	results, err := Run(ctx, h, Plan{Name: "fault-19", Items: []Item{{Step: ourModule()}}}, Options{})
	if err != nil || results[0].Outcome != Done {
		t.Fatalf("%+v (%v)", results, err)
	}
	if err := stateAt(root, selinux.ModulePresent); err != nil {
		t.Error(err)
	}
	results, err = Run(ctx, h, Plan{Name: "fault-19", Items: []Item{{Step: ourModule()}}}, Options{})
	if err != nil || results[0].Outcome != Skipped {
		t.Errorf("the second time: %+v (%v)", results, err)
	}
}

func TestPolicyModuleThatDoesNotCompile(t *testing.T) {
	root := policyRoot(t)
	h := NewHost(host.At(root), nil)
	s := ourModule()
	s.CIL = "(allow nosuch_t self (bpf (map_create)))\n" // not optional
	results, err := Run(t.Context(), h, Plan{Name: "fault-19", Items: []Item{{Step: s}}}, Options{})
	if err == nil || results[0].Outcome != Failed {
		t.Fatalf("%+v (%v)", results, err)
	}
	if err := stateAt(root, selinux.ModuleAbsent); err != nil {
		t.Error(err)
	}
}

func TestPolicyModuleWithoutStore(t *testing.T) {
	h := NewHost(host.At(t.TempDir()), nil)
	if _, err := ourModule().Needed(t.Context(), h); !selinux.HasNoStore(err) {
		t.Errorf("%v, want that there is no store", err)
	}
}

func TestPolicyModuleSweep(t *testing.T) {
	sweep{
		plan: "policy-module",
		root: policyRoot,
		recovered: func(root string) error {
			if stateAt(root, selinux.ModulePresent) == nil { // killed after the step was done
				return nil
			}
			return stateAt(root, selinux.ModuleAbsent)
		},
		planned: func(root string) error { return stateAt(root, selinux.ModulePresent) },
		twice:   true,
	}.run(t)
}

// el is an enforcing Enterprise-Linux-like host that refuses bpf to the service and has the tools.
func el() *health.Facts {
	f := &health.Facts{Connector: host.Connectors[0], Found: true}
	f.Host.Live = true
	f.Host.Distribution = host.Read(host.Distribution{ID: "rocky", VersionID: "9.6", Family: host.RedHat}, "os-release")
	f.Host.PackageManager = host.Read(host.PackageManager{Name: "dnf", Path: "/usr/bin/dnf"}, "")
	f.SELinux = selinux.Facts{
		Mode: host.Read(selinux.Enforcing, ""), Configured: host.Read(selinux.Enforcing, ""), PolicyType: host.Read("targeted", ""),
		DenyUnknown: host.Read(false, "/sys/fs/selinux/deny_unknown"), Domain: host.Read(host.DefaultDomain, ""), Needs: []selinux.Need{selinux.BPFNeed},
		Access: []host.Reading[selinux.Access]{host.Read(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: selinux.BPFNeed.Permissions}, "")},
		Store:  host.Read(selinux.Store{State: selinux.ModuleAbsent, Current: host.Read(false, ""), Built: host.Read(true, "")}, ""),
		Tools:  map[string]host.Reading[bool]{"semodule": host.Read(true, ""), "semanage": host.Read(true, "")},
	}
	return f
}

func (s *PolicyModule) short() string {
	return s.Module + ": " + strings.Join(s.Commands(), "; ")
}

func TestPolicyModuleItems(t *testing.T) {
	const install = "cisco-secure-bpf: semodule -X 400 -i /opt/cisco/amp/share/selinux/cisco-secure-bpf.cil"
	store := func(f *health.Facts) *selinux.Store { return &f.SELinux.Store.Value }
	access := func(f *health.Facts) *selinux.Access { return &f.SELinux.Access[0].Value }
	image := func(f *health.Facts) {
		f.Host.Live, f.Host.Root = false, "/mnt"
		f.SELinux.Mode = f.SELinux.Configured
		f.SELinux.Domain = host.NotKnown[string]("", host.ErrNotRunning)
		f.SELinux.Access[0] = host.NotKnown[selinux.Access]("", host.ErrNotRunning)
	}
	for name, c := range map[string]struct {
		change func(*health.Facts)
		want   []string // a step, or the beginning of what a person is told
	}{
		"absent":     {func(*health.Facts) {}, []string{install}},
		"rule holds": {func(f *health.Facts) { access(f).Denied = nil }, nil},
		"permissive": {func(f *health.Facts) { f.SELinux.Mode.Value = selinux.Permissive }, []string{install}},
		"disabled": {func(f *health.Facts) {
			f.SELinux.Mode.Value, f.SELinux.Configured.Value = selinux.Disabled, selinux.Disabled
		}, nil},
		"kernel is silent": {func(f *health.Facts) { f.SELinux.Access[0].Err = errors.New("x") }, nil},
		"module disabled": {func(f *health.Facts) {
			store(f).State, store(f).Current.Value = selinux.ModuleDisabled, true
		}, []string{"cisco-secure-bpf: semodule -e cisco-secure-bpf"}},
		"outdated and disabled": {func(f *health.Facts) { store(f).State = selinux.ModuleDisabled }, []string{install + " -e cisco-secure-bpf"}},
		"not loaded": {func(f *health.Facts) {
			store(f).State, store(f).Current.Value = selinux.ModulePresent, true
		}, []string{"cisco-secure-bpf: semodule -B"}},
		"shadowed": {func(f *health.Facts) {
			store(f).State, store(f).Priority, store(f).Shadow = selinux.ModuleShadowed, 400, 500
		}, []string{"cisco-secure-bpf-allow: amp-remediate 19 --print-policy > cisco-secure-bpf-allow.cil; semodule -X 400 -i cisco-secure-bpf-allow.cil"}},
		"another domain": {func(f *health.Facts) { f.SELinux.Domain.Value = "amp_t" },
			[]string{"cisco-secure-bpf: amp-remediate 19 --print-policy > cisco-secure-bpf.cil; semodule -X 400 -i cisco-secure-bpf.cil"}},
		"vendor's connector": {func(f *health.Facts) { f.Connector = host.Connectors[1] },
			[]string{"cisco-secure-bpf: amp-remediate 19 --print-policy > cisco-secure-bpf.cil; semodule -X 400 -i cisco-secure-bpf.cil"}},
		"class denied": {func(f *health.Facts) {
			*access(f) = selinux.Access{Need: selinux.BPFNeed, Missing: selinux.BPFNeed.Permissions}
			f.SELinux.DenyUnknown.Value = true
		}, []string{"The loaded SELinux policy does not know the class bpf"}},
		"class allowed": {func(f *health.Facts) {
			*access(f) = selinux.Access{Need: selinux.BPFNeed, Missing: selinux.BPFNeed.Permissions}
		}, nil},
		"store not readable": {func(f *health.Facts) { f.SELinux.Store.Err = fs.ErrPermission }, []string{"The SELinux module store cannot be read"}},
		"image":              {image, []string{strings.Replace(install, "semodule", "semodule -p /mnt -s targeted -n", 1)}},
		"image that is ready": {func(f *health.Facts) {
			image(f)
			store(f).State, store(f).Current.Value = selinux.ModulePresent, true
		}, nil},
		"image whose policy was not built": {func(f *health.Facts) {
			image(f)
			store(f).State, store(f).Current.Value, store(f).Built.Value = selinux.ModulePresent, true, false
		}, []string{"cisco-secure-bpf: semodule -p /mnt -s targeted -n -B"}},
		"image without a store": {func(f *health.Facts) { image(f); f.SELinux.Store.Err = fs.ErrNotExist }, nil},
		"image build: kernel without SELinux, configuration with it": {func(f *health.Facts) {
			f.SELinux.Mode.Value = selinux.Disabled
			f.SELinux.Access[0].Err = selinux.ErrDisabled
			f.SELinux.Domain.Err = selinux.ErrDisabled
		}, []string{install}},
	} {
		t.Run(name, func(t *testing.T) {
			f := el()
			c.change(f)
			var got []string
			for i, item := range PolicyModuleItems(f) {
				s, ok := item.Step.(*PolicyModule)
				switch {
				case ok:
					got = append(got, s.short())
				case item.Step == nil && i < len(c.want):
					got = append(got, item.Manual.EN[:min(len(item.Manual.EN), len(c.want[i]))])
				default:
					got = append(got, item.Manual.EN)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPolicyToolsComeFirst(t *testing.T) {
	f := el()
	f.SELinux.Tools["semodule"], f.SELinux.Tools["semanage"] = host.Read(false, ""), host.Read(false, "")
	items := PolicyModuleItems(f)
	if len(items) != 2 || !strings.Contains(strings.Join(items[0].Packages, " ")+fmt.Sprint(items[0]), "policycoreutils") {
		t.Fatalf("our connector: %+v", items)
	}
	if _, ok := items[1].Step.(*PolicyModule); !ok {
		t.Errorf("our connector: the module does not come last: %+v", items)
	}
	f.Connector = host.Connectors[1]
	if items = PolicyModuleItems(f); len(items) != 3 || !strings.Contains(fmt.Sprint(items[1]), "policycoreutils-python-utils") {
		t.Errorf("the vendor's: %+v", items)
	}
}

// TestPolicyByHand: where nothing here can bring semodule, no step is tried that could only fail, and a person gets the module's source.
func TestPolicyByHand(t *testing.T) {
	for name, change := range map[string]func(*health.Facts){
		"package manager not known": func(f *health.Facts) { f.Host.PackageManager = host.NotKnown[host.PackageManager]("", fs.ErrNotExist) },
		"image-based":               func(f *health.Facts) { f.Host.Distribution.Value.Immutable = true },
	} {
		f := el()
		f.SELinux.Tools["semodule"] = host.Read(false, "")
		change(f)
		items := PolicyModuleItems(f)
		if len(items) != 2 || items[0].Step != nil || items[1].Step != nil {
			t.Errorf("%s: two manual items expected: %+v", name, items)
			continue
		}
		want := []string{"amp-remediate 19 --print-policy > cisco-secure-bpf.cil", "semodule -X 400 -i cisco-secure-bpf.cil"}
		if diff := cmp.Diff(want, items[1].Commands); diff != "" || !strings.Contains(items[1].Manual.EN, "semodule") {
			t.Errorf("%s: %q\n%s", name, items[1].Manual.EN, diff)
		}
		if !slices.Equal(items[0].Packages, []string{"policycoreutils"}) {
			t.Errorf("%s: packages %q", name, items[0].Packages)
		}
	}
}

// TestHookInstallsNoPackages: the package manager holds its lock, so that packages and what needs them are left to a person.
func TestHookInstallsNoPackages(t *testing.T) {
	f := el()
	f.SELinux.Tools["semodule"] = host.Read(false, "")
	items := withoutPackages(PolicyModuleItems(f))
	if len(items) != 1 || items[0].Step != nil || !slices.Equal(items[0].Packages, []string{"policycoreutils"}) {
		t.Fatalf("%+v", items)
	}
	want := []string{"dnf install -y policycoreutils", "amp-remediate all"}
	if diff := cmp.Diff(want, items[0].Commands); diff != "" || !strings.HasPrefix(items[0].Manual.EN, "Install policycoreutils, which") {
		t.Errorf("%q\n%s", items[0].Manual.EN, diff)
	}
}
