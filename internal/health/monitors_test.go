package health

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

// monitored is the facts of a sound host whose daemon monitors by m.
func monitored(m Monitoring) func(*Facts) {
	return func(f *Facts) { f.Monitoring = host.Read(m, control.Socket) }
}

var proved = Monitoring{Source: monitor.EBPFKernelBTF, Chosen: monitor.EBPFKernelBTF, Hooks: "fentry", Proved: true, Detail: "exec of process 7"}

// with is m with a change.
func with(m Monitoring, change func(*Monitoring)) Monitoring {
	change(&m)
	return m
}

// standIn is a daemon that monitors by what is left, since the modules that the policy wants are not there.
var standIn = Monitoring{Source: monitor.Degraded, Chosen: monitor.Degraded, Hooks: "fanotify", Proved: true}

var refusedFiles = map[string]string{kmod.FileModule: "Required key not available"}

func moduleFacts(refused map[string]string, files, network bool) kmod.Facts {
	f := kmod.Facts{
		Loaded: map[string]host.Reading[bool]{kmod.FileModule: host.Read(files, "/sys"), kmod.NetworkModule: host.Read(network, "/sys")},
		Tried:  host.Read(kmod.Outcome{Refused: refused}, kmod.OutcomePath),
	}
	if refused == nil {
		f.Tried = host.NotKnown[kmod.Outcome](kmod.OutcomePath, fs.ErrNotExist)
	}
	return f
}

// modules is a host whose policy wants modules.
func modules(refused map[string]string, files, network bool) func(*Facts) {
	return func(f *Facts) {
		f.Policy.Value.Source = policy.SourceModules
		f.Modules = moduleFacts(refused, files, network)
	}
}

func modulesNotKnown(f *Facts) {
	modules(nil, true, true)(f)
	f.Modules.Loaded[kmod.FileModule] = host.NotKnown[bool]("/sys", errDenied)
}

func noBTF(f *Facts) { f.BPF.KernelBTF = host.Read(false, "/sys/kernel/btf/vmlinux") }

func headers(h *host.Headers) func(*Facts) {
	return func(f *Facts) { f.Host.Kernel.Value.Headers = host.Read(h, "/lib/modules/6.1.0-49-amd64/build") }
}

func layouts(origin layout.Origin, why *layout.Error) func(*Facts) {
	return func(f *Facts) {
		f.BPF.Layouts = host.Read(bpf.Layouts{Found: layout.Found{Origin: origin, From: "/boot/btf", Reason: why}}, "/boot/btf")
	}
}

func layoutsNotKnown(f *Facts) {
	f.BPF.Layouts = host.NotKnown[bpf.Layouts]("/var/lib/cisco/amp/btf", errDenied)
}

func noRight(f *Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EPERM) }

func noDaemon(f *Facts) { f.Monitoring = host.NotKnown[Monitoring](control.Socket, errNoDaemon) }

func passed(f *Facts) {
	f.BPF.Layouts.Value.Passed = []*layout.Error{{Why: layout.OtherRelease, From: "/boot/vmlinux", Detail: "build id ab"}}
}

// byHeaders is a daemon whose source waits for layouts, or did not get them.
func byHeaders(l control.Layouts) Monitoring {
	m := Monitoring{Source: monitor.Degraded, Chosen: monitor.EBPFHeaders, Layouts: l}
	if l.Cause != "" {
		m.Error = "layouts from /tree: " + l.Cause
	}
	return m
}

var (
	errNoCompiler = &layout.Error{Why: layout.NoCompiler, From: "/lib/modules/6.1.0-49-amd64/build", Wanted: "gcc-12"}
	incomplete    = control.Layouts{From: "/tree", Cause: string(layout.TreeIncomplete), Detail: "linux/fs.h: No such file or directory"}
	failedBuild   = control.Layouts{From: "/tree", Cause: string(layout.BuildFailed), Detail: "x.c:3: error: unknown type", Log: "/log"}
)

