package remediate

import (
	"fmt"
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/selinux"
)

// fault19 brings the policy module cisco-secure-bpf into the loaded policy.
var fault19 = remedy{
	plan: planPolicy,
	sources: []fault.Text{
		{EN: "/sys/fs/selinux/enforce: is SELinux enforcing", JA: "/sys/fs/selinux/enforce: SELinux が Enforcing モードかどうか"},
		{
			EN: "/proc/PID/attr/current of the daemon, else the unit's SELinuxContext= and the policy: the domain of the service",
			JA: "デーモンの /proc/PID/attr/current、またはユニットの SELinuxContext= とポリシー: サービスのドメイン",
		},
		{
			EN: "/sys/fs/selinux/access: what the loaded policy allows that domain; its flags tell a permissive domain",
			JA: "/sys/fs/selinux/access: ロード済みのポリシーがそのドメインに許可する内容。フラグから Permissive ドメインも判別",
		},
		{
			EN: "/sys/fs/selinux/deny_unknown: what becomes of a class that the policy does not know",
			JA: "/sys/fs/selinux/deny_unknown: ポリシーが定義していないクラスの扱い",
		},
		{
			EN: "/var/lib/selinux/TYPE or /etc/selinux/TYPE: is the module absent, disabled, hidden by one of higher priority, or present",
			JA: "/var/lib/selinux/TYPE または /etc/selinux/TYPE: モジュールが存在しない、無効、優先度の高いものに隠されている、存在する、のいずれか",
		},
	},
	commands: []string{
		"amp-remediate 19 --print-policy > cisco-secure-bpf.cil",
		"semodule -X 400 -i cisco-secure-bpf.cil",
		"semodule -e cisco-secure-bpf",
		"semodule -lfull | grep cisco-secure-bpf",
	},
}

// planPolicy: the steps tell apart what the store needs (tools, install, enable, reload) and what only a person can do about it.
func planPolicy(f *health.Facts, _ fault.Finding) []installer.Item {
	return thenLook(f, installer.PolicyModuleItems(f))
}

// PolicySource is the module's source in CIL for the domain that the service runs in, behind comments that say in a language what to do
// with it: the whole is a file that semodule takes.
func PolicySource(f *health.Facts, l fault.Language) (string, error) {
	domains := f.SELinux.Domains()
	cil, err := selinux.ModuleCIL(domains, f.SELinux.Needs)
	domain := strings.Join(domains, ", ")
	if err != nil {
		return "", errPolicySource.wrong(f.Connector.Module, domain, err)
	}
	name := f.Connector.Module
	if f.SELinux.Store.Value.Shadow != 0 {
		name = selinux.BesideName // the module of higher priority is an admin's and stays; allow rules add up
	}
	var b strings.Builder
	fmt.Fprintf(&b, "; %s\n", msgPolicy.with(name, domain).In(l))
	for _, command := range policyCommands(f, name) {
		fmt.Fprintf(&b, ";   %s\n", command)
	}
	b.WriteString(strings.TrimRight(cil, "\n") + "\n")
	return b.String(), nil
}

// policyCommands is what loads the printed source and proves it.
func policyCommands(f *health.Facts, name string) []string {
	commands := []string{fmt.Sprintf("semodule -X %d -i %s.cil", selinux.Priority, name)}
	if f.SELinux.Store.Value.State == selinux.ModuleDisabled {
		commands = append(commands, "semodule -e "+name)
	}
	return append(commands, "amp-remediate check 19")
}
