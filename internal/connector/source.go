package connector

import (
	"context"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// chooseSource makes the open source the one that the facts ask for. One that could not be opened is tried again at each evaluation.
func (c *core) chooseSource(ctx context.Context) {
	choice := c.Choose(c.facts)
	if choice != c.choice {
		c.Log.Info("event source chosen", "source", choice.Source, "reason", choice.Reason)
	}
	c.choice = choice
	if c.feed != nil && c.feed.source.Name() != choice.Source {
		c.closeFeed()
	}
	if choice.Source == monitor.NoSource {
		c.openErr = nil
		return
	}
	if c.feed == nil {
		c.openFeed(ctx)
	}
}

// openFeed opens the chosen source and sends a canary through it.
func (c *core) openFeed(ctx context.Context) {
	source, err := c.Open(ctx, c.choice.Source)
	if err != nil {
		if c.openErr == nil || c.openErr.Error() != err.Error() {
			c.Log.Error("the event source cannot be opened: nothing is monitored", "source", c.choice.Source, "error", err)
		}
		c.openErr = err
		return
	}
	c.openErr = nil
	c.feed = startFeed(ctx, source, c.Now().UTC(), c.sink)
	c.live.Store(c.feed)
	c.Log.Info("event source opened", "source", source.Name())
	c.startCanary(ctx)
}

// closeFeed closes the open source, if any, and keeps what it counted.
func (c *core) closeFeed() {
	if c.feed == nil {
		return
	}
	name := c.feed.source.Name()
	loss, err := c.feed.close()
	if err != nil {
		c.Log.Warn("close the event source", "source", name, "error", err)
	}
	c.pastMu.Lock()
	c.past.Handled += loss.Handled
	c.past.Lost += loss.Lost
	c.live.Store(nil)
	c.pastMu.Unlock()
	c.feed, c.canary, c.canaryDue = nil, nil, nil
	c.Log.Info("event source closed", "source", name, "handled", loss.Handled, "lost", loss.Lost)
}

// feedEnded is the channel on which the open source tells that it ended by itself, nil if none is open.
func (c *core) feedEnded() <-chan error {
	if c.feed == nil {
		return nil
	}
	return c.feed.ended
}

// feedFailed closes a source that ended by itself. It is opened anew at the next evaluation.
func (c *core) feedFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		c.feed.ended <- err
		return
	}
	c.Log.Error("the event source failed: nothing is monitored until it is opened anew", "source", c.feed.source.Name(), "error", err)
	c.feed.ended <- err // for close, which waits for it
	c.closeFeed()
	c.openErr = err
	c.publish()
}

// startCanary sends a canary through the open source. Its result comes by the channel canaries.
func (c *core) startCanary(ctx context.Context) {
	c.canaryDue = c.After(canaryPeriod)
	f := c.feed
	if f == nil {
		c.canaryDue = nil
		return
	}
	c.sending.Go(func() {
		result, err := c.sendCanary(f.ctx, f)
		if err != nil {
			return // the feed was closed
		}
		select {
		case c.canaries <- canaryResult{f, result}:
		case <-f.ctx.Done():
		}
	})
}

// canaryDone records a canary. A source through which none came is closed and opened anew, once before the clock sends the next.
func (c *core) canaryDone(ctx context.Context, r canaryResult) {
	if r.feed != c.feed {
		return
	}
	known := c.canary != nil && c.canary.OK
	c.canary = &r.canary
	switch {
	case r.canary.OK && !known:
		c.Log.Info("canary seen: the event source works", "detail", r.canary.Detail, "milliseconds", r.canary.Milliseconds)
	case !r.canary.OK:
		c.Log.Error("canary not seen: the event source may be blind", "detail", r.canary.Detail, "reopening", !c.reopened)
	}
	if !r.canary.OK && !c.reopened {
		c.reopened = true
		c.closeFeed()
		c.openFeed(ctx)
		c.canary = &r.canary // what is known until the next one
	}
	c.publish()
}

// mode says how much is monitored. A source through which the canary did not come counts for nothing.
func (c *core) mode() control.Mode {
	switch {
	case c.feed == nil, c.canary != nil && !c.canary.OK:
		return control.NoMode
	case c.feed.source.Name() == monitor.Degraded:
		return control.Degraded
	}
	return control.Normal
}