func TestMonitorRules(t *testing.T) {
	right := &host.Headers{Link: "/lib/modules/6.1.0-49-amd64/build", Release: "6.1.0-49-amd64"}
	both := policy.Policy{}
	for _, c := range []struct {
		name   string
		id     fault.ID
		change []func(*Facts)
		state  fault.State
		reason string // part of it
		causes []string
	}{
		{"all seen", 8, []func(*Facts){monitored(proved)}, fault.Clear, "arrived", nil},
		{"all seen", 9, []func(*Facts){monitored(proved)}, fault.Clear, "arrived", nil},
		{"rename is missing", 8, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Missing = monitor.KindsOf(monitor.FileRename) }))}, fault.Raised, "does not see: rename", []string{CauseBlind}},
		{"rename is missing", 9, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Missing = monitor.KindsOf(monitor.FileRename) }))}, fault.Clear, "", nil},
		{"flows are missing", 9, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Missing = monitor.NetworkKinds }))}, fault.Raised, "does not see: open, close, listen", []string{CauseBlind}},
		{"execs are missing", 8, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Missing = monitor.KindsOf(monitor.Exec) }))}, fault.Raised, "exec", []string{CauseBlind}},
		{"no canary yet", 8, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Proved, m.Detail = false, "" }))}, fault.Unknown, "no canary", nil},
		{"the last canary says nothing", 9, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Proved, m.Detail = false, "events were being lost" }))}, fault.Unknown, "events were being lost", nil},
		{"degraded and seen", 8, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Source = monitor.Degraded }))}, fault.Clear, "", nil},
		{"nothing monitors", 8, []func(*Facts){monitored(Monitoring{Source: monitor.NoSource, Error: "EPERM"})}, fault.Raised, "nothing is monitored", []string{CauseNotMonitors}},
		{"no daemon", 9, []func(*Facts){func(f *Facts) { f.Monitoring = host.NotKnown[Monitoring](control.Socket, errNoDaemon) }}, fault.Unknown, "not running", nil},
		{"vendor's", 8, []func(*Facts){func(f *Facts) { f.Connector.Vendor = true }}, fault.Unknown, "vendor", nil},
		{"files off", 8, []func(*Facts){func(f *Facts) { f.Policy.Value = policy.Policy{MonitorNetwork: true} }}, fault.NotApplicable, "file monitoring is off", nil},
		{"network off", 9, []func(*Facts){func(f *Facts) { f.Policy.Value = policy.Policy{MonitorFiles: true} }}, fault.NotApplicable, "network monitoring is off", nil},

		{"modules, all loaded", 8, []func(*Facts){modules(nil, true, true), monitored(with(proved, func(m *Monitoring) { m.Source, m.Chosen = monitor.Modules, monitor.Modules }))}, fault.Clear, "arrived", nil},
		{"modules, that of files is refused", 8, []func(*Facts){modules(refusedFiles, false, true), monitored(standIn)}, fault.Raised, "ampfsm is not loaded: Required key", []string{CauseNoModule}},
		{"modules, that of files is refused", 9, []func(*Facts){modules(refusedFiles, false, true), monitored(standIn)}, fault.Clear, "arrived", nil},
		{"modules, never tried", 9, []func(*Facts){modules(nil, false, false), monitored(standIn)}, fault.Raised, "was not loaded since the host was started", []string{CauseNoModule}},
		{"modules, not known", 8, []func(*Facts){modulesNotKnown, monitored(standIn)}, fault.Unknown, "kernel module ampfsm", nil},
		{"modules, loaded and not read", 9, []func(*Facts){modules(nil, true, true), monitored(with(standIn, func(m *Monitoring) { m.Chosen, m.Error = monitor.Modules, "EBUSY" }))}, fault.Raised, "cannot be read: EBUSY", []string{CauseNotRead}},
		{"modules, refused, and nothing monitors", 8, []func(*Facts){modules(refusedFiles, false, true), monitored(Monitoring{Source: monitor.NoSource})}, fault.Raised, "nothing is monitored", []string{CauseNoModule, CauseNotMonitors}},
		{"modules, refused, and not forced", 8, []func(*Facts){func(f *Facts) { f.Modules = moduleFacts(refusedFiles, false, false) }, monitored(proved)}, fault.Clear, "arrived", nil},
		{"modules", 16, []func(*Facts){modules(nil, true, true), monitored(with(proved, func(m *Monitoring) { m.Source, m.Chosen = monitor.Modules, monitor.Modules }))}, fault.Clear, "kernel modules are loaded", nil},

		{"modules, no BTF, no headers", 11, []func(*Facts){modules(nil, true, true), noBTF, headers(nil), monitored(with(proved, func(m *Monitoring) { m.Source, m.Chosen = monitor.Modules, monitor.Modules }))}, fault.Clear, "kernel modules are loaded", nil},
		{"modules that are not loaded, no BTF, no headers", 11, []func(*Facts){modules(nil, false, false), noBTF, headers(nil), monitored(standIn)}, fault.Raised, "header package is not installed", []string{CauseNoHeaders}},
		{"modules, and another kernel without BTF and headers", 11, []func(*Facts){modules(nil, true, true), otherKernel(false), headers(nil), layouts(layout.None, &layout.Error{Why: layout.NoHeaders}), monitored(with(proved, func(m *Monitoring) { m.Source = monitor.Modules }))}, fault.Raised, "is not installed", []string{CauseNoHeaders}},

		{"BTF", 11, nil, fault.Clear, "offers BTF", nil},
		{"no BTF, no headers", 11, []func(*Facts){noBTF, headers(nil)}, fault.Raised, "header package is not installed", []string{CauseNoHeaders}},
		{"no BTF, right headers", 11, []func(*Facts){noBTF, headers(right)}, fault.Clear, "installed and complete", nil},
		{"no BTF, in a file, no headers", 11, []func(*Facts){noBTF, headers(nil), layouts(layout.External, nil)}, fault.Clear, "a file has the BTF", nil},
		{"no BTF, a file passed over, no headers", 11, []func(*Facts){noBTF, headers(nil), layouts(layout.None, &layout.Error{Why: layout.NoHeaders}), passed}, fault.Raised, "header package is not installed", []string{CauseNoHeaders}},
		{"no BTF, right headers, no compiler", 11, []func(*Facts){noBTF, headers(right), layouts(layout.None, errNoCompiler)}, fault.Clear, "installed and complete", nil},
		{"no BTF, headers that lack a file", 11, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), monitored(byHeaders(incomplete))}, fault.Raised, "not complete: the kernel's header tree is not complete: linux/fs.h", []string{CauseHalfHeaders}},
		{"no BTF, headers that lack a file", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), monitored(byHeaders(incomplete))}, fault.Unknown, "without the headers", nil},
		{"no BTF, derivation failed", 11, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), monitored(byHeaders(failedBuild))}, fault.Clear, "installed and complete", nil},
		{"no BTF, a file of another kernel", 16, []func(*Facts){noBTF, headers(nil), layouts(layout.External, nil), monitored(byHeaders(control.Layouts{Cause: string(layout.OtherRelease)}))}, fault.Raised, "another kernel", []string{CauseNotDerived}},
		{"no BTF, files not known, no headers", 11, []func(*Facts){noBTF, headers(nil), layoutsNotKnown}, fault.Unknown, "file with BTF", nil},
		{"no BTF, files not known, right headers", 11, []func(*Facts){noBTF, headers(right), layoutsNotKnown}, fault.Clear, "installed and complete", nil},
		{"image without BTF, in a file", 11, []func(*Facts){func(f *Facts) { f.Host.Live = false; f.Host.Kernel.Value.BTF = host.Read(false, "/boot/config") }, headers(nil), layouts(layout.External, nil)}, fault.Clear, "a file has the BTF", nil},
		{"image of which no BTF is known, no headers", 11, []func(*Facts){func(f *Facts) {
			f.Host.Live = false
			f.Host.Kernel.Value.BTF = host.NotKnown[bool]("/boot/config", errDenied)
		}, headers(nil), layouts(layout.None, &layout.Error{Why: layout.NoHeaders})}, fault.Unknown, "BTF", nil},
		{"no BTF, headers of another kernel", 11, []func(*Facts){noBTF, headers(&host.Headers{Release: "6.1.0-48-amd64"})}, fault.Raised, "are of 6.1.0-48-amd64", []string{CauseOtherHeaders}},
		{"no BTF, half of the headers", 11, []func(*Facts){noBTF, headers(&host.Headers{Release: "6.1.0-49-amd64", Missing: []string{"scripts/mod/modpost"}})}, fault.Raised, "not complete: scripts/mod/modpost", []string{CauseHalfHeaders}},
		{"no BTF, headers not readable", 11, []func(*Facts){noBTF, func(f *Facts) { f.Host.Kernel.Value.Headers = host.NotKnown[*host.Headers]("/lib", errDenied) }}, fault.Unknown, "", nil},
		{"BTF not readable, no headers", 11, []func(*Facts){func(f *Facts) { f.BPF.KernelBTF = host.NotKnown[bool]("/sys", errDenied) }, headers(nil)}, fault.Unknown, "BTF", nil},
		{"both switches off", 11, []func(*Facts){noBTF, headers(nil), func(f *Facts) { f.Policy.Value = both }}, fault.NotApplicable, "switches", nil},
		{"another kernel with BTF, this one without", 11, []func(*Facts){noBTF, otherKernel(true), headers(nil)}, fault.Clear, "offers BTF", nil},
		{"another kernel without BTF, this one with", 11, []func(*Facts){otherKernel(false), headers(nil), layouts(layout.None, &layout.Error{Why: layout.NoHeaders})}, fault.Raised, "is not installed", []string{CauseNoHeaders}},
		{"another kernel without BTF, what the daemon met with this one", 11, []func(*Facts){otherKernel(false), headers(right), layouts(layout.Derived, nil), monitored(byHeaders(incomplete))}, fault.Clear, "installed and complete", nil},
		{"another kernel", 16, []func(*Facts){otherKernel(true), monitored(proved)}, fault.Unknown, "only the running host", nil},
		{"image with BTF", 11, []func(*Facts){noBTF, func(f *Facts) { f.Host.Live = false; f.Host.Kernel.Value.BTF = host.Read(true, "/boot/config") }}, fault.Clear, "", nil},

		{"loaded", 16, []func(*Facts){monitored(proved)}, fault.Clear, "loaded and attached", nil},
		{"no daemon, and the probe loads", 16, []func(*Facts){func(f *Facts) { f.Monitoring = host.NotKnown[Monitoring](control.Socket, errNoDaemon) }}, fault.Clear, "lets eBPF programs load", nil},
		{"too old", 16, []func(*Facts){func(f *Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EINVAL) }}, fault.Raised, "refuses eBPF programs: invalid argument", []string{CauseProgramsRefused}},
		{"refused by the verifier", 16, []func(*Facts){monitored(Monitoring{Source: monitor.Degraded, Chosen: monitor.EBPFKernelBTF, Error: "R1 invalid mem access"})}, fault.Raised, "R1 invalid mem access", []string{CauseProgramsRefused}},
		{"no right to ask", 16, []func(*Facts){noRight}, fault.Unknown, "", nil},
		{"the daemon has no right", 16, []func(*Facts){func(f *Facts) { f.Daemon = true; f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EPERM) }}, fault.Raised, "operation not permitted", []string{CauseProgramsRefused}},
		{"the daemon is short of memory", 16, []func(*Facts){func(f *Facts) { f.Daemon = true; f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.ENOMEM) }}, fault.Unknown, "cannot allocate memory", nil},
		{"no right to ask, and the daemon has none", 16, []func(*Facts){noRight, monitored(standIn)}, fault.Raised, "operation not permitted", []string{CauseProgramsRefused}},
		{"a right to ask, and the daemon has none", 16, []func(*Facts){monitored(standIn)}, fault.Unknown, "this program may load them, and the connector goes without", nil},
		{"a right to ask, and the daemon is refused for another reason", 16, []func(*Facts){modules(nil, false, false), monitored(standIn)}, fault.Clear, "lets eBPF programs load", nil},
		{"no right to ask, and the daemon has no BTF", 16, []func(*Facts){noRight, noBTF, headers(nil), layouts(layout.None, &layout.Error{Why: layout.NoHeaders}), monitored(standIn)}, fault.Unknown, "", nil},
		{"no right to ask, and the policy wants modules", 16, []func(*Facts){noRight, modules(nil, false, false), monitored(standIn)}, fault.Unknown, "", nil},
		{"no right to ask, and SELinux may be why", 16, []func(*Facts){noRight, monitored(standIn), func(f *Facts) {
			f.SELinux.Mode = host.NotKnown[selinux.Mode]("/sys/fs/selinux/enforce", errDenied)
		}}, fault.Unknown, "", nil},
		{"no BTF, no headers", 16, []func(*Facts){noBTF, headers(nil), layouts(layout.None, &layout.Error{Why: layout.NoHeaders})}, fault.Unknown, "without the headers", nil},
		{"no BTF, half of the headers", 16, []func(*Facts){noBTF, layouts(layout.None, &layout.Error{Why: layout.TreeIncomplete})}, fault.Unknown, "without the headers", nil},
		{"no BTF, no compiler", 16, []func(*Facts){noBTF, headers(right), layouts(layout.None, errNoCompiler)}, fault.Raised, "is not installed: gcc-12", []string{CauseNoCompiler}},
		{"no BTF, shuffled", 16, []func(*Facts){noBTF, headers(right), layouts(layout.None, &layout.Error{Why: layout.Shuffled, From: "/tree"})}, fault.Raised, "shuffles", []string{CauseNotDerived}},
		{"no BTF, an image's headers", 16, []func(*Facts){noBTF, headers(right), layouts(layout.None, &layout.Error{Why: layout.NotHere})}, fault.Unknown, "on the host that runs", nil},
		{"no BTF, where layouts are is not known", 16, []func(*Facts){noBTF, headers(right), layoutsNotKnown}, fault.Unknown, "denied", nil},
		{"no BTF, being derived", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), monitored(byHeaders(control.Layouts{Pending: true}))}, fault.Unknown, "at the moment", nil},
		{"no BTF, derivation failed", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), monitored(byHeaders(failedBuild))}, fault.Raised, "failed: x.c:3: error: unknown type (/log)", []string{CauseNotDerived}},
		{"no BTF, failed for a reason of a newer daemon", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), monitored(byHeaders(control.Layouts{Cause: "full-moon"}))}, fault.Raised, "(full-moon)", []string{CauseNotDerived}},
		{"no BTF, compiler went away since", 16, []func(*Facts){noBTF, headers(right), layouts(layout.None, errNoCompiler), monitored(byHeaders(failedBuild))}, fault.Raised, "gcc-12", []string{CauseNoCompiler}},
		{"no BTF, derived, no daemon", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Cached, nil), noDaemon}, fault.Clear, "lets eBPF programs load", nil},
		{"no BTF, to be derived, no daemon", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Derived, nil), noDaemon}, fault.Unknown, "not derived yet", nil},
		{"no BTF, in a file, no daemon", 16, []func(*Facts){noBTF, headers(nil), layouts(layout.External, nil), noDaemon}, fault.Clear, "lets eBPF programs load", nil},
		{"no BTF, in a file, no right to ask", 16, []func(*Facts){noBTF, layouts(layout.External, nil), noDaemon, noRight}, fault.Unknown, "", nil},
		{"no BTF, derived, programs refused", 16, []func(*Facts){noBTF, layouts(layout.Cached, nil), monitored(with(byHeaders(control.Layouts{Origin: "cached derivation"}), func(m *Monitoring) { m.Error = "R1 invalid" }))}, fault.Raised, "R1 invalid", []string{CauseProgramsRefused}},
		{"by headers", 16, []func(*Facts){noBTF, headers(right), layouts(layout.Cached, nil), monitored(with(proved, func(m *Monitoring) { m.Source = monitor.EBPFHeaders }))}, fault.Clear, "loaded and attached", nil},
		{"image", 16, []func(*Facts){func(f *Facts) { f.Host.Live = false }}, fault.Unknown, "", nil},
		{"both switches off", 16, []func(*Facts){func(f *Facts) { f.Policy.Value = both }}, fault.NotApplicable, "switches", nil},

		{"handled", 18, []func(*Facts){monitored(proved)}, fault.Clear, "handled", nil},
		{"reduced", 18, []func(*Facts){monitored(loaded(monitor.Reduced, monitor.Sustained))}, fault.Raised, "faster than they can be handled", []string{CauseSustained}},
		{"losing", 18, []func(*Facts){monitored(loaded(monitor.Critical, monitor.Losing))}, fault.Raised, "being lost", []string{CauseLosing}},
		{"persisting", 18, []func(*Facts){monitored(loaded(monitor.Critical, monitor.Persisting))}, fault.Raised, "long time", []string{CausePersisting}},
		{"no daemon", 18, []func(*Facts){func(f *Facts) { f.Monitoring = host.NotKnown[Monitoring](control.Socket, errNoDaemon) }}, fault.Unknown, "not running", nil},
		{"both switches off", 18, []func(*Facts){func(f *Facts) { f.Policy.Value = both }}, fault.NotApplicable, "switches", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := sound()
			f.Host.Kernel = host.Read(host.Kernel{Release: "6.1.0-49-amd64"}, "uname -r")
			for _, change := range c.change {
				change(f)
			}
			got, _ := CheckOne(f, c.id)
			if got.State != c.state || !strings.Contains(got.Reason.EN, c.reason) || !slices.Equal(got.Causes, c.causes) {
				t.Errorf("fault %d: %s, %q, %v; expected %s, %q, %v", c.id, got.State, got.Reason.EN, got.Causes, c.state, c.reason, c.causes)
			}
			if got.State == fault.Raised && len(got.Evidence) == 0 {
				t.Error("raised without evidence")
			}
			if got.Reason.JA == "" || got.Reason.JA == got.Reason.EN {
				t.Errorf("the reason in Japanese is %q", got.Reason.JA)
			}
		})
	}
}

