package connector

import (
	"context"
	"os"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// publish makes the status that is answered until the next one.
func (c *core) publish() {
	s := &control.Status{
		Running: true, Version: c.Version, PID: os.Getpid(), Started: c.started, Evaluated: c.evaluated,
		Mode: c.mode(), Source: c.sourceStatus(), Canary: c.canary, Scan: control.NoScan(),
		Ledger: control.Ledger{File: c.Ledger}, Log: control.Log{File: c.EventLog},
		Faults: control.Faults(c.ledger.Snapshot().Findings),
	}
	if c.facts != nil {
		s.Kernel, s.Connector = c.facts.Host.Kernel.Value.Release, c.facts.Connector.Name
		s.Policy = c.policyStatus()
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
	c.published.Store(s)
	c.Notify(notifyStatus + statusLine(s))
}

func (c *core) sourceStatus() control.Source {
	s := control.Source{Name: string(monitor.NoSource), Reason: c.choice.Reason}
	if c.feed != nil {
		s.Name, s.Since = string(c.feed.source.Name()), c.feed.since
	} else if c.openErr != nil {
		s.Reason = "source " + string(c.choice.Source) + " could not be used"
		s.Error = c.openErr.Error()
	}
	return s
}

func (c *core) policyStatus() control.Policy {
	r, file := c.facts.Policy, c.facts.Connector.PolicyFile
	if r.Err != nil {
		return control.Policy{File: file, Error: r.Err.Error()}
	}
	return control.Policy{File: file, OK: true, Default: r.From != file, MonitorFiles: r.Value.MonitorFiles, MonitorNetwork: r.Value.MonitorNetwork}
}

// status is the published status with the counts of this moment. It may be called from any goroutine.
func (c *core) status() *control.Status {
	s := *c.published.Load()
	s.Source.Loss = c.loss()
	var err error
	if s.Log.Dropped, err = c.sink.dropped(); err != nil {
		s.Log.Error = err.Error()
	}
	return &s
}

func (c *core) loss() control.Loss {
	c.pastMu.Lock()
	total, f := c.past, c.live.Load()
	c.pastMu.Unlock()
	if f == nil {
		return control.NewLoss(total.Handled, total.Lost)
	}
	now, err := f.source.Loss()
	loss := control.NewLoss(total.Handled+now.Handled, total.Lost+now.Lost)
	if err != nil {
		loss.Error = err.Error()
	}
	return loss
}

// handle answers the control socket.
func (c *core) handle(ctx context.Context, req control.Request) control.Answer {
	if req.Verb == control.ReadStatus {
		return control.Answer{Status: c.status()}
	}
	r := request{req.Verb, make(chan struct{})}
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
