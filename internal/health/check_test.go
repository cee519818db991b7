package health

import (
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

func TestCheckListsTheCatalogue(t *testing.T) {
	findings := Check(sound())
	if len(findings) != 9 {
		t.Fatalf("%d findings, want 9", len(findings))
	}
	for i, entry := range fault.All() {
		got := findings[i]
		if got.ID != entry.ID || got.Severity != entry.Severity || got.Reason.EN == "" || got.Reason.JA == "" {
			t.Errorf("finding %d: %+v", i, got)
		}
		if _, judged := rules[entry.ID]; judged != entry.Judged {
			t.Errorf("fault %d: the catalogue says judged %v, the rules say %v", entry.ID, entry.Judged, judged)
		}
		if !entry.Judged && (got.State != fault.Unknown || got.Reason != notJudged) {
			t.Errorf("fault %d is %s, %q; want unknown", got.ID, got.State, got.Reason.EN)
		}
	}
}

func TestCheckOne(t *testing.T) {
	f := sound()
	shell("/bin/bash")(f)
	if got, ok := CheckOne(f, 5); !ok || got.State != fault.Raised || got.ID != 5 || got.Severity != fault.Minor {
		t.Errorf("CheckOne(5) = %+v, %v", got, ok)
	}
	if _, ok := CheckOne(f, 99); ok {
		t.Error("CheckOne(99) found a fault")
	}
}

func TestExplain(t *testing.T) {
	findings := []fault.Finding{
		{ID: 6, State: fault.Raised}, {ID: 8, State: fault.Unknown}, {ID: 16, State: fault.Raised}, {ID: 18, State: fault.Raised}, {ID: 19, State: fault.Raised},
	}
	explain(findings)
	for i, want := range []fault.ID{0, 0, 19, 19, 0} {
		if findings[i].Cause != want {
			t.Errorf("cause of fault %d is %d, want %d", findings[i].ID, findings[i].Cause, want)
		}
	}
}

// A fault explains another one only where mending it could.
func TestExplainByWhatWasMet(t *testing.T) {
	for _, c := range []struct {
		id, other fault.ID
		met       string
		otherMet  string
		want      fault.ID
	}{
		{8, 19, CauseNoModule, "", 0}, // a module needs no right to bpf(2)
		{8, 19, CauseNotMonitors, "", 19},
		{9, 11, CauseNoModule, "", 11},
		{16, 11, CauseProgramsRefused, "", 0}, // headers do not change what the kernel says to programs
		{16, 11, CauseNotDerived, "", 11},
		{18, 8, CauseLosing, CauseBlind, 0}, // what a source does not see does not load it
		{18, 9, CauseLosing, CauseBlind, 0},
		{18, 8, CauseLosing, CauseNoModule, 8},
		{18, 9, CauseSustained, CauseNotRead, 9},
	} {
		findings := []fault.Finding{{ID: c.id, State: fault.Raised, Causes: []string{c.met}}, {ID: c.other, State: fault.Raised, Causes: []string{c.otherMet}}}
		if explain(findings); findings[0].Cause != c.want {
			t.Errorf("fault %d, %s, beside fault %d: the cause is %d, expected %d", c.id, c.met, c.other, findings[0].Cause, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		source monitor.SourceName
		reason string
	}{
		{"sound", func(*Facts) {}, monitor.EBPFKernelBTF, ""},
		{"switches off", func(f *Facts) { f.Policy.Value = policy.Policy{} }, monitor.NoSource, "off"},
		{"network only", func(f *Facts) { f.Policy.Value = policy.Policy{MonitorNetwork: true} }, monitor.EBPFKernelBTF, ""},
		{"policy not readable", func(f *Facts) { f.Policy = host.NotKnown[policy.Policy](policy.Path, errDenied) }, monitor.EBPFKernelBTF, ""},
		{"fault 19, though a shell may load", access(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: []string{"prog_load"}}), monitor.Degraded, "fault 19"},
		{"refused", func(f *Facts) { f.BPF.Load.Value = false }, monitor.Degraded, "refuses"},
		{"refused to the daemon", func(f *Facts) {
			f.Daemon, f.BPF.Load = true, host.NotKnown[bool]("bpf(2)", syscall.EPERM)
		}, monitor.Degraded, "operation not permitted"},
		{"too old, whoever asks", func(f *Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EINVAL) }, monitor.Degraded, "refuses eBPF programs: invalid argument"},
		{"short of memory at the moment", func(f *Facts) {
			f.Daemon, f.BPF.Load = true, host.NotKnown[bool]("bpf(2)", syscall.ENOMEM)
		}, monitor.EBPFKernelBTF, "cannot allocate memory"},
		{"no BTF", func(f *Facts) { f.BPF.KernelBTF.Value = false }, monitor.Degraded, "no BTF"},
		{"no BTF, no compiler", func(f *Facts) { noBTF(f); layouts(layout.None, errNoCompiler)(f) }, monitor.Degraded, "gcc-12"},
		{"no BTF, in a file", func(f *Facts) { noBTF(f); layouts(layout.External, nil)(f) }, monitor.EBPFExternalBTF, "it is in /boot/btf"},
		{"no BTF, derived", func(f *Facts) { noBTF(f); layouts(layout.Cached, nil)(f) }, monitor.EBPFHeaders, "derived from /boot/btf"},
		{"no BTF, to be derived", func(f *Facts) { noBTF(f); layouts(layout.Derived, nil)(f) }, monitor.EBPFHeaders, "derived from /boot/btf"},
		{"no BTF, where layouts are is not known", func(f *Facts) { noBTF(f); layoutsNotKnown(f) }, monitor.Degraded, "not known"},
		{"no BTF, derived, refused", func(f *Facts) { noBTF(f); layouts(layout.Cached, nil)(f); f.BPF.Load.Value = false }, monitor.Degraded, "refuses"},
		{"BTF, and layouts", layouts(layout.Cached, nil), monitor.EBPFKernelBTF, ""},
	} {
		f := sound()
		c.change(f)
		if got := Choose(f); got.Source != c.source || !strings.Contains(got.Reason.EN, c.reason) {
			t.Errorf("%s: %+v, want %s with %q", c.name, got, c.source, c.reason)
		}
	}
}

func TestSupportThatIsNotKnown(t *testing.T) {
	f := sound()
	f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EPERM) // a user's shell: says nothing of the daemon
	if got := inputs(f).BPF; got.Known || got.Yes || !strings.Contains(got.Reason.EN, "not permitted") {
		t.Errorf("support %+v, want not known", got)
	}
}

func TestPickConnector(t *testing.T) {
	vendor := host.Connectors[1]
	for _, c := range []struct {
		installed []host.Connector
		daemon    bool
		name      string
		found     bool
	}{
		{nil, false, "amp-connector", false},
		{nil, true, "amp-connector", true},
		{[]host.Connector{vendor}, false, "ciscoampconnector", true},
		{host.Connectors, false, "amp-connector", true},
	} {
		if got, found := pickConnector(c.installed, c.daemon); got.Name != c.name || found != c.found {
			t.Errorf("pickConnector(%d rows, %v) = %s, %v; want %s, %v", len(c.installed), c.daemon, got.Name, found, c.name, c.found)
		}
	}
}
