package connector

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
)

// chooseSource makes the open source the one that the facts ask for. One that could not be opened is tried again at each evaluation, and
// until then the degraded source stands in for it.
func (c *core) chooseSource(ctx context.Context) {
	choice := c.Choose(c.facts)
	if choice != c.choice {
		c.Log.Info("event source chosen", "source", choice.Source, "reason", choice.Reason.EN)
	}
	c.choice = choice
	switch {
	case choice.Source == monitor.NoSource:
		c.closeFeed()
		c.openErr = nil
	case c.feed != nil && c.feed.source.Name() == choice.Source:
		c.openErr = nil
		c.set()
	case c.feed != nil && c.feed.source.Name() != monitor.Degraded:
		c.closeFeed() // the facts say that it does not work any more, or that it may not
		c.openFeed(ctx)
	default:
		c.openFeed(ctx)
	}
}

// set tells the open source what the policy and the exclusions ask for, where that is something new. An exclusion by executable is told
// each time: the file may have been replaced. So is what is in force already after a refusal, which may have left something else behind.
func (c *core) set() {
	wanted := c.wanted()
	if wanted.Equal(c.settings) && len(wanted.Exclusions.Processes) == 0 && c.setErr == nil {
		return
	}
	if !wanted.Equal(c.settings) || c.setErr != nil {
		c.told++
	}
	if err := c.feed.source.Set(wanted); err != nil {
		c.Log.Error("the event source goes on as before", "source", c.feed.source.Name(), "error", err)
		c.setErr = err
		return
	}
	c.settings, c.setErr = wanted, nil
}

// scansWait bounds how long scans wait for a source to be opened and proved. To see again what happens comes first, and on a slow host it takes
// several times as long beside the scans of what a policy rebuild has just written.
const scansWait = 10 * time.Second

// answerWait is how long scans wait after an answer: a program that asked has some work to do yet, and ends.
const answerWait = 300 * time.Millisecond

// openFeed opens the chosen source, or the degraded one where that fails. One that is open goes on until the other can take over. Scans wait until
// the first canary of what was opened is back.
func (c *core) openFeed(ctx context.Context) {
	before := c.feed
	c.scanner.Hold(scansWait)
	c.openBest(ctx)
	if c.feed == nil || c.feed == before { // no canary was sent
		c.scanner.Resume()
	}
}

func (c *core) openBest(ctx context.Context) {
	wanted := c.wanted()
	source, err := c.openChosen(ctx, wanted)
	switch {
	case err == nil:
		c.openErr = nil
		c.begin(ctx, source, wanted)
		return
	case errors.Is(err, errLayoutsPending):
		c.openErr = nil
	default:
		if c.openErr == nil || c.openErr.Error() != err.Error() {
			c.Log.Error("the event source cannot be opened", "source", c.choice.Source, "error", err)
		}
		c.openErr = err
	}
	if c.feed != nil {
		c.set() // the degraded one, which goes on
		return
	}
	if c.choice.Source == monitor.Degraded {
		return
	}
	source, err = c.Open(ctx, monitor.Degraded, wanted, bpf.Types{})
	if err != nil {
		c.Log.Error("nothing is monitored: the degraded source cannot be opened either", "error", err)
		c.openErr = errors.Join(c.openErr, err)
		return
	}
	c.begin(ctx, source, wanted)
}

// openingPercent is the collector's, in place of gcPercent, while a source is opened: what relocating programs takes is garbage at once, and with each
// half of what lives it would be looked for ten times. The limit of memory stays.
const openingPercent = 150

func (c *core) openChosen(ctx context.Context, wanted monitor.Settings) (monitor.Source, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(openingPercent))
	types, err := c.typesOf(ctx, c.choice.Source)
	if err != nil {
		return nil, err
	}
	return c.Open(ctx, c.choice.Source, wanted, types)
}

// begin makes source the one that feeds the log, and sends a canary through it.
func (c *core) begin(ctx context.Context, source monitor.Source, s monitor.Settings) {
	c.closeFeed()
	c.settings, c.setErr = s, nil
	c.feed = startFeed(ctx, source, c.Now().UTC(), c.sink, c.top, c.scanner)
	c.live.Store(c.feed)
	c.top.processes.Restart()
	c.top.sampled = time.Time{}
	c.Log.Info("event source opened", "source", source.Name(), "hooks", source.Hooks())
	c.measure = c.After(observePeriod)
	c.startCanary()
}

// closeFeed closes the open source, if any, and keeps what it counted.
func (c *core) closeFeed() {
	if c.feed == nil {
		return
	}
	f := c.feed
	f.stop()
	c.live.Store(nil)
	c.feed, c.canary, c.seen, c.missing, c.canaryDue = nil, nil, 0, 0, nil
	c.inFlight = false
	// The kernel may take a second for each program that it lets go of; the loop has more to do.
	c.sending.Go(func() {
		counts, err := f.close()
		if err != nil {
			c.Log.Warn("close the event source", "source", f.source.Name(), "error", err)
		}
		c.pastMu.Lock()
		c.past = counts.Plus(c.past)
		c.pastMu.Unlock()
		c.Log.Info("event source closed", "source", f.source.Name(), "handled", counts.Total().Handled, "lost", counts.Total().Lost())
	})
}

