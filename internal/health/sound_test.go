package health

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

const account = "cisco-amp-scan-svc"

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// scanReady is a scan service as it should be.
func scanReady() control.Scan {
	return control.Scan{
		State: control.ScanReady, PID: 500, User: account, UID: 998, GID: 997, Engine: "1.4.6", Definitions: "27500", Signatures: 8700000, Workers: 2,
		Limits: control.ScanLimits{Ends: 3, Window: 300, Quiet: 600},
	}
}

// sound is the facts of an enforcing host on which nothing is wrong.
func sound() *Facts {
	f := &Facts{Connector: host.Connectors[0], Found: true, Policy: host.Read(policy.Default(), policy.Path)}
	f.Host.Live = true
	f.Host.Account = host.AccountFacts{
		Name:         account,
		User:         host.Read(&host.Account{Name: account, UID: 998, GID: 997, Home: "/nonexistent", Shell: "/usr/sbin/nologin", From: "/etc/passwd"}, "/etc/passwd"),
		Group:        host.Read(&host.Group{Name: account, GID: 997, From: "/etc/group"}, "/etc/group"),
		Password:     host.Read(host.Password{Locked: true}, "/etc/shadow"),
		ExtraGroups:  host.Read([]string(nil), "/etc/group"),
		SameUID:      host.Read([]string(nil), "/etc/passwd"),
		HomeOwner:    host.Read[*uint32](nil, "/nonexistent"),
		PrimaryGroup: host.Read(account, "/etc/group"),
	}
	f.Host.LoginDefs = host.NotKnown[*host.LoginSettings](host.LoginDefsPath, fs.ErrNotExist)
	for _, d := range f.Connector.Directories {
		f.Host.Directories = append(f.Host.Directories, host.DirectoryFact{Want: d, State: host.Read(&host.DirectoryState{Mode: 0o755, IsDir: true}, d.Path)})
	}
	f.SELinux = selinux.Facts{
		Mode:          host.Read(selinux.Enforcing, "/sys/fs/selinux/enforce"),
		DenyUnknown:   host.Read(false, "/sys/fs/selinux/deny_unknown"),
		Domain:        host.Read(host.DefaultDomain, "/proc/412/attr/current"),
		DomainContext: "system_u:system_r:unconfined_service_t:s0",
		Access:        []host.Reading[selinux.Access]{host.Read(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true}, "/sys/fs/selinux/access")},
		Store:         host.Read(selinux.Store{State: selinux.ModulePresent, Priority: 400}, "/var/lib/selinux/targeted"),
	}
	f.Scanning = host.Read(scanReady(), control.Socket)
	f.Host.Engine.Libraries = host.Read([]string{"/usr/lib64/libclamav.so.12"}, "/usr/lib64")
	f.Host.Distribution = host.Read(host.Distribution{ID: "rocky", VersionID: "9.4", Name: "Rocky Linux 9.4", Family: host.RedHat}, "/etc/os-release")
	f.Host.Memory = host.Read(host.Memory{Total: 2 << 30, Available: 500 << 20}, "/proc/meminfo")
	f.At = noon
	f.BPF.KernelBTF = host.Read(true, "/sys/kernel/btf/vmlinux")
	f.BPF.Load = host.Read(true, "bpf(2)")
	return f
}

var errDenied = errors.New("permission denied")

// row is one host.
type row struct {
	name   string
	change func(*Facts)
	state  fault.State
	causes []string
	reason string // part of the English reason
	shown  string // part of what one evidence reads
}

func (r row) run(t *testing.T, rule Rule) {
	t.Helper()
	f := sound()
	r.change(f)
	got := rule.Check(f)
	if got.State != r.state || !slices.Equal(got.Causes, r.causes) {
		t.Errorf("%s: %s %q, want %s %q (reason %q)", r.name, got.State, got.Causes, r.state, r.causes, got.Reason.EN)
	}
	if !strings.Contains(got.Reason.EN, r.reason) || got.Reason.EN == "" || got.Reason.JA == "" {
		t.Errorf("%s: reason %q / %q, want %q in it", r.name, got.Reason.EN, got.Reason.JA, r.reason)
	}
	if !slices.ContainsFunc(got.Evidence, func(e fault.Evidence) bool { return strings.Contains(e.Read, r.shown) }) {
		t.Errorf("%s: no evidence reads %q: %+v", r.name, r.shown, got.Evidence)
	}
	for _, e := range got.Evidence {
		if e.What == "" || e.Read == "" || e.From == "" {
			t.Errorf("%s: incomplete evidence %+v", r.name, e)
		}
	}
}
