package choicetest

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

const (
	account = "cisco-amp-scan-svc"
	release = "6.1.0-57-amd64" // of the lab's Debian 12
	tree    = "/lib/modules/" + release + "/build"
)

// debian12 is the lab's guest debian12-plain, on which nothing is to be mended.
func debian12() *health.Facts {
	f := &health.Facts{
		Connector: host.Connectors[0], Found: true,
		Policy:     host.Read(policy.Default(), policy.Path),
		Degraded:   monitor.Support{Yes: true, Known: true, Reason: fault.Text{EN: "fanotify works", JA: "fanotify は動作します"}},
		Monitoring: host.Read(health.Monitoring{}, control.Socket),
		Scanning: host.Read(control.Scan{
			State: control.ScanReady, PID: 500, User: account, UID: 998, GID: 997, Engine: "1.4.3", Definitions: "built-in", Workers: 2,
			Limits: control.ScanLimits{Ends: 3, Window: 300, Quiet: 600},
		}, control.Socket),
		At: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC),
	}
	f.Host = host.Facts{
		Root: "/nonexistent", Live: true, Arch: "amd64", // what a plan looks for in files is not there, whatever machine makes it
		Distribution:   host.Read(host.Distribution{ID: "debian", VersionID: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)", Family: host.Debian}, "/etc/os-release"),
		PackageManager: host.Read(host.PackageManager{Name: "apt", Path: "/usr/bin/apt-get"}, "/usr/bin/apt-get"),
		Kernel:         host.Read(host.Kernel{Release: release, BTF: host.Read(true, "/boot/config-"+release), Headers: host.Read[*host.Headers](nil, tree)}, "uname -r"),
		LoginDefs:      host.NotKnown[*host.LoginSettings](host.LoginDefsPath, fs.ErrNotExist),
		Memory:         host.Read(host.Memory{Total: 1 << 30, Available: 700 << 20}, "/proc/meminfo"),
		Account: host.AccountFacts{
			Name:         account,
			User:         host.Read(&host.Account{Name: account, UID: 998, GID: 997, Home: "/nonexistent", Shell: "/usr/sbin/nologin", From: "/etc/passwd"}, "/etc/passwd"),
			Group:        host.Read(&host.Group{Name: account, GID: 997, From: "/etc/group"}, "/etc/group"),
			Password:     host.Read(host.Password{Locked: true}, "/etc/shadow"),
			ExtraGroups:  host.Read([]string(nil), "/etc/group"),
			SameUID:      host.Read([]string(nil), "/etc/passwd"),
			HomeOwner:    host.Read[*uint32](nil, "/nonexistent"),
			PrimaryGroup: host.Read(account, "/etc/group"),
		},
	}
	f.Host.Engine.Libraries = host.Read([]string{"/usr/lib/x86_64-linux-gnu/libclamav.so.12"}, "/usr/lib/x86_64-linux-gnu")
	for _, d := range f.Connector.Directories {
		f.Host.Directories = append(f.Host.Directories, host.DirectoryFact{Want: d, State: host.Read(&host.DirectoryState{Mode: d.Mode, IsDir: true}, d.Path)})
	}
	f.Host.ModuleLoading = host.ModuleLoading{
		Disabled: host.Read(false, "/proc/sys/kernel/modules_disabled"), Enforced: host.Read(false, "/sys/module/module/parameters/sig_enforce"),
		Lockdown: host.Read(host.NoLockdown, "/sys/kernel/security/lockdown"), Signatures: host.Read(true, "/boot/config-"+release),
	}
	f.Host.ModuleLoading.SecureBoot.On = host.Read(false, "/sys/firmware/efi")
	f.SELinux = selinux.Facts{Mode: host.Read(selinux.Disabled, "/sys/fs/selinux")}
	f.BPF = bpf.Facts{KernelBTF: host.Read(true, "/sys/kernel/btf/vmlinux"), Load: host.Read(true, "bpf(2)")}
	f.Modules = loaded(false)
	return f
}