// feedEnded is the channel on which the open source tells that it ended by itself, nil if none is open.
func (c *core) feedEnded() <-chan error {
	if c.feed == nil {
		return nil
	}
	return c.feed.ended
}

// feedFailed closes a source that ended by itself. It is opened anew at once, after one that did not last at the next periodic evaluation.
func (c *core) feedFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		c.feed.ended <- err
		return
	}
	c.Log.Error("the event source failed: nothing is monitored until it is opened anew", "source", c.feed.source.Name(), "error", err)
	c.feed.ended <- err // for close, which waits for it
	lasted := c.Now().Sub(c.feed.since) >= evaluationPeriod
	c.closeFeed()
	c.openErr = err
	if lasted {
		c.changed("event source")
	}
	c.publish()
	c.answer()
}

// startCanary sends a canary through the open source. Its result comes by the channel canaries.
func (c *core) startCanary() {
	c.canaryDue = c.After(canaryPeriod)
	f := c.feed
	if f == nil {
		c.canaryDue = nil
		return
	}
	c.inFlight = true
	kinds, told := expected(f.source, c.settings, c.Executable), c.told
	c.sending.Go(func() {
		result, err := c.sendCanary(f.ctx, f, kinds)
		if err != nil {
			return // the feed was closed
		}
		result.told = told
		select {
		case c.canaries <- result:
		case <-f.ctx.Done():
		}
	})
}

// canaryDone records a canary. A source through which none came is closed and opened anew, once before that is taken for its word. One that says
// nothing of the source leaves what is known of it as it is, and the next one follows soon.
func (c *core) canaryDone(ctx context.Context, r canaryResult) {
	if r.feed != c.feed {
		return
	}
	c.inFlight = false
	if r.missing != 0 && r.told != c.told {
		r.skip("what is to be monitored changed while it was under way")
	}
	known, judged := c.canary != nil && c.canary.OK, !r.canary.Skipped
	blind := judged && !r.canary.OK
	news := judged && (r.missing != c.missing || !known)
	switch {
	case r.canary.OK && !known:
		c.Log.Info("canary seen: the event source works", "detail", r.canary.Detail, "milliseconds", r.canary.Milliseconds)
	case blind:
		c.Log.Error("canary not seen: the event source may be blind", "detail", r.canary.Detail, "reopening", !c.reopened)
	case !judged && (c.canary == nil || c.canary.Detail != r.canary.Detail):
		c.Log.Warn("the canary says nothing: whether the event source works is not known", "reason", r.canary.Detail)
	}
	c.canary = &r.canary
	if judged {
		c.seen, c.missing = r.seen, r.missing
	} else {
		c.canaryDue = c.After(canaryAgain)
	}
	if blind && !c.reopened {
		defer c.atWork()()
		c.reopened = true
		c.closeFeed()
		c.openFeed(ctx)
		if c.feed != nil {
			c.canary, c.seen, c.missing = &r.canary, r.seen, r.missing // what is known until the next one
			c.publish()
			return
		}
		// None will follow: that nothing is monitored is to be told now.
	}
	c.reopened = c.reopened && !judged
	// By the facts of the evaluation before: a canary says nothing new of the host, whose changes are watched. Who waits for it has an answer before
	// scans go on, and a moment to tell it.
	switch {
	case len(c.waiting) > 0:
		c.judge(c.ledger.Settle)
		c.scanner.Hold(answerWait)
		return
	case news:
		c.judge(c.ledger.Update) // what did not come is a fault, and what came again is none
	default:
		c.publish()
	}
	c.scanner.Resume()
}

// monitoring is what the loop knows of its source, for the rules.
func (c *core) monitoring() health.Monitoring {
	m := health.Monitoring{Source: monitor.NoSource, Chosen: c.choice.Source}
	if c.openErr != nil {
		m.Error = c.openErr.Error()
	}
	if l := c.layoutStatus(); l != nil {
		m.Layouts = *l
	}
	if c.feed != nil {
		m.Source, m.Hooks = c.feed.source.Name(), c.feed.source.Hooks()
		m.Overload = c.overload.State()
	}
	if c.canary == nil {
		return m
	}
	m.Detail, m.At = c.canary.Detail, c.canary.Time
	if !c.canary.Skipped {
		m.Proved, m.Seen, m.Missing = true, c.seen, c.missing
	}
	return m
}

// mode says how much is monitored. A source through which nothing of the canary came counts for nothing, until another one says otherwise.
func (c *core) mode() control.Mode {
	switch {
	case c.feed == nil, c.missing != 0 && c.seen == 0:
		return control.NoMode
	case c.feed.source.Name() == monitor.Degraded, c.missing != 0:
		return control.Degraded
	}
	return control.Normal
}