// otherKernel has another kernel judged than the one that runs, which has BTF by its build configuration or not.
func otherKernel(btf bool) func(*Facts) {
	return func(f *Facts) {
		f.Host.Kernel.Value.Other = true
		f.Host.Kernel.Value.BTF = host.Read(btf, "/boot/config")
	}
}

func loaded(level monitor.Level, cause monitor.Cause) Monitoring {
	return with(proved, func(m *Monitoring) {
		m.Overload = monitor.OverloadState{Level: level, Cause: cause, Limits: monitor.DefaultOverloadLimits, Trouble: time.Minute}
	})
}

func TestSeverityOfOverload(t *testing.T) {
	for level, want := range map[monitor.Level]fault.Severity{monitor.Reduced: fault.Major, monitor.Critical: fault.Critical} {
		f := sound()
		monitored(loaded(level, monitor.Sustained))(f)
		if got, _ := CheckOne(f, 18); got.Severity != want {
			t.Errorf("%s is %s, expected %s", level, got.Severity, want)
		}
	}
}

// What the daemon measured comes to another program as it is.
func TestOverloadOfAStatus(t *testing.T) {
	m := monitoringOf(&control.Status{Load: &control.Load{Level: "reduced", Cause: "sustained", Shed: 7, Limits: control.Limits{Queue: 0.5, Persist: 120}}})
	if o := m.Overload; o.Level != monitor.Reduced || o.Cause != monitor.Sustained || o.Shed != 7 || o.Limits.Persist != 2*time.Minute {
		t.Errorf("%+v", o)
	}
	if o := monitoringOf(&control.Status{Load: &control.Load{Level: "of a newer daemon"}}).Overload; o.Level != monitor.Critical {
		t.Errorf("%+v", o)
	}
}