// enforcing is the lab's guest debian12-enforcing-el, with our policy module as it is in the store. Where it is not present, the domain of the service
// has no right to bpf(2), and the daemon does not try.
func enforcing(module selinux.StoreState) func(*health.Facts) {
	return func(f *health.Facts) {
		const from = "/sys/fs/selinux/access"
		f.SELinux = selinux.Facts{
			Mode: host.Read(selinux.Enforcing, "/sys/fs/selinux/enforce"), DenyUnknown: host.Read(false, "/sys/fs/selinux/deny_unknown"),
			Domain: host.Read(host.DefaultDomain, "/proc/412/attr/current"), DomainContext: "system_u:system_r:unconfined_service_t:s0",
			Store: host.Read(selinux.Store{State: module, Priority: 400}, "/var/lib/selinux/default"),
			Tools: map[string]host.Reading[bool]{"semodule": host.Read(true, "/usr/sbin/semodule")},
			Needs: selinux.WouldNeed(f.Host.Kernel.Value.Release),
		}
		for _, need := range f.SELinux.Needs {
			answer := selinux.Access{Need: need, ClassKnown: true}
			if need.Class == selinux.BPFNeed.Class && module != selinux.ModulePresent {
				answer.Denied = need.Permissions
			}
			f.SELinux.Access = append(f.SELinux.Access, host.Read(answer, from))
		}
		if f.Daemon {
			f.SELinux.Own, f.SELinux.OwnContext = f.SELinux.Access, f.SELinux.DomainContext
			if err := f.SELinux.Refusal(); err != nil {
				f.BPF.Load = host.NotKnown[bool]("bpf(2)", err)
			}
		}
	}
}

func policyOf(change func(*policy.Policy)) func(*health.Facts) {
	return func(f *health.Facts) { change(&f.Policy.Value) }
}

func noFiles(p *policy.Policy)     { p.MonitorFiles = false }
func nothing(p *policy.Policy)     { p.MonitorFiles, p.MonitorNetwork = false, false }
func wantModules(p *policy.Policy) { p.Source = policy.SourceModules }

// refuses has bpf(2) answer every program that asks with an error.
func refuses(err error) func(*health.Facts) {
	return func(f *health.Facts) { f.BPF.Load = host.NotKnown[bool]("bpf(2)", err) }
}

func lockedDown(f *health.Facts) {
	f.Host.ModuleLoading.Lockdown.Value = host.LockdownConfidentiality
}

// noBTF is a kernel that offers none, with its headers as they are, nil for none.
func noBTF(h *host.Headers) func(*health.Facts) {
	return func(f *health.Facts) {
		k := &f.Host.Kernel.Value
		f.BPF.KernelBTF.Value, k.BTF.Value = false, false
		k.Headers = host.Read(h, "/lib/modules/"+k.Release+"/build")
		if trouble := layout.MissingHeaders(k.Release, h); trouble != nil {
			without(trouble)(f)
			return
		}
		layouts(layout.Found{Origin: layout.Cached, From: h.Link})(f)
	}
}

func layouts(found layout.Found) func(*health.Facts) {
	return func(f *health.Facts) {
		f.BPF.Layouts = host.Read(bpf.Layouts{Found: found, Stamp: "recorded"}, found.From)
	}
}

// passing has a file or folder that is not used, whatever else the layouts come from.
func passing(e *layout.Error) func(*health.Facts) {
	return func(f *health.Facts) { f.BPF.Layouts.Value.Passed = []*layout.Error{e} }
}

var noFolder = passing(&layout.Error{Why: layout.Malformed, From: "/srv/btf", Err: errors.New("open /srv/btf: no such file or directory")})

// without is a host whose layouts cannot be had for a reason that shows at once.
func without(e *layout.Error) func(*health.Facts) {
	return func(f *health.Facts) {
		f.BPF.Layouts = host.Read(bpf.Layouts{Found: layout.Found{Origin: layout.None, Reason: e}, Stamp: "recorded"}, e.From)
	}
}

var (
	whole     = &host.Headers{Link: tree, Release: release}
	half      = &host.Headers{Link: tree, Release: release, Missing: []string{"scripts/mod/modpost", "Module.symvers"}}
	others    = &host.Headers{Link: tree, Release: "6.1.0-49-amd64"}
	errNoMake = &layout.Error{Why: layout.NoMake, From: tree, Wanted: "make"}
)

// kernelOf is a host of another distribution, and its kernel.
func kernelOf(d host.Distribution, release string) func(*health.Facts) {
	return func(f *health.Facts) {
		f.Host.Distribution.Value = d
		f.Host.PackageManager = host.Read(host.PackageManager{Name: "yum", Path: "/usr/bin/yum"}, "/usr/bin/yum")
		f.Host.Kernel.Value.Release = release
		f.Host.Kernel.Value.BTF = host.Read(false, "/boot/config-"+release)
	}
}

