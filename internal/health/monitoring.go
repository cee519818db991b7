package health

import (
	"context"
	"errors"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

// Monitoring is what only the process that monitors knows.
type Monitoring struct {
	Source  monitor.SourceName // that is open
	Chosen  monitor.SourceName // that ought to be
	Hooks   string
	Layouts control.Layouts // of Chosen, where it takes them from elsewhere than the kernel's BTF
	Error   string          // why the source that was chosen could not be opened or ended, "" if it is open
	Proved  bool            // the last canary says whether the open source works
	Seen    monitor.Kinds   // of its events
	Missing monitor.Kinds   // events that the canary caused and that did not come
	Detail  string          // in words; where nothing is proved, why the last canary said nothing
	At      time.Time       // when the canary was sent

	Overload monitor.OverloadState
}

// errNoDaemon is why nothing is known of monitors and scan service where no daemon of ours runs.
var errNoDaemon = fault.Errorf(fault.Text{
	EN: "the connector's daemon is not running; to start it: amp-install start", JA: "コネクタのデーモンが動作していません。開始するには: amp-install start",
})

// askPatience is how long a daemon may take to tell its status: it has it at hand.
const askPatience = 2 * time.Second

// askDaemon asks the running daemon for what only it knows, in one question. The daemon itself knows without asking, and an image has none.
func askDaemon(ctx context.Context, r host.Root, socket string) (host.Reading[Monitoring], host.Reading[control.Scan]) {
	s, err := daemonStatus(ctx, r, socket)
	if err != nil {
		return host.NotKnown[Monitoring](socket, err), host.NotKnown[control.Scan](socket, err)
	}
	return host.Read(monitoringOf(s), socket), host.Read(s.Scan, socket)
}

func daemonStatus(ctx context.Context, r host.Root, socket string) (*control.Status, error) {
	if !r.Live() {
		return nil, host.ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	answer, err := control.Ask(ctx, socket, control.Request{Verb: control.ReadStatus})
	if errors.Is(err, control.ErrNotRunning) {
		err = errNoDaemon
	}
	return answer.Status, err
}

// monitoringOf reads a status. Kinds that this program does not know are passed over: the daemon may be newer.
func monitoringOf(s *control.Status) Monitoring {
	m := Monitoring{Source: monitor.SourceName(s.Source.Name), Chosen: monitor.SourceName(s.Source.Chosen), Hooks: s.Source.Hooks, Error: s.Source.Error}
	if s.Source.Layouts != nil {
		m.Layouts = *s.Source.Layouts
	}
	if c := s.Canary; c != nil {
		m.Proved, m.Detail, m.At = !c.Skipped, c.Detail, c.Time
		if m.Proved {
			m.Seen, m.Missing = kindsOf(c.Seen), kindsOf(c.Missing)
		}
	}
	if l := s.Load; l != nil {
		m.Overload = overloadOf(l)
	}
	return m
}

// overloadOf reads a load. A level of a newer daemon counts as the worst.
func overloadOf(l *control.Load) monitor.OverloadState {
	levels := map[string]monitor.Level{monitor.Normal.String(): monitor.Normal, monitor.Reduced.String(): monitor.Reduced}
	level, ok := levels[l.Level]
	if !ok {
		level = monitor.Critical
	}
	causes := map[string]monitor.Cause{"": monitor.NoCause, monitor.Losing.String(): monitor.Losing, monitor.Persisting.String(): monitor.Persisting}
	cause, ok := causes[l.Cause]
	if !ok {
		cause = monitor.Sustained
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	return monitor.OverloadState{
		Level: level, Cause: cause, Since: l.Since, Produced: l.Produced, Handled: l.Handled, Shed: l.Shed, Lost: l.Lost, Fill: l.Queue, Loss: l.Loss,
		Trouble: seconds(l.Trouble), Relapses: l.Relapses,
		Limits: monitor.OverloadLimits{
			Fill: l.Limits.Queue, Loss: l.Limits.Loss, Sustained: seconds(l.Limits.Sustained), Losing: seconds(l.Limits.Losing), Persist: seconds(l.Limits.Persist),
		},
	}
}

func kindsOf(names []string) (kinds monitor.Kinds) {
	for _, name := range names {
		if k, err := monitor.ParseKind(name); err == nil {
			kinds |= monitor.KindsOf(k)
		}
	}
	return kinds
}
