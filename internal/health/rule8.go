package health

import (
	"errors"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/terminal"
	"github.com/ampconnector/amp/kmod"
)

// Causes of faults 8 and 9.
const (
	CauseBlind       = "blind"        // the source is open, and events that the canary caused did not come
	CauseNotMonitors = "not-monitors" // no source is open
	CauseNoModule    = "no-module"    // the policy wants modules, and this monitor's is not loaded
	CauseNotRead     = "not-read"     // it is, and the connector cannot read what it tells
)

// monitorRule reports faults 8 and 9: a monitor that the policy asks for and that does not bring its own canary's events, or that it wants to be a
// kernel module which is not loaded.
type monitorRule struct {
	id       fault.ID
	name     fault.Text
	on       func(policy.Policy) bool
	kinds    monitor.Kinds
	module   string     // of the monitor, where the policy wants modules
	switched fault.Text // the reason where the switch is off
}

var (
	rule8 = monitorRule{
		8, wordFiles, monitorFiles, monitor.FileKinds | monitor.KindsOf(monitor.Exec, monitor.Exit), kmod.FileModule,
		fault.Text{EN: "file monitoring is off in the policy", JA: "ポリシーでファイル監視が無効になっています"},
	}
	rule9 = monitorRule{
		9, wordNetwork, monitorNetwork, monitor.NetworkKinds, kmod.NetworkModule,
		fault.Text{EN: "network monitoring is off in the policy", JA: "ポリシーでネットワーク監視が無効になっています"},
	}
)

func (r monitorRule) ID() fault.ID { return r.id }

var errNoCanary = errors.New("no canary has been sent yet")

func (r monitorRule) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	if !f.Found {
		return q.absent(f)
	}
	if !q.switchOn(f, r.name, r.on) {
		return q.notApplicable(r.switched)
	}
	if f.Connector.Vendor {
		q.missing(r.name, f.Connector.Binary, onlyContext, errVendorMonitor)
		return q.finding(fault.Text{})
	}
	if forced(f.Policy) {
		r.loaded(q, f)
	}
	wordSource := fault.Text{EN: "event source in use", JA: "使用中のイベントソース"}
	m, ok := known(q, wordSource, f.Monitoring, onlyContext)
	if !ok {
		return q.finding(fault.Text{})
	}
	open := fault.Text{EN: "one that is open", JA: "いずれかが有効であること"}
	if m.Source == monitor.NoSource {
		q.saw(wordSource, wordNone, f.Monitoring.From, open)
		if m.Error != "" {
			q.saw(fault.Text{EN: "opening it", JA: "イベントソースを開いた結果"}, fault.Verbatim(m.Error), f.Monitoring.From, open)
		}
		q.moduleLoading(f)
		q.deviates(CauseNotMonitors, fault.Text{EN: "no event source is open, so that nothing is monitored", JA: "有効なイベントソースがなく、監視が行われていません"})
		return q.finding(fault.Text{})
	}
	q.saw(wordSource, fault.Verbatim(string(m.Source)+" ("+m.Hooks+")"), f.Monitoring.From, open)
	if m.Chosen == monitor.Modules && m.Source != monitor.Modules && m.Error != "" {
		q.saw(wordRing.With(r.module), fault.Verbatim(m.Error), f.Monitoring.From, fault.Text{EN: "can be read", JA: "読み取れること"})
		q.deviates(CauseNotRead, fault.Text{
			EN: "what the kernel modules tell cannot be read: " + m.Error, JA: "カーネルモジュールのイベントを読み取れません: " + m.Error,
		})
	}
	return r.canary(q, f.Monitoring.From, m)
}

var (
	wordModule = fault.Text{EN: "kernel module %s", JA: "カーネルモジュール %s"}
	wordRing   = fault.Text{EN: "events of kernel module %s", JA: "カーネルモジュール %s のイベント"}
	wordLoaded = fault.Text{EN: "loaded", JA: "ロード済みであること"}
)

// loaded judges the module, which the policy wants.
func (r monitorRule) loaded(q *inquiry, f *Facts) {
	reading := f.Modules.Loaded[r.module]
	loaded, ok := known(q, wordModule.With(r.module), reading, wordLoaded)
	switch {
	case !ok:
	case loaded:
		q.saw(wordModule.With(r.module), wordLoaded, reading.From, wordLoaded)
	default:
		why := f.Modules.WhyNot(r.module)
		why = fault.Text{EN: terminal.Line(why.EN), JA: terminal.Line(why.JA)}
		q.saw(wordModule.With(r.module), why, f.Modules.Tried.From, wordLoaded)
		q.moduleLoading(f)
		q.deviates(CauseNoModule, fault.Text{
			EN: "the policy wants kernel modules, and %s is not loaded: %s",
			JA: "ポリシーがカーネルモジュールを指定していますが、%s はロードされていません: %s",
		}.With(r.module, why))
	}
}

var errVendorMonitor = errors.New("only the vendor's connector can tell")

// canary judges by what the canary brought.
func (r monitorRule) canary(q *inquiry, from string, m Monitoring) fault.Finding {
	what := fault.Text{EN: "events of the connector's own canary", JA: "コネクタ自身のカナリアによるイベント"}
	expected := fault.Text{EN: "one of each kind arrives", JA: "各種類のイベントが届くこと"}
	if !m.Proved {
		why := errNoCanary
		if m.Detail != "" {
			why = errors.New(m.Detail)
		}
		q.missing(what, from, expected, why)
		return q.finding(fault.Text{})
	}
	missing := m.Missing & r.kinds
	if missing == 0 {
		q.saw(what, fault.Verbatim(m.Detail), from, expected)
		return q.finding(fault.Text{EN: "the events of the last canary arrived", JA: "直近のカナリアのイベントが届いています"})
	}
	var names []string
	for k := range missing.All {
		names = append(names, k.String())
	}
	list := strings.Join(names, ", ")
	q.saw(what, fault.Text{EN: "did not arrive: %s (%s)", JA: "届いていないイベント: %s (%s)"}.With(list, m.Detail), from, expected)
	q.deviates(CauseBlind, fault.Text{
		EN: "the event source is open and does not see: " + list,
		JA: "イベントソースは有効ですが、次の種類のイベントを捕捉できません: " + list,
	})
	return q.finding(fault.Text{})
}
