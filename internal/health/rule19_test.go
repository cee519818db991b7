package health

import (
	"testing"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/selinux"
)

var perfNeed = selinux.Need{Class: "perf_event", Permissions: []string{"open", "cpu", "kernel", "tracepoint", "read", "write"}}

func TestRule19(t *testing.T) {
	denied := selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: selinux.BPFNeed.Permissions}
	noClass := selinux.Access{Need: selinux.BPFNeed}
	for _, r := range []row{
		{name: "allowed", change: func(*Facts) {}, state: fault.Clear, shown: "allowed"},
		{name: "no connector", change: func(f *Facts) { f.Found = false }, state: fault.NotApplicable, reason: "no connector"},
		{name: "connector not known", change: func(f *Facts) {
			f.Found, f.Host.Installation = false, host.NotKnown[host.Installation]("/opt/cisco", errDenied)
		}, state: fault.Unknown, reason: "installed connector: permission denied"},
		{name: "disabled", change: selinuxMode(selinux.Disabled), state: fault.NotApplicable, reason: "disabled", shown: "disabled"},
		{name: "permissive", change: selinuxMode(selinux.Permissive), state: fault.NotApplicable, reason: "permissive", shown: "permissive"},
		{name: "permissive although denied", change: both(selinuxMode(selinux.Permissive), access(denied)), state: fault.NotApplicable},
		{name: "mode not known", change: func(f *Facts) { f.SELinux.Mode = host.NotKnown[selinux.Mode]("/sys/fs/selinux/enforce", errDenied) },
			state: fault.Unknown, reason: "SELinux mode: permission denied"},
		{name: "denied, absent", change: both(access(denied), store(selinux.ModuleAbsent)), state: fault.Raised,
			causes: []string{CauseRuleMissing, CauseModuleAbsent}, reason: "not installed", shown: "denied: map_create"},
		{name: "denied, disabled", change: both(access(denied), store(selinux.ModuleDisabled)), state: fault.Raised,
			causes: []string{CauseRuleMissing, CauseModuleDisabled}, reason: "disabled"},
		{name: "denied, shadowed", change: both(access(denied), func(f *Facts) {
			f.SELinux.Store.Value = selinux.Store{State: selinux.ModuleShadowed, Priority: 100, Shadow: 400}
		}), state: fault.Raised, causes: []string{CauseRuleMissing, CauseModuleShadowed}, shown: "priority 400 hides ours of priority 100"},
		{name: "denied, present", change: both(access(denied), store(selinux.ModulePresent)), state: fault.Raised,
			causes: []string{CauseRuleMissing, CauseModuleNotLoaded}, reason: "not in the loaded policy"},
		{name: "denied, store not readable", change: both(access(denied), func(f *Facts) {
			f.SELinux.Store = host.NotKnown[selinux.Store]("/var/lib/selinux/targeted", errDenied)
		}), state: fault.Raised, causes: []string{CauseRuleMissing}, shown: "not known: permission denied"},
		{name: "one permission denied", change: access(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: []string{"prog_run"}}),
			state: fault.Raised, causes: []string{CauseRuleMissing, CauseModuleNotLoaded}, reason: "prog_run"},
		{name: "allowed, store absent: the rule came another way", change: store(selinux.ModuleAbsent), state: fault.Clear},
		{name: "allowed, store not readable", change: func(f *Facts) { f.SELinux.Store = host.NotKnown[selinux.Store]("store", errDenied) }, state: fault.Clear},
		{name: "permissive domain", change: access(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: []string{"prog_load"}, PermissiveDomain: true}),
			state: fault.Clear, reason: "is permissive", shown: "the domain is permissive"},
		{name: "no class, allowed", change: access(noClass), state: fault.NotApplicable, reason: "does not know the class"},
		{name: "no class, refused", change: both(access(noClass), denyUnknown(true)), state: fault.Raised,
			causes: []string{CauseClassUnknown}, reason: "refuses what it does not know", shown: "does not know the class bpf"},
		{name: "no class, deny_unknown not readable", change: both(access(noClass), func(f *Facts) {
			f.SELinux.DenyUnknown = host.NotKnown[bool]("/sys/fs/selinux/deny_unknown", errDenied)
		}), state: fault.Unknown, reason: "deny_unknown"},
		{name: "a permission the policy does not know, allowed", change: access(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Missing: []string{"prog_run"}}),
			state: fault.Clear, shown: "not in the loaded policy: prog_run"},
		{name: "a permission the policy does not know, refused", change: both(denyUnknown(true), access(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Missing: []string{"prog_run"}})),
			state: fault.Raised, causes: []string{CauseClassUnknown}, reason: "permission prog_run of class bpf"},
		{name: "kernel does not answer", change: func(f *Facts) {
			f.SELinux.Access[0] = host.NotKnown[selinux.Access]("/sys/fs/selinux/access", errDenied)
		}, state: fault.Unknown, reason: "unconfined_service_t: permission denied"},
		{name: "kernel was not asked", change: func(f *Facts) { f.SELinux.Access = nil }, state: fault.Unknown},
		{name: "domain not known", change: both(access(denied), func(f *Facts) { f.SELinux.Domain = host.NotKnown[string]("/proc/412/attr/current", errDenied) }),
			state: fault.Unknown, reason: "domain of the service"},
		{name: "another domain", change: both(access(denied), func(f *Facts) { f.SELinux.Domain.Value = "amp_t" }), state: fault.Raised,
			causes: []string{CauseRuleMissing, CauseModuleNotLoaded}, reason: "refuses amp_t"},
		{name: "bpf allowed, perf_event denied", change: func(f *Facts) {
			f.SELinux.Access = append(f.SELinux.Access, host.Read(selinux.Access{Need: perfNeed, ClassKnown: true, Denied: []string{"open"}}, "/sys/fs/selinux/access"))
		}, state: fault.Raised, causes: []string{CauseRuleMissing, CauseModuleNotLoaded}, reason: "open of class perf_event"},
		{name: "bpf denied, perf_event not told", change: both(access(denied), func(f *Facts) {
			f.SELinux.Access = append(f.SELinux.Access, host.NotKnown[selinux.Access]("/sys/fs/selinux/access", errDenied))
		}), state: fault.Raised, causes: []string{CauseRuleMissing, CauseModuleNotLoaded}, shown: "not known: permission denied"},
		{name: "bpf allowed, class perf_event not known", change: func(f *Facts) {
			f.SELinux.Access = append(f.SELinux.Access, host.Read(selinux.Access{Need: perfNeed}, "/sys/fs/selinux/access"))
		}, state: fault.Clear},
		{name: "image enforcing, module absent", change: both(image, store(selinux.ModuleAbsent)), state: fault.Unknown, reason: "only the running host can tell", shown: "absent"},
		{name: "image enforcing, module present", change: image, state: fault.Unknown, shown: "present, priority 400"},
		{name: "image disabled", change: both(image, selinuxMode(selinux.Disabled)), state: fault.NotApplicable},
		{name: "vendor", change: func(f *Facts) { f.Connector = host.Connectors[1] }, state: fault.Clear},
	} {
		r.run(t, rule19{})
	}
}

func both(a, b func(*Facts)) func(*Facts) {
	return func(f *Facts) { a(f); b(f) }
}

func image(f *Facts) {
	f.Host.Live = false
	f.SELinux.Access = []host.Reading[selinux.Access]{host.NotKnown[selinux.Access]("/sys/fs/selinux/access", host.ErrNotRunning)}
}

func selinuxMode(m selinux.Mode) func(*Facts) {
	return func(f *Facts) { f.SELinux.Mode.Value = m }
}

func access(a selinux.Access) func(*Facts) {
	return func(f *Facts) { f.SELinux.Access[0].Value = a }
}

func denyUnknown(yes bool) func(*Facts) {
	return func(f *Facts) { f.SELinux.DenyUnknown.Value = yes }
}

func store(s selinux.StoreState) func(*Facts) {
	return func(f *Facts) { f.SELinux.Store.Value.State = s }
}