var centos7 = host.Distribution{ID: "centos", VersionID: "7", Name: "CentOS Linux 7 (Core)", Family: host.RedHat}

// loaded is a host that has loaded both modules, or that has never tried.
func loaded(yes bool) kmod.Facts {
	f := kmod.Facts{Loaded: map[string]host.Reading[bool]{}, Tried: host.NotKnown[kmod.Outcome](kmod.OutcomePath, fs.ErrNotExist)}
	if yes {
		f.Tried = host.Read(kmod.Outcome{Release: release}, kmod.OutcomePath)
	}
	for _, module := range []string{kmod.FileModule, kmod.NetworkModule} {
		f.Loaded[module] = host.Read(yes, "/sys/module/"+module)
	}
	return f
}

func withModules(f *health.Facts) { f.Modules = loaded(true) }

// unbuilt is a host whose modules could not be built.
func unbuilt(e *layout.Error) func(*health.Facts) {
	return func(f *health.Facts) {
		f.Modules = loaded(false)
		f.Modules.Tried = host.Read(kmod.Outcome{
			Release: release, Unbuilt: e.Why, Wanted: e.Wanted,
			Refused: map[string]string{kmod.FileModule: kmod.Reason(e), kmod.NetworkModule: kmod.Reason(e)},
		}, kmod.OutcomePath)
	}
}

// unsigned is a host with Secure Boot, whose kernel refused modules that no key signed which it trusts.
func unsigned(f *health.Facts) {
	refused(f, kmod.Try{Err: unix.EKEYREJECTED, Messages: []kmod.KernelMessage{{Text: "Loading of unsigned module is rejected"}}})
	none := host.Read[[][]byte](nil, "/sys/firmware/efi/efivars")
	f.Host.ModuleLoading.SecureBoot = host.SecureBoot{UEFI: host.Read(true, "/sys/firmware/efi"), On: host.Read(true, none.From), Enrolled: none, Requested: none}
	f.Host.ModuleLoading.Enforced.Value = true
	f.Host.ModuleLoading.Lockdown.Value = host.LockdownIntegrity
}

// forbidden is a host whose SELinux policy lets the domain that starts the connector load no modules, and whose audit daemon has the denial.
func forbidden(f *health.Facts) {
	refused(f, kmod.Try{Err: unix.EACCES, Forbidden: errNoModule})
}

// refused has the kernel refuse both modules in the same way.
func refused(f *health.Facts, t kmod.Try) {
	o := kmod.Outcome{Release: release, Refused: map[string]string{}, Causes: map[string]kmod.Cause{}}
	errno := t.Err
	for _, module := range []string{kmod.FileModule, kmod.NetworkModule} {
		t.Err = &kmod.LoadError{Module: module, File: kmod.BuiltDir + "/" + release + "/" + module + ".ko", Err: errno}
		refusal := kmod.Explain(t)
		o.Refused[module], o.Causes[module] = kmod.Reason(refusal), refusal.Cause
	}
	f.Modules = loaded(false)
	f.Modules.Tried = host.Read(o, kmod.OutcomePath)
}

// nothingLeft is a kernel that was built without any part of the degraded source.
func nothingLeft(f *health.Facts) {
	f.Degraded = monitor.Support{Known: true, Reason: fault.Text{EN: lacks, JA: lacksJA}}
}

var (
	errTooOld = error(syscall.EINVAL)
	errLocked = fmt.Errorf("%w; the verifier's last lines:\n\t%s", syscall.EINVAL, strings.Join([]string{
		"3: (bf) r1 = r10                      ; R1_w=fp0 R10=fp0", "4: (07) r1 += -8                      ; R1_w=fp-8", "5: (b7) r2 = 8                        ; R2_w=8",
		"6: (85) call bpf_probe_read#4", "unknown func bpf_probe_read#4", "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
	}, "\n\t"))
	errNoModule = fmt.Errorf("%w: system_u:system_r:initrc_t:s0 has no right to module_load of class system to a file that is unconfined_u:object_r:usr_t:s0", selinux.ErrRefused)
	errNoRight  = fmt.Errorf("%w%s", syscall.EPERM, strings.TrimPrefix(noRight, syscall.EPERM.Error()))
)