func TestMonitoringOfAStatus(t *testing.T) {
	s := &control.Status{
		Source: control.Source{Name: "degraded", Chosen: "ebpf", Hooks: "fanotify", Error: "EPERM"},
		Canary: &control.Canary{Detail: "d", Seen: []string{"exec"}, Missing: []string{"rename", "of a newer daemon"}},
	}
	m := monitoringOf(s)
	if m.Source != monitor.Degraded || m.Chosen != monitor.EBPFKernelBTF || !m.Proved || m.Missing != monitor.KindsOf(monitor.FileRename) || m.Seen != monitor.KindsOf(monitor.Exec) {
		t.Errorf("%+v", m)
	}
	s.Canary.Skipped = true
	if monitoringOf(s).Proved {
		t.Error("a canary that was not sent proves something")
	}
	if m, s := askDaemon(t.Context(), host.At("/"), t.TempDir()+"/none"); !errors.Is(m.Err, errNoDaemon) || !errors.Is(s.Err, errNoDaemon) {
		t.Errorf("%v, %v", m.Err, s.Err)
	}
	if m, s := askDaemon(t.Context(), host.At(t.TempDir()), control.Socket); !errors.Is(m.Err, host.ErrNotRunning) || !errors.Is(s.Err, host.ErrNotRunning) {
		t.Errorf("an image: %v, %v", m.Err, s.Err)
	}
}
