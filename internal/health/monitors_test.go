package health

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
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

func noBTF(f *Facts) { f.BPF.KernelBTF = host.Read(false, "/sys/kernel/btf/vmlinux") }

func headers(h *host.Headers) func(*Facts) {
	return func(f *Facts) { f.Host.Kernel.Value.Headers = host.Read(h, "/lib/modules/6.1.0-49-amd64/build") }
}

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
		{"no canary yet", 8, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Proved = false }))}, fault.Unknown, "no canary", nil},
		{"degraded and seen", 8, []func(*Facts){monitored(with(proved, func(m *Monitoring) { m.Source = monitor.Degraded }))}, fault.Clear, "", nil},
		{"nothing monitors", 8, []func(*Facts){monitored(Monitoring{Source: monitor.NoSource, Error: "EPERM"})}, fault.Raised, "nothing is monitored", []string{CauseNotMonitors}},
		{"no daemon", 9, []func(*Facts){func(f *Facts) { f.Monitoring = host.NotKnown[Monitoring](control.Socket, errNoDaemon) }}, fault.Unknown, "not running", nil},
		{"vendor's", 8, []func(*Facts){func(f *Facts) { f.Connector.Vendor = true }}, fault.Unknown, "vendor", nil},
		{"files off", 8, []func(*Facts){func(f *Facts) { f.Policy.Value = policy.Policy{MonitorNetwork: true} }}, fault.NotApplicable, "file monitoring is off", nil},
		{"network off", 9, []func(*Facts){func(f *Facts) { f.Policy.Value = policy.Policy{MonitorFiles: true} }}, fault.NotApplicable, "network monitoring is off", nil},

		{"BTF", 11, nil, fault.Clear, "offers BTF", nil},
		{"no BTF, no headers", 11, []func(*Facts){noBTF, headers(nil)}, fault.Raised, "header package is not installed", []string{CauseNoHeaders}},
		{"no BTF, right headers", 11, []func(*Facts){noBTF, headers(right)}, fault.Clear, "installed and complete", nil},
		{"no BTF, headers of another kernel", 11, []func(*Facts){noBTF, headers(&host.Headers{Release: "6.1.0-48-amd64"})}, fault.Raised, "are of 6.1.0-48-amd64", []string{CauseOtherHeaders}},
		{"no BTF, half of the headers", 11, []func(*Facts){noBTF, headers(&host.Headers{Release: "6.1.0-49-amd64", Missing: []string{"scripts/mod/modpost"}})}, fault.Raised, "not complete: scripts/mod/modpost", []string{CauseHalfHeaders}},
		{"no BTF, headers not readable", 11, []func(*Facts){noBTF, func(f *Facts) { f.Host.Kernel.Value.Headers = host.NotKnown[*host.Headers]("/lib", errDenied) }}, fault.Unknown, "", nil},
		{"BTF not readable, no headers", 11, []func(*Facts){func(f *Facts) { f.BPF.KernelBTF = host.NotKnown[bool]("/sys", errDenied) }, headers(nil)}, fault.Unknown, "BTF", nil},
		{"both switches off", 11, []func(*Facts){noBTF, headers(nil), func(f *Facts) { f.Policy.Value = both }}, fault.NotApplicable, "switches", nil},
		{"image with BTF", 11, []func(*Facts){noBTF, func(f *Facts) { f.Host.Live = false; f.Host.Kernel.Value.BTF = host.Read(true, "/boot/config") }}, fault.Clear, "", nil},

		{"loaded", 16, []func(*Facts){monitored(proved)}, fault.Clear, "loaded and attached", nil},
		{"no daemon, and the probe loads", 16, []func(*Facts){func(f *Facts) { f.Monitoring = host.NotKnown[Monitoring](control.Socket, errNoDaemon) }}, fault.Clear, "lets eBPF programs load", nil},
		{"too old", 16, []func(*Facts){func(f *Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EINVAL) }}, fault.Raised, "refuses eBPF programs: invalid argument", []string{CauseProgramsRefused}},
		{"refused by the verifier", 16, []func(*Facts){monitored(Monitoring{Source: monitor.Degraded, Chosen: monitor.EBPFKernelBTF, Error: "R1 invalid mem access"})}, fault.Raised, "R1 invalid mem access", []string{CauseProgramsRefused}},
		{"no right to ask", 16, []func(*Facts){func(f *Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EPERM) }}, fault.Unknown, "", nil},
		{"the daemon has no right", 16, []func(*Facts){func(f *Facts) { f.Daemon = true; f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EPERM) }}, fault.Raised, "operation not permitted", []string{CauseProgramsRefused}},
		{"no BTF, right headers", 16, []func(*Facts){noBTF, headers(right)}, fault.Raised, "cannot work from its headers", []string{CauseNoLayouts}},
		{"no BTF, no headers", 16, []func(*Facts){noBTF, headers(nil)}, fault.Unknown, "without the headers", nil},
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
