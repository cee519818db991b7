package health

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/selinux"
)

// Causes of fault 19.
const (
	CauseRuleMissing     = "rule-missing"
	CauseModuleAbsent    = "module-absent"
	CauseModuleDisabled  = "module-disabled"
	CauseModuleShadowed  = "module-shadowed"
	CauseModuleNotLoaded = "module-not-loaded" // present in the store, and yet the kernel says no
	CauseClassUnknown    = "class-unknown"
)

// storeCauses is what the state of the module in the store says about a rule that does not hold.
var storeCauses = map[selinux.StoreState]struct {
	cause string
	words fault.Text
}{
	selinux.ModuleAbsent:   {CauseModuleAbsent, fault.Text{EN: "the policy module %s is not installed", JA: "ポリシーモジュール %s がインストールされていません"}},
	selinux.ModuleDisabled: {CauseModuleDisabled, fault.Text{EN: "the policy module %s is disabled", JA: "ポリシーモジュール %s が無効化されています"}},
	selinux.ModuleShadowed: {CauseModuleShadowed, fault.Text{EN: "the policy module %s is hidden by another of higher priority", JA: "ポリシーモジュール %s が優先度の高い同名のモジュールに隠されています"}},
	selinux.ModulePresent:  {CauseModuleNotLoaded, fault.Text{EN: "the policy module %s is in the store, but its rule is not in the loaded policy", JA: "ポリシーモジュール %s はストアにありますが、その規則がロード済みのポリシーに含まれていません"}},
}

// rule19 reports fault 19, an enforcing SELinux host on which the service's domain may not use bpf(2), or what else its programs need.
type rule19 struct{}

func (rule19) ID() fault.ID { return 19 }

func (rule19) Check(f *Facts) fault.Finding {
	q, se := &inquiry{}, f.SELinux
	if !f.Found {
		return q.absent(f)
	}
	mode, ok := known(q, fault.Text{EN: "SELinux mode", JA: "SELinux のモード"}, se.Mode, onlyContext)
	if !ok {
		return q.finding(fault.Text{})
	}
	q.saw(fault.Text{EN: "SELinux mode", JA: "SELinux のモード"}, fault.Verbatim(string(mode)), se.Mode.From, onlyContext)
	if reason, off := notEnforced[mode]; off {
		return q.notApplicable(reason)
	}
	if !f.Host.Live {
		return q.image(f)
	}
	return q.enforcing(f)
}

// notEnforced are the modes in which a missing rule refuses nothing.
var notEnforced = map[selinux.Mode]fault.Text{
	selinux.Disabled:   {EN: "SELinux is disabled", JA: "SELinux は無効です"},
	selinux.Permissive: {EN: "SELinux is permissive: it refuses nothing", JA: "SELinux は Permissive モードで、何も拒否しません"},
}

// image answers for a host that does not run: its kernel cannot be asked, and what its policy allows is not guessed from the store.
func (q *inquiry) image(f *Facts) fault.Finding {
	q.store(f)
	q.unread = nil // whatever the store said, it is the kernel's answer that is missing
	q.missing(fault.Text{EN: "what the loaded policy allows", JA: "ロードされるポリシーが許可する内容"}, "/sys/fs/selinux/access", onlyContext, host.ErrNotRunning)
	return q.finding(fault.Text{})
}

// verdict is the answer to one Need.
type verdict int

const (
	allowed        verdict = iota
	allowedUnknown         // the policy does not know the class, and allows what it does not know
	refused
	notTold
)

func (q *inquiry) enforcing(f *Facts) fault.Finding {
	se := f.SELinux
	domain, ok := q.domain(se)
	if !ok {
		return q.finding(fault.Text{})
	}
	if len(se.Access) == 0 {
		q.missing(accessOf(domain), "/sys/fs/selinux/access", onlyContext, errors.New("the kernel was not asked"))
	}
	told := map[verdict]int{}
	ruleMissing := false
	for _, r := range se.Access {
		v, denied := q.access(domain, r, se.DenyUnknown)
		told[v]++
		ruleMissing = ruleMissing || denied
		if r.Err == nil && r.Value.PermissiveDomain {
			return q.permissiveDomain(domain)
		}
	}
	if ruleMissing {
		q.store(f)
	}
	if len(q.wrong) == 0 && len(q.unread) == 0 && told[allowed] == 0 {
		return q.notApplicable(fault.Text{
			EN: "the loaded policy does not know the class bpf and allows what it does not know",
			JA: "ロード済みのポリシーにはクラス bpf がなく、未知のクラスは許可されています",
		})
	}
	return q.finding(fault.Text{
		EN: "the kernel allows " + domain + " what the connector's programs need",
		JA: "カーネルは " + domain + " に必要な権限を許可しています",
	})
}

// domain is the type that was asked about. One that is not known is not guessed: the kernel's answers for another prove nothing.
func (q *inquiry) domain(se selinux.Facts) (string, bool) {
	what := fault.Text{EN: "domain of the service", JA: "サービスのドメイン"}
	domain, ok := known(q, what, se.Domain, onlyContext)
	if !ok {
		return "", false
	}
	read := domain
	if se.DomainContext != "" {
		read += " (" + se.DomainContext + ")"
	}
	q.saw(what, fault.Verbatim(read), se.Domain.From, onlyContext)
	return domain, true
}

func (q *inquiry) permissiveDomain(domain string) fault.Finding {
	q.wrong, q.unread, q.causes = nil, nil, nil
	return q.finding(fault.Text{
		EN: "the domain " + domain + " is permissive: SELinux refuses it nothing",
		JA: "ドメイン " + domain + " は Permissive で、SELinux は何も拒否しません",
	})
}

