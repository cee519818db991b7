package health

import (
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

var (
	wordSecureBoot = fault.Text{EN: "UEFI Secure Boot", JA: "UEFI セキュアブート"}
	wordLoading    = fault.Text{EN: "what the kernel asks of modules", JA: "カーネルがモジュールに求めるもの"}
)

// moduleLoading shows what the running kernel asks of modules. It is context: what is not known of it leaves the judgement as it is.
func (q *inquiry) moduleLoading(f *Facts) {
	m := f.Host.ModuleLoading
	on := m.SecureBoot.On
	word := wordOff
	switch {
	case !on.Known():
		word = wordUnread.With(on.Err)
	case on.Value:
		word = wordOn
	}
	q.saw(wordSecureBoot, word, on.From, onlyContext)
	asked := askedOfModules(m)
	q.saw(wordLoading, asked.Value, asked.From, onlyContext)
}

// askedOfModules says in words what is asked, by what asks most.
func askedOfModules(m host.ModuleLoading) host.Reading[fault.Text] {
	signed := m.NeedsSignature()
	switch {
	case m.Disabled.Known() && m.Disabled.Value:
		return host.Read(fault.Text{EN: "none is loaded any more until the next boot", JA: "次回起動までモジュールのロードは一切できません"}, m.Disabled.From)
	case !signed.Known():
		return host.Read(wordUnread.With(signed.Err), signed.From)
	case signed.Value && signed.From == m.Lockdown.From:
		return host.Read(fault.Text{EN: "a signature (lockdown: %s)", JA: "署名 (ロックダウン: %s)"}.With(m.Lockdown.Value), signed.From)
	case signed.Value:
		return host.Read(fault.Text{EN: "a signature", JA: "署名"}, signed.From)
	}
	return host.Read(fault.Text{EN: "no signature", JA: "署名は不要"}, signed.From)
}
