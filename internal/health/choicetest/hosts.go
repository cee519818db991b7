package choicetest

import (
	"errors"
	"slices"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

type changes = []func(*health.Facts)

// What the choices are told with.
const (
	works        = "the kernel offers BTF and lets eBPF programs load"
	noBTFHere    = "the kernel offers no BTF"
	noFolderHere = "/srv/btf is not used: it cannot be read: open /srv/btf: no such file or directory"
	wantsModules = "the policy wants kernel modules"
	rejected     = "it is not signed, and this kernel loads signed modules only: Loading of unsigned module: key was rejected by service (the kernel: Loading of unsigned module is rejected)"
	noRight      = "operation not permitted: this process has neither CAP_BPF nor CAP_SYS_ADMIN"
	unterminated = "/usr/src/linux-headers-6.1.0-57-common/include/linux/dcache.h:2: error: unterminated #ifndef"
	buildLog     = "/var/lib/cisco/amp/layouts/" + release + ".log"
	badBTF       = "/sys/kernel/btf/vmlinux: magic is 0x5250, expected 0xeb9f"
	lacks        = "fanotify: the kernel was built without CONFIG_FANOTIFY; process connector: it does not answer: the kernel was built without CONFIG_PROC_EVENTS; sock_diag: the kernel was built without CONFIG_INET_DIAG, or its module is not there"
	lacksJA      = "fanotify: カーネルが CONFIG_FANOTIFY なしでビルドされています。プロセスコネクタ: 応答がありません。カーネルが CONFIG_PROC_EVENTS なしでビルドされています。sock_diag: カーネルが CONFIG_INET_DIAG なしでビルドされているか、そのモジュールがありません"
)

// Hosts is the table.
var Hosts = []Host{
	{
		Name: "The kernel offers BTF; no SELinux", Guest: "positive/00-install-deb",
		Source: monitor.EBPFKernelBTF, Reason: works,
		Findings: cannot(19),
	},
	{
		Name: "SELinux enforcing, with the policy module of the connector", Guest: "positive/00-install-deb",
		change: changes{enforcing(selinux.ModulePresent)},
		Source: monitor.EBPFKernelBTF, Reason: works,
	},
	{
		Name: "File monitoring is off in the policy", Recorded: "guest debian12-plain, by hand",
		change: changes{policyOf(noFiles)},
		Source: monitor.EBPFKernelBTF, Reason: works,
		Findings: cannot(8, 19),
	},
	{
		Name: "File and network monitoring are off in the policy", Recorded: "guest debian12-plain, by hand",
		change: changes{policyOf(nothing)},
		Source: monitor.NoSource, Reason: "both monitoring switches of the policy are off",
		Findings: cannot(8, 9, 11, 16, 18, 19),
	},
	{
		Name: "The policy cannot be read, so that the default one holds", Recorded: "guest debian12-plain, by hand: policy.xml of positive/40-policy, there when the daemon starts",
		change: changes{func(f *health.Facts) {
			f.Policy = host.NotKnown[policy.Policy](policy.Path, errors.New(policy.Path+`:2: <monitor files="maybe">: expected true or false`))
		}},
		Source: monitor.EBPFKernelBTF, Reason: works,
		Findings: cannot(19),
	},
	{
		Name: "SELinux enforcing, with the policy module disabled", Guest: "positive/10-fault19",
		change: changes{enforcing(selinux.ModuleDisabled)},
		Source: monitor.Degraded, Reason: "fault 19: SELinux refuses unconfined_service_t the permission map_create map_read map_write prog_load prog_run of class bpf; the policy module cisco-secure-bpf is disabled",
		Findings: slices.Concat(critical(19), unknown(16)),
	},
	{
		Name: "The kernel is locked down (confidentiality)", Recorded: "guest debian12-plain, by hand: started with lockdown=confidentiality; its first canary was not seen in time there, so that fault 8 was raised too",
		change: changes{lockedDown, refuses(errLocked)},
		Source: monitor.Degraded, Reason: "the kernel refuses eBPF programs: invalid argument: unknown func bpf_probe_read#4",
		Findings: slices.Concat(critical(16), cannot(19)),
	},
	{
		Name: "No program has a right to bpf(2), as in a container", Recorded: "a machine with kernel 6.18: programs of root's without capabilities",
		change: changes{refuses(errNoRight)},
		Source: monitor.Degraded, Reason: "the kernel refuses eBPF programs: " + noRight,
		Findings: slices.Concat(critical(16), cannot(19)),
	},
	{
		Name: "An ordinary user asks, who has no right to bpf(2)", Recorded: "a machine with kernel 6.18, as nobody",
		user: true, change: changes{refuses(errNoRight)},
		Source: monitor.EBPFKernelBTF, Reason: "not known: " + noRight + "; it is tried",
		Findings: cannot(19),
	},
	{
		Name: "A kernel before 5.8 without BTF and headers (CentOS 7)", Recorded: "not seen: a release of the repositories, and the answer of kernels without a ring buffer",
		change: changes{kernelOf(centos7, "3.10.0-957.el7.x86_64"), noBTF(nil), refuses(errTooOld)},
		Source: monitor.Degraded, Reason: "the kernel refuses eBPF programs: invalid argument",
		Findings: slices.Concat(critical(16), major(11), cannot(19)),
	},
	{
		Name: "A kernel that refuses eBPF, and was built without all that the degraded source needs", Recorded: "not seen: no kernel without these options was had",
		change: changes{kernelOf(centos7, "3.10.0-957.el7.x86_64"), noBTF(nil), refuses(errTooOld), nothingLeft},
		Source: monitor.NoSource, Reason: "the kernel refuses eBPF programs: invalid argument; " + lacks,
		Findings: slices.Concat(because(16, critical(8, 9)), critical(16), major(11), cannot(19)),
	},
	{
		Name: "BTF of the kernel that cannot be read", Recorded: "guest debian12-plain, by hand: another file mounted over it",
		change: changes{
			func(f *health.Facts) {
				f.BPF.KernelBTF = host.NotKnown[bool]("/sys/kernel/btf/vmlinux", errors.New(badBTF))
			},
			met("load eBPF programs: load eBPF program amp_exec: program amp_exec: apply CO-RE relocations: load kernel spec: load vmlinux: parsing .BTF header: no valid BTF header", control.Layouts{}),
		},
		Source: monitor.EBPFKernelBTF, Instead: monitor.Degraded, Reason: "not known: " + badBTF + "; it is tried",
		Findings: slices.Concat(critical(16), unknown(11), cannot(19)),
	},
	{
		Name: "No BTF, no headers", Guest: "positive/45-degraded",
		change: changes{noBTF(nil)},
		Source: monitor.Degraded, Reason: noBTFHere + "; layouts of its structures from " + tree + ": the header package of this kernel is not installed",
		Findings: slices.Concat(major(11), unknown(16), cannot(19)),
	},
	{
		Name: "No BTF; the headers are there, and a compiler", Guest: "positive/15-fault11",
		change: changes{noBTF(whole)},
		Source: monitor.EBPFHeaders, Reason: noBTFHere + "; the layouts of its structures are derived from " + tree,
		Findings: cannot(19),
	},
	{
		Name: "No BTF; the headers lack files", Guest: "positive/15-fault11",
		change: changes{noBTF(half)},
		Source: monitor.Degraded, Reason: noBTFHere + "; layouts of its structures from " + tree + ": the kernel's header tree is not complete: missing: scripts/mod/modpost",
		Findings: slices.Concat(major(11), unknown(16), cannot(19)),
	},
	{
		Name: "No BTF; the headers are those of another kernel", Recorded: "guest debian12-plain, by hand: a tree of that release",
		change: changes{noBTF(others)},
		Source: monitor.Degraded, Reason: noBTFHere + "; layouts of its structures from " + tree + ": it belongs to another kernel: of 6.1.0-49-amd64, expected " + release,
		Findings: slices.Concat(major(11), unknown(16), cannot(19)),
	},
	{
		Name: "No BTF; the headers are there, and no make", Guest: "positive/16-fault16",
		change: changes{noBTF(whole), without(errNoMake)},
		Source: monitor.Degraded, Reason: noBTFHere + "; layouts of its structures from " + tree + ": make is not installed",
		Findings: slices.Concat(critical(16), cannot(19)),
	},
	{
		Name: "No BTF; the headers are there, and nothing compiles against them", Recorded: "the header packages of Debian 12, with one file cut in half",
		change: changes{
			noBTF(whole), layouts(layout.Found{Origin: layout.Derived, From: tree}),
			met("layouts from "+tree+": build-failed: "+unterminated+": exit status 2 (log: "+buildLog+")", control.Layouts{From: tree, Cause: string(layout.BuildFailed), Detail: unterminated, Log: buildLog}),
		},
		Source: monitor.EBPFHeaders, Instead: monitor.Degraded, Reason: noBTFHere + "; the layouts of its structures are derived from " + tree,
		Findings: slices.Concat(critical(16), cannot(19)),
	},
	{
		Name: "No BTF of its own; a file has it", Recorded: "guest debian12-plain, by hand",
		change: changes{noBTF(nil), layouts(layout.Found{Origin: layout.External, From: "/var/lib/cisco/amp/btf/" + release + ".btf"})},
		Source: monitor.EBPFExternalBTF, Reason: noBTFHere + "; it is in /var/lib/cisco/amp/btf/" + release + ".btf",
		Findings: cannot(19),
	},
	{
		Name: "No BTF of its own; the policy's folder has it, as BTFHub's archive does", Recorded: "not seen in a guest; tests read such an archive",
		change: changes{noBTF(nil), layouts(layout.Found{Origin: layout.External, From: "/srv/btf/debian/12/x86_64/" + release + ".btf.tar.xz"})},
		Source: monitor.EBPFExternalBTF, Reason: noBTFHere + "; it is in /srv/btf/debian/12/x86_64/" + release + ".btf.tar.xz",
		Findings: cannot(19),
	},
	{
		Name: "No BTF; the policy's folder has it, where others than root may write; headers and a compiler", Recorded: "not seen in a guest; tests make such a folder",
		change: changes{noBTF(whole), passing(&layout.Error{
			Why: layout.OthersWrite, From: "/srv/btf/" + release + ".btf", Detail: "/srv/btf has owner 0 and mode 0777, expected owner 0, and no right to write for group and others",
		})},
		Source: monitor.EBPFHeaders, Reason: noBTFHere + "; /srv/btf/" + release + ".btf is not used: others than root may change it: /srv/btf has owner 0 and mode 0777, expected owner 0, " +
			"and no right to write for group and others; the layouts of its structures are derived from " + tree,
		Findings: cannot(19),
	},
	{
		Name: "No BTF, no headers; the policy's folder for BTF is not there", Recorded: "not seen in a guest; tests name such a folder",
		change: changes{noBTF(nil), noFolder},
		Source: monitor.Degraded, Reason: noBTFHere + "; " + noFolderHere + "; layouts of its structures from " + tree + ": the header package of this kernel is not installed",
		Findings: slices.Concat(major(11), unknown(16), cannot(19)),
	},
	{
		Name: "No BTF, no headers, and all is missing that the degraded source needs", Recorded: "not seen: no kernel without these options was had",
		change: changes{noBTF(nil), nothingLeft},
		Source: monitor.NoSource, Reason: noBTFHere + "; layouts of its structures from " + tree + ": the header package of this kernel is not installed; " + lacks,
		Findings: slices.Concat(because(11, critical(8, 9)), major(11), unknown(16), cannot(19)),
	},
	{
		Name: "No BTF, no headers; the policy's folder for BTF is not there, and all is missing that the degraded source needs", Recorded: "not seen: no kernel without these options was had",
		change: changes{noBTF(nil), noFolder, nothingLeft},
		Source: monitor.NoSource, Reason: noBTFHere + "; " + noFolderHere + "; layouts of its structures from " + tree + ": the header package of this kernel is not installed; " + lacks,
		Findings: slices.Concat(because(11, critical(8, 9)), major(11), unknown(16), cannot(19)),
	},
	{
		Name: "The policy wants kernel modules", Guest: "positive/17-modules",
		change: changes{policyOf(wantModules), withModules},
		Source: monitor.Modules, Reason: wantsModules,
		Findings: cannot(19),
	},
	{
		Name: "The policy wants kernel modules, and they cannot be built: no headers", Guest: "positive/17-modules",
		change: changes{policyOf(wantModules), unbuilt(layout.MissingHeaders(release, nil))},
		Source: monitor.Degraded, Reason: wantsModules + "; the header package of this kernel is not installed: " + tree,
		Findings: slices.Concat(critical(8, 9), cannot(19)),
	},
	{
		Name: "The policy wants kernel modules, and Secure Boot refuses them", Guest: "positive/70-secure-boot",
		change: changes{policyOf(wantModules), unsigned},
		Source: monitor.Degraded, Reason: wantsModules + "; " + rejected,
		Findings: slices.Concat(critical(8, 9), cannot(19)),
	},
	{
		Name: "The policy wants kernel modules, and SELinux refuses them", Guest: "positive/12-modules-enforcing",
		change: changes{policyOf(wantModules), forbidden, enforcing(selinux.ModulePresent)},
		Source: monitor.Degraded, Reason: wantsModules + "; the SELinux policy does not let this service load modules: " + errNoModule.Error() + ": permission denied",
		Findings: critical(8, 9),
	},
	{
		Name: "The policy wants kernel modules, Secure Boot refuses them, and SELinux refuses bpf(2)", Recorded: "not seen: put together from two hosts of this table",
		change: changes{policyOf(wantModules), unsigned, enforcing(selinux.ModuleAbsent)},
		Source: monitor.Degraded, Reason: wantsModules + "; " + rejected,
		Findings: slices.Concat(critical(8, 9, 19), unknown(16)),
	},
	{
		Name: "The policy wants kernel modules, which came prebuilt; no BTF, no headers", Recorded: "not seen: the modules were not loaded on a kernel without BTF",
		change: changes{policyOf(wantModules), withModules, noBTF(nil)},
		Source: monitor.Modules, Reason: wantsModules,
		Findings: cannot(19),
	},
	{
		Name: "The policy wants kernel modules, there are none, and all is missing that the degraded source needs", Recorded: "not seen: no kernel without these options was had",
		change: changes{policyOf(wantModules), nothingLeft},
		Source: monitor.NoSource, Reason: wantsModules + "; kernel module ampfsm was not loaded since the host was started; " + lacks,
		Findings: slices.Concat(critical(8, 9), cannot(19)),
	},
}