func accessOf(domain string) fault.Text {
	return fault.Text{EN: "what the kernel allows " + domain, JA: "カーネルが " + domain + " に許可する内容"}
}

// access judges the kernel's answer for one Need; denied says that a rule is missing which our module could bring.
func (q *inquiry) access(domain string, r host.Reading[selinux.Access], denyUnknown host.Reading[bool]) (v verdict, denied bool) {
	a := r.Value
	rule := fault.Text{EN: "rule allow %s self:%s { %s }", JA: "規則 allow %s self:%s { %s }"}.With(domain, a.Class, strings.Join(a.Permissions, " "))
	if r.Err != nil {
		q.missing(accessOf(domain), r.From, onlyContext, r.Err)
		return notTold, false
	}
	if !a.ClassKnown {
		q.saw(rule, fault.Text{EN: "the loaded policy does not know the class " + a.Class, JA: "ロード済みのポリシーにクラス " + a.Class + " がありません"}, r.From, wordAllowed)
		return q.unknownToPolicy(fault.Text{EN: "class %s", JA: "クラス %s"}.With(a.Class), denyUnknown), false
	}
	q.saw(rule, answered(a), r.From, wordAllowed)
	v = allowed
	if a.PermissiveDomain {
		return v, false
	}
	if len(a.Missing) > 0 {
		what := fault.Text{EN: "permission %s of class %s", JA: "クラス %[2]s の権限 %[1]s"}.With(strings.Join(a.Missing, " "), a.Class)
		v = q.unknownToPolicy(what, denyUnknown)
	}
	if len(a.Denied) > 0 {
		v, denied = refused, true
		permissions := strings.Join(a.Denied, " ")
		q.deviates(CauseRuleMissing, fault.Text{
			EN: fmt.Sprintf("SELinux refuses %s the permission %s of class %s", domain, permissions, a.Class),
			JA: fmt.Sprintf("SELinux が %s にクラス %s の権限 %s を拒否します", domain, a.Class, permissions),
		})
	}
	if v == allowedUnknown {
		v = allowed // the class is known: only a permission is not
	}
	return v, denied
}

func answered(a selinux.Access) fault.Text {
	var parts []fault.Text
	if len(a.Denied) > 0 {
		parts = append(parts, fault.Text{EN: "denied: %s", JA: "拒否: %s"}.With(strings.Join(a.Denied, " ")))
	}
	if len(a.Missing) > 0 {
		parts = append(parts, fault.Text{EN: "not in the loaded policy: %s", JA: "ロード済みのポリシーに未定義: %s"}.With(strings.Join(a.Missing, " ")))
	}
	if a.PermissiveDomain {
		parts = append(parts, fault.Text{EN: "the domain is permissive", JA: "ドメインは Permissive"})
	}
	if len(parts) == 0 {
		return wordAllowed
	}
	return fault.Join(parts, fault.Text{EN: "; ", JA: "、"})
}

// unknownToPolicy judges what the loaded policy has no name for: the kernel then allows it unless deny_unknown is 1.
func (q *inquiry) unknownToPolicy(name fault.Text, denyUnknown host.Reading[bool]) verdict {
	what := fault.Text{EN: "deny_unknown of the loaded policy", JA: "ロード済みポリシーの deny_unknown"}
	deny, ok := known(q, what, denyUnknown, fault.Verbatim("0"))
	switch {
	case !ok:
		return notTold
	case !deny:
		q.saw(what, fault.Verbatim("0"), denyUnknown.From, fault.Verbatim("0"))
		return allowedUnknown
	}
	q.saw(what, fault.Verbatim("1"), denyUnknown.From, fault.Verbatim("0"))
	q.deviates(CauseClassUnknown, fault.Text{
		EN: "the loaded policy does not know the %s and refuses what it does not know",
		JA: "ロード済みのポリシーは未知のものを拒否する設定で、%s を定義していません",
	}.With(name))
	return refused
}

// store adds what the module store says of our module.
func (q *inquiry) store(f *Facts) {
	module := f.Connector.Module
	what := fault.Text{EN: "policy module " + module, JA: "ポリシーモジュール " + module}
	expected := fault.Text{EN: "present and loaded", JA: "導入およびロード済み"}
	s, ok := known(q, what, f.SELinux.Store, expected)
	if !ok {
		return
	}
	q.saw(what, storeState(s), f.SELinux.Store.From, expected)
	if c, ok := storeCauses[s.State]; ok && len(q.wrong) > 0 {
		q.deviates(c.cause, c.words.With(module))
	}
}

// storeWords are the states of a module in the store, in words; its priority, and that of the module which hides it.
var storeWords = map[selinux.StoreState]fault.Text{
	selinux.ModuleAbsent:   {EN: "absent", JA: "未導入"},
	selinux.ModuleDisabled: {EN: "disabled, priority %d", JA: "無効、優先度 %d"},
	selinux.ModuleShadowed: {EN: "shadowed: priority %[2]d hides ours of priority %[1]d", JA: "優先度 %[2]d の同名モジュールにより、優先度 %[1]d のモジュールが隠されています"},
	selinux.ModulePresent:  {EN: "present, priority %d", JA: "導入済み、優先度 %d"},
}

func storeState(s selinux.Store) fault.Text {
	switch s.State {
	case selinux.ModuleAbsent:
		return storeWords[s.State]
	case selinux.ModuleShadowed:
		return storeWords[s.State].With(s.Priority, s.Shadow)
	}
	return storeWords[s.State].With(s.Priority)
}
