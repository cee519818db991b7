package connector

import (
	"context"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// observePeriod is how often the load is measured; monitor.DefaultOverloadLimits are made for it.
const observePeriod = time.Second

// observe measures the load of the open source, and reduces what it monitors, or lets all of it come again. A change of the level is
// fault 18, or its end.
func (c *core) observe(ctx context.Context) {
	if c.feed == nil {
		c.measure = nil
		return
	}
	c.measure = c.After(observePeriod)
	c.sampleActivity()
	counts, err := c.feed.source.Counts()
	if err != nil {
		return // the status says so
	}
	before := c.overload.State()
	now := c.overload.Observe(c.Now(), counts)
	c.load.Store(&now)
	if now.Level == before.Level && now.Cause == before.Cause {
		return
	}
	c.Log.Warn("load", "level", now.Level, "cause", now.Cause, "offered", int(now.Offered), "handled", int(now.Handled),
		"shed", int(now.Shed), "lost", int(now.Lost), "queue", now.Fill)
	c.evaluate(ctx, c.ledger.Update)
}

// wanted is what the source is to do now.
func (c *core) wanted() monitor.Settings { return settings(c.facts, c.overload.State().Reduced()) }

// loadOf is a state as the status has it.
func loadOf(s monitor.OverloadState) *control.Load {
	l := &control.Load{
		Level: s.Level.String(), Since: s.Since, Produced: s.Produced, Handled: s.Handled, Shed: s.Shed, Lost: s.Lost,
		Queue: s.Fill, Loss: s.Loss, Trouble: s.Trouble.Seconds(), Relapses: s.Relapses,
		Limits: control.Limits{
			Queue: s.Limits.Fill, Loss: s.Limits.Loss, Sustained: s.Limits.Sustained.Seconds(), Losing: s.Limits.Losing.Seconds(), Persist: s.Limits.Persist.Seconds(),
		},
	}
	if s.Cause != monitor.NoCause {
		l.Cause = s.Cause.String()
	}
	return l
}
