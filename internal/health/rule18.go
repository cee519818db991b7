package health

import (
	"fmt"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// Causes of fault 18.
const (
	CauseSustained  = "sustained"  // events come faster than they can be handled
	CauseLosing     = "losing"     // events are being lost
	CausePersisting = "persisting" // it goes on, or comes back, though monitoring was reduced
)

// rule18 reports fault 18: events come faster than they can be handled, and not just for a moment. The daemon measures and decides
// (monitor.Overload); this puts it into words.
type rule18 struct{}

func (rule18) ID() fault.ID { return 18 }

// overloadCauses are the daemon's causes, with the reason.
var overloadCauses = map[monitor.Cause]struct {
	cause string
	words fault.Text
}{
	monitor.Sustained: {CauseSustained, fault.Text{
		EN: "events come faster than they can be handled; only system-critical events are monitored until that ends",
		JA: "処理能力を超える速さでイベントが発生しています。収まるまで、システム上重要なイベントのみを監視します",
	}},
	monitor.Losing: {CauseLosing, fault.Text{
		EN: "events come faster than they can be handled, and some are being lost",
		JA: "処理能力を超える速さでイベントが発生し、一部が失われています",
	}},
	monitor.Persisting: {CausePersisting, fault.Text{
		EN: "events have been coming faster than they can be handled for a long time, though monitoring was reduced",
		JA: "監視を縮小しても、処理能力を超えるイベントの発生が長時間続いています",
	}},
}

func (rule18) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	if !f.Found {
		return q.absent(f)
	}
	if !q.switchOn(f, wordMonitoring, monitorAny) {
		return q.notApplicable(bothOff)
	}
	if f.Connector.Vendor {
		q.missing(wordLoadOfEvents, f.Connector.Binary, onlyContext, errVendorMonitor)
		return q.finding(fault.Text{})
	}
	m, ok := known(q, wordLoadOfEvents, f.Monitoring, onlyContext)
	if !ok {
		return q.finding(fault.Text{})
	}
	q.rates(f.Monitoring.From, m.Overload)
	if m.Overload.Level == monitor.Normal {
		return q.finding(fault.Text{EN: "the events that come are handled", JA: "発生したイベントは処理できています"})
	}
	c, ok := overloadCauses[m.Overload.Cause]
	if !ok {
		c = overloadCauses[monitor.Sustained]
	}
	q.deviates(c.cause, c.words)
	finding := q.finding(fault.Text{})
	if m.Overload.Level == monitor.Reduced {
		finding.Severity = fault.Major
	}
	return finding
}

var wordLoadOfEvents = fault.Text{EN: "load of events", JA: "イベントの負荷"}

// rates shows what was measured, beside what it is measured by.
func (q *inquiry) rates(from string, s monitor.OverloadState) {
	l := s.Limits
	q.saw(fault.Text{EN: "events a second", JA: "1 秒あたりのイベント"},
		fault.Text{EN: "%.0f produced, %.0f handled, %.0f shed, %.0f lost", JA: "発生 %.0f 件、処理 %.0f 件、縮小 %.0f 件、損失 %.0f 件"}.With(s.Produced, s.Handled, s.Shed, s.Lost),
		from, onlyContext)
	q.saw(fault.Text{EN: "queue of events", JA: "イベントのキュー"}, percent(s.Fill), from,
		fault.Text{EN: "below %s, or not for longer than %s", JA: "%s 未満、または超過が %s 以内"}.With(percent(l.Fill), l.Sustained))
	q.saw(fault.Text{EN: "events lost for a full queue", JA: "キュー満杯により失われたイベント"}, percent(s.Loss), from,
		fault.Text{EN: "below %s", JA: "%s 未満"}.With(percent(l.Loss)))
	if s.Trouble > 0 {
		q.saw(fault.Text{EN: "time since monitoring was first reduced", JA: "監視を最初に縮小してからの時間"}, fault.Verbatim(s.Trouble.Round(time.Second).String()), from,
			fault.Text{EN: "below %s", JA: "%s 未満"}.With(l.Persist))
	}
}

func percent(part float64) fault.Text { return fault.Verbatim(fmt.Sprintf("%.2f %%", 100*part)) }
