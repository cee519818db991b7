package connector

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// publish makes the status that is answered until the next one.
func (c *core) publish() {
	s := &control.Status{
		Running: true, Version: c.Version, PID: os.Getpid(), Started: c.started, Evaluated: c.evaluated,
		Mode: c.mode(), Source: c.sourceStatus(), Canary: c.canary, Scan: c.scanner.State(),
		Ledger: control.Ledger{File: c.Ledger}, Log: control.Log{File: c.EventLog}, Detections: control.Log{File: c.DetectionLog},
		Faults: control.Faults(c.ledger.Snapshot().Findings),
	}
	if c.facts != nil {
		s.Kernel, s.Connector = c.facts.Host.Kernel.Value.Release, c.facts.Connector.Name
		s.Policy = c.policyStatus()
	}
	if c.feed != nil {
		s.Load = loadOf(c.overload.State())
	}
	if c.ledgerErr != nil {
		s.Ledger.Error = c.ledgerErr.Error()
	}
	if c.ledger.Damage != nil {
		s.Ledger.Damage = c.ledger.Damage.Error()
	}
	if c.logErr != nil {
		s.Log.Error = c.logErr.Error()
	}
	if c.detectionLogErr != nil {
		s.Detections.Error = c.detectionLogErr.Error()
	}
	c.published.Store(s)
	c.Notify(notifyStatus + statusLine(s))
}

// Reasons for a source, beside those of its choice.
var (
	reasonStarting = fault.Text{EN: "the daemon is starting", JA: "デーモンを起動しています"}
	reasonPending  = fault.Text{EN: "that is done now, and another source stands in until then", JA: "現在導出中で、完了するまでは別のソースを使用します"}
	reasonUnusable = fault.Text{EN: "source %s could not be used", JA: "ソース %s を使用できませんでした"}
)

func (c *core) sourceStatus() control.Source {
	reason := c.choice.Reason
	if c.layouts.pending {
		reason = fault.Join([]fault.Text{reason, reasonPending}, fault.Text{EN: "; ", JA: "。"})
	}
	if c.openErr != nil { // nothing is open, or what stands in
		reason = reasonUnusable.With(c.choice.Source)
	}
	s := control.SourceBecause(string(monitor.NoSource), reason)
	s.Chosen, s.Layouts = string(c.choice.Source), c.layoutStatus()
	if c.feed != nil {
		s.Name, s.Hooks, s.Since = string(c.feed.source.Name()), c.feed.source.Hooks(), c.feed.since
		s.Reduced = c.settings.Reduced
		for _, spot := range c.feed.source.BlindSpots() {
			s.BlindSpots = append(s.BlindSpots, spot.What)
		}
		if n, ok := c.feed.source.(monitor.Neighboured); ok {
			s.Neighbours = n.Neighbours()
		}
		if c.setErr != nil {
			s.Error = c.setErr.Error()
		}
	}
	if c.openErr != nil {
		s.Error = c.openErr.Error()
	}
	return s
}

func (c *core) policyStatus() control.Policy {
	r, file, bad := c.facts.Policy, c.facts.Connector.PolicyFile, c.force.policy.err
	s := control.Policy{File: file, OK: bad == nil, Exclusions: c.exclusionStatus()}
	if bad != nil {
		s.Error = bad.Error()
	}
	if r.Known() {
		s.Default, s.Previous = bad == nil && r.From != file, bad != nil
		s.MonitorFiles, s.MonitorNetwork = r.Value.MonitorFiles, r.Value.MonitorNetwork
	}
	return s
}

func (c *core) exclusionStatus() control.Exclusions {
	all := settings(c.facts, false).Exclusions
	s := control.Exclusions{File: c.facts.Exclusions.From, Count: len(all.All())}
	if err := c.force.exclusions.err; err != nil {
		s.File, s.Error = policy.ExclusionPath, err.Error()
	}
	return s
}

// status is the published status with the counts and the load of this moment. It may be called from any goroutine.
func (c *core) status() *control.Status {
	s := *c.published.Load()
	c.count(&s.Source)
	s.Scan = c.scanner.State()
	if load := c.load.Load(); s.Load != nil && load != nil {
		s.Load = loadOf(*load)
	}
	c.sink.tell(&s.Log)
	c.detections.tell(&s.Detections)
	return &s
}

// count fills in what was counted until this moment.
func (c *core) count(s *control.Source) {
	c.pastMu.Lock()
	total, f := c.past, c.live.Load()
	c.pastMu.Unlock()
	if f == nil {
		s.Loss = lossOf(total)
		return
	}
	now, err := c.countsOf(f.source)
	s.Loss = lossOf(total.Plus(now))
	if err != nil {
		s.Loss.Error = err.Error()
	}
	s.QueueBytes, s.QueueSize = now.QueueBytes, now.QueueSize
	for k, n := range now.Kinds {
		if n != (monitor.Count{}) {
			s.Kinds = append(s.Kinds, control.KindCount{
				Kind: monitor.Kind(k).String(), Handled: n.Handled, Excluded: n.Excluded, Merged: n.Merged, Shed: n.Shed,
				Lost: n.Lost(), Full: n.Full, Missed: n.Missed, Damaged: n.Damaged,
			})
		}
	}
}

// countPatience is how long a status waits for the counts of a source, which may be attaching programs at the moment.
const countPatience = time.Second

var errCounting = errors.New("the event source is busy and has not told its counts")

func (c *core) countsOf(source monitor.Source) (monitor.Counts, error) {
	type answer struct {
		counts monitor.Counts
		err    error
	}
	told := make(chan answer, 1)
	go func() {
		counts, err := source.Counts()
		told <- answer{counts, err}
	}()
	select {
	case a := <-told:
		return a.counts, a.err
	case <-c.After(countPatience):
		return monitor.Counts{}, errCounting
	}
}

func lossOf(counts monitor.Counts) control.Loss {
	total := counts.Total()
	return control.NewLoss(total.Handled, total.Lost())
}

// handle answers the control socket.
func (c *core) handle(ctx context.Context, req control.Request) control.Answer {
	if req.Verb == control.ReadStatus {
		s := c.status()
		if !req.Root {
			s.Scan = s.Scan.Public()
		}
		return control.Answer{Status: s}
	}
	if req.Verb == control.ReadTop {
		return control.Answer{Top: c.busiest(req.Root)}
	}
	if scanVerbs[req.Verb] != nil {
		return c.scanAnswer(req)
	}
	a := c.ask(ctx, req.Verb)
	switch {
	case a.Code != "":
		return a
	case req.Verb == control.RestartScan:
		if err := c.scanner.Restart(ctx); err != nil {
			c.Log.Error("the scan service was to be restarted", "error", err) // the fault tells it
		}
	case !c.scanner.Settle(ctx):
		return a
	}
	return c.ask(ctx, control.Evaluate)
}

// ask has the loop carry a request out.
func (c *core) ask(ctx context.Context, verb control.Verb) control.Answer {
	r := request{verb, make(chan struct{})}
	select {
	case c.requests <- r:
	case <-ctx.Done():
		return control.Answer{Code: control.Incomplete, Error: "the daemon is busy or ending: " + ctx.Err().Error()}
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return control.Answer{Code: control.Incomplete, Error: "not finished yet: " + ctx.Err().Error(), Status: c.status()}
	}
	return control.Answer{Status: c.status()}
}
