package installer

import (
	"fmt"
	"slices"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/selinux"
)

// PolicyModuleItems are the items that make the SELinux policy allow the connector's service what it needs, none where it does, and none
// where SELinux is off. A permissive host gets the module too: the rule is then there on the day when it is made enforcing. The
// items must come before the service is started. Where the policy tools are not installed, installing them comes first, which a
// package's own script cannot do. The caller marks the items optional where a fault must not stop it.
func PolicyModuleItems(f *health.Facts) []Item {
	se := f.SELinux
	if !ruleMissing(f) {
		return nil
	}
	switch {
	case selinux.HasNoStore(se.Store.Err):
		return []Item{{Manual: noStore.With(se.Store.Err), Commands: []string{"amp-remediate 19 --print-policy"}}}
	case !se.Store.Known():
		return []Item{{Manual: storeUnread.With(se.Store.Err)}}
	case classDenied(se):
		return []Item{{Manual: classUnknown(se)}}
	}
	step, err := policyModule(f)
	if err != nil {
		return []Item{{Manual: noModule.With(err)}}
	}
	tools := policyTools(f)
	if f.Host.Live && lacks(f, "semodule") && !brought(tools, "semodule") {
		return append(tools, Item{Manual: loadByHand.With(step.Module), Commands: handCommands(f, step.Module)})
	}
	return append(tools, Item{Step: step})
}

// ruleMissing reports whether there is something to do. Where the kernel cannot be asked because it is not running, or runs without
// SELinux while the configuration asks for it, the store tells.
func ruleMissing(f *health.Facts) bool {
	se := f.SELinux
	if f.Host.Live && se.Mode.Known() && se.Mode.Value != selinux.Disabled {
		holds, known := se.Holds()
		return known && !holds
	}
	if !se.Configured.Known() || se.Configured.Value == selinux.Disabled || !se.Store.Known() {
		return false
	}
	st := se.Store.Value
	switch built := !st.Built.Known() || st.Built.Value; st.State {
	case selinux.ModulePresent:
		return !(st.Current.Known() && st.Current.Value && built)
	case selinux.ModuleShadowed:
		return !st.Beside || !built
	default:
		return true
	}
}

// classDenied reports whether what is denied is so because the loaded policy does not know the class: no rule can be written for it.
func classDenied(se selinux.Facts) bool {
	for _, a := range se.Access {
		if a.Known() && !a.Value.ClassKnown && se.DenyUnknown.Known() && se.DenyUnknown.Value {
			return true
		}
	}
	return false
}

func policyModule(f *health.Facts) (*PolicyModule, error) {
	se := f.SELinux
	cil, err := selinux.ModuleCIL(se.Domains(), se.Needs)
	if err != nil {
		return nil, err
	}
	step := &PolicyModule{Domains: se.Domains(), Needs: se.Needs, PolicyType: se.PolicyType.Value, Module: selinux.ModuleName, CIL: cil}
	if se.Store.Value.Shadow != 0 {
		// An admin's module of our name stays as it is; allow rules add up.
		step.Module = selinux.BesideName
	}
	step.Command = policyCommands(f, step)
	return step, nil
}

// policyCommands is what a person could type instead of the step.
func policyCommands(f *health.Facts, s *PolicyModule) []string {
	st := f.SELinux.Store.Value
	current := st.Current.Known() && st.Current.Value
	tool := "semodule"
	if !f.Host.Live {
		tool += " -p " + f.Host.Root + " -s " + s.PolicyType + " -n"
	}
	if s.Module == selinux.ModuleName && current {
		if st.State == selinux.ModuleDisabled {
			return []string{tool + " -e " + s.Module}
		}
		return []string{tool + " -B"}
	}
	var commands []string
	file := selinux.PackagedPath
	if s.CIL != selinux.Packaged || s.Module != selinux.ModuleName || !f.Found || f.Connector.Vendor {
		file = s.Module + ".cil"
		commands = append(commands, "amp-remediate 19 --print-policy > "+file)
	}
	install := fmt.Sprintf("%s -X %d -i %s", tool, selinux.Priority, file)
	if s.Module == selinux.ModuleName && st.State == selinux.ModuleDisabled {
		install += " -e " + s.Module
	}
	return append(commands, install)
}

// policyTools installs the tools that are missing. The module itself needs semodule alone; the vendor's connector needs semanage too.
func policyTools(f *health.Facts) []Item {
	if !f.Host.Live {
		return nil
	}
	wanted := []string{"semodule"}
	if f.Connector.Vendor {
		wanted = append(wanted, "semanage")
	}
	var missing []string
	for _, tool := range wanted {
		if lacks(f, tool) {
			missing = append(missing, tool)
		}
	}
	return ToolItems(f, missing...)
}

// lacks reports whether a tool is known to be missing.
func lacks(f *health.Facts, tool string) bool {
	there := f.SELinux.Tools[tool]
	return there.Known() && !there.Value
}

// brought reports whether a step among items installs a tool.
func brought(items []Item, tool string) bool {
	return slices.ContainsFunc(items, func(item Item) bool {
		p, ok := item.Step.(*Packages)
		return ok && slices.Contains(p.Tools, tool)
	})
}

// handCommands load the printed source of the module.
func handCommands(f *health.Facts, module string) []string {
	install := fmt.Sprintf("semodule -X %d -i %s.cil", selinux.Priority, module)
	if f.SELinux.Store.Value.State == selinux.ModuleDisabled {
		install += " -e " + module
	}
	return []string{"amp-remediate 19 --print-policy > " + module + ".cil", install}
}

// What only a person can do about the policy.
var (
	noStore = fault.Text{
		EN: "This host's SELinux policy has no module store (%v), so no module can be added to it. Add the rule, which --print-policy shows, to the source that " +
			"the policy is built from; build the policy and load it.",
		JA: "このホストの SELinux ポリシーにはモジュールストアがないため (%v)、モジュールを追加できません。--print-policy で表示される規則をポリシーのソースに追加し、ポリシーをビルドしてロードしてください。",
	}
	storeUnread = fault.Text{
		EN: "The SELinux module store cannot be read (%v). Run this as root.",
		JA: "SELinux のモジュールストアを読み取れません (%v)。root で実行してください。",
	}
	noModule = fault.Text{
		EN: "No policy module can be made for this host: %v.",
		JA: "このホスト用のポリシーモジュールを作成できません: %v。",
	}
	loadByHand = fault.Text{
		EN: "Without semodule the policy module %s cannot be loaded. Once it is installed, amp-remediate 19 loads the module. Who keeps the policy by hand loads the printed source:",
		JA: "semodule がないため、ポリシーモジュール %s をロードできません。semodule をインストールすると amp-remediate 19 でロードできます。ポリシーを手作業で管理している場合は、出力されたソースを次のコマンドでロードしてください。",
	}
	unknownClass = fault.Text{
		EN: "The loaded SELinux policy does not know the class %s and denies what it does not know (%s is 1), so no rule can allow it. " +
			"Install the distribution's current policy package, or build the policy with handle_unknown=allow.",
		JA: "ロード済みの SELinux ポリシーはクラス %s を定義しておらず、未知のものを拒否する設定です (%s が 1)。規則では許可できません。" +
			"ディストリビューションの最新のポリシーパッケージをインストールするか、handle_unknown=allow を指定してポリシーをビルドしてください。",
	}
)

func classUnknown(se selinux.Facts) fault.Text {
	for _, a := range se.Access {
		if a.Known() && !a.Value.ClassKnown {
			return unknownClass.With(a.Value.Class, se.DenyUnknown.From)
		}
	}
	return fault.Text{}
}
