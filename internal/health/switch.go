package health

import (
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// switchOn reads one switch of the policy. Where the policy cannot be read the switch counts as on, as by the default policy.
func (q *inquiry) switchOn(f *Facts, name fault.Text, of func(policy.Policy) bool) bool {
	p := f.Policy
	if !p.Known() {
		q.saw(name, wordUnread.With(p.Err), p.From, onlyContext)
		return true
	}
	on := of(p.Value)
	word := wordOff
	if on {
		word = wordOn
	}
	q.saw(name, word, p.From, onlyContext)
	return on
}

var (
	wordFiles   = fault.Text{EN: "file monitoring", JA: "ファイル監視"}
	wordNetwork = fault.Text{EN: "network monitoring", JA: "ネットワーク監視"}
	wordOn      = fault.Text{EN: "on", JA: "有効"}
	wordOff     = fault.Text{EN: "off", JA: "無効"}
)

func monitorFiles(p policy.Policy) bool   { return p.MonitorFiles }
func monitorNetwork(p policy.Policy) bool { return p.MonitorNetwork }
func monitorAny(p policy.Policy) bool     { return p.MonitorFiles || p.MonitorNetwork }

// bothOff is the reason of faults that need a switch that is on.
var bothOff = fault.Text{EN: "both monitoring switches of the policy are off", JA: "ポリシーの監視スイッチが両方とも無効です"}
