package connector

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

// Periods of the loop.
const (
	evaluationPeriod = time.Minute
	// A tool that changes a host touches several files, one after another: the evaluation waits until it was quiet for a
	// moment, but not for ever.
	quiet       = 300 * time.Millisecond
	quietAtMost = 2 * time.Second
	// An emulated machine takes a minute and more to verify all programs.
	workAtMost = 10 * time.Minute
	// A name service that does not answer must not stop the loop.
	gatherPatience = 30 * time.Second
)

// core is the loop and its state. Everything but the published status, the requests and the changes belongs to the loop's goroutine.
type core struct {
	Config
	started time.Time
	ledger  *fault.Ledger
	sink    *sink
	top     *top

	scanner    Scanner
	detections *sink // the log of them beside the event log

	facts     *health.Facts
	force     inForce
	evaluated time.Time
	ledgerErr error
	logErr    error
	writeErr  error // of the event log, which has been said

	detectionLogErr error
	detectionLost   atomic.Bool // the last one could not be written to their log, which has been said

	choice   monitor.Choice
	layouts  layouts
	feed     *feed
	openErr  error
	settings monitor.Settings // that the feed works by
	setErr   error            // why it does not work by those that are wanted
	overload *monitor.Overload
	canary   *control.Canary
	told     int           // how often the feed has been told something else
	seen     monitor.Kinds // of the last canary that said something
	missing  monitor.Kinds // that it did and that did not come
	reopened bool          // for a canary that was not seen, and no other one has said anything since
	canaries chan canaryResult

	layoutsRead chan readLayouts

	past      monitor.Counts // of the feeds that were closed
	following func([]string)
	scanUser  scanUser
	sending   sync.WaitGroup // canaries, and what else goes on beside the loop
	inFlight  bool           // one of the open feed
	waiting   []request      // whose answer waits for it

	dirtySince time.Time // of the first change that was not evaluated yet; zero if none
	settled    <-chan time.Time
	next       <-chan time.Time // periodic evaluation
	due        <-chan time.Time // the ledger waits for a condition to last
	canaryDue  <-chan time.Time
	watchdog   <-chan time.Time
	measure    <-chan time.Time // of the load

	requests  chan request
	changes   chan string
	follows   chan func([]string)
	published atomic.Pointer[control.Status]
	live      atomic.Pointer[feed]
	load      atomic.Pointer[monitor.OverloadState] // as it was measured last
	pastMu    sync.Mutex                            // guards past
}

// request is what the control socket asks of the loop.
type request struct {
	verb control.Verb
	done chan struct{}
}

func newCore(config Config) *core {
	c := &core{
		Config: config, started: config.Now().UTC(), sink: &sink{}, detections: &sink{}, top: newTop(), overload: monitor.NewOverload(monitor.DefaultOverloadLimits),
		canaries: make(chan canaryResult), layoutsRead: make(chan readLayouts), requests: make(chan request), changes: make(chan string, 16), follows: make(chan func([]string), 1),
	}
	c.scanner = c.OpenScanner(ScanSurroundings{Found: c.detected, Changed: func() { c.note("scan service") }})
	c.published.Store(&control.Status{
		Running: true, Version: c.Version, PID: os.Getpid(), Started: c.started, Mode: control.NoMode, Scan: control.Scan{State: control.ScanStarting, Detail: "starting"}, Faults: []control.Fault{},
		Source: control.SourceBecause(string(monitor.NoSource), reasonStarting),
	})
	return c
}

// run evaluates until ctx ends.
func (c *core) run(ctx context.Context) error {
	defer c.close()
	var err error
	if c.ledger, err = fault.OpenLedger(c.Ledger); err != nil {
		c.Log.Error("the fault ledger cannot be read; faults are kept in memory until it can be written", "error", err)
	}
	if c.ledger.Damage != nil {
		c.Log.Error("the fault ledger was damaged and is set aside", "error", c.ledger.Damage)
	}
	c.next = c.After(evaluationPeriod)
	// Before the source is opened: the verifier takes half a second for all programs, and in an emulated guest a minute and more.
	c.Notify(notifyReady)
	c.beat()
	c.evaluate(ctx, c.ledger.Settle)
	for ctx.Err() == nil {
		c.step(ctx)
	}
	return nil
}

// step waits for one thing to happen and deals with it.
func (c *core) step(ctx context.Context) {
	settled, due := c.settled, c.due
	if c.inFlight && len(c.waiting) > 0 {
		settled, due = nil, nil // whoever asked has an answer first: the host was read for it, and is read again at once after it
	}
	select {
	case <-ctx.Done():
	case r := <-c.requests:
		c.serve(ctx, r)
	case _, open := <-c.Reload:
		if !open {
			c.Reload = nil
			return
		}
		c.reload(ctx)
	case what := <-c.changes:
		c.changed(what)
	case <-settled:
		c.evaluate(ctx, c.ledger.Update)
	case <-c.next:
		c.next = c.After(evaluationPeriod)
		c.evaluate(ctx, c.ledger.Update)
	case <-due:
		c.evaluate(ctx, c.ledger.Update)
	case <-c.canaryDue:
		c.startCanary()
	case r := <-c.canaries:
		c.canaryDone(ctx, r)
	case r := <-c.layoutsRead:
		c.haveLayouts(ctx, r)
	case err := <-c.feedEnded():
		c.feedFailed(ctx, err)
	case follow := <-c.follows:
		c.following = follow
		c.follow()
	case <-c.watchdog:
		c.beat()
	case <-c.measure:
		c.observe(ctx)
	}
}

// beat tells the service manager that the loop is alive, twice as often as it asks for.
func (c *core) beat() {
	if c.Watchdog > 0 {
		c.Notify(notifyWatchdog)
		c.watchdog = c.After(c.Watchdog / 2)
	}
}

// atWork keeps the service manager from taking the loop for dead while it waits for the kernel, or for a host that is slow, but not for ever. The loop
// calls done after, from when on nothing is said in its name.
func (c *core) atWork() (done func()) {
	if c.Watchdog == 0 {
		return func() {}
	}
	working, stop := context.WithCancel(context.Background())
	silent := make(chan struct{})
	go func() {
		defer close(silent)
		for range workAtMost / (c.Watchdog / 2) {
			select {
			case <-c.After(c.Watchdog / 2):
				c.Notify(notifyWatchdog)
			case <-working.Done():
				return
			}
		}
	}()
	return func() {
		stop()
		<-silent
	}
}

// changed notes that something happened to the host, and puts the evaluation off until it was quiet.
func (c *core) changed(what string) {
	now := c.Now()
	if c.dirtySince.IsZero() {
		c.dirtySince = now
	}
	c.Log.Debug("changed", "what", what)
	c.settled = c.After(min(quiet, max(0, c.dirtySince.Add(quietAtMost).Sub(now))))
}

// evaluate reads the facts, makes the source fit, judges, and records the findings.
func (c *core) evaluate(ctx context.Context, record func(time.Time, []fault.Finding) ([]fault.Change, error)) {
	defer c.atWork()()
	c.dirtySince, c.settled = time.Time{}, nil
	gathering, cancel := context.WithTimeout(ctx, gatherPatience)
	defer cancel()
	facts := c.Gather(gathering)
	if ctx.Err() != nil {
		return // facts that were cut off by the end say nothing
	}
	c.force.settle(facts)
	c.facts = facts
	c.openLog()
	c.scanner.Apply(c.scanUser.keep(scanSettings(c.facts), c.facts.Host.Account))
	c.chooseSource(ctx) // first: how that went is judged too
	c.judge(record)
}

// judge judges the facts that were read last together with what the daemon knows by itself, and records the findings.
func (c *core) judge(record func(time.Time, []fault.Finding) ([]fault.Change, error)) {
	c.facts.Monitoring = host.Read(c.monitoring(), "the daemon itself")
	c.facts.Scanning = host.Read(c.scanner.State(), "the daemon itself")
	c.evaluated = c.Now().UTC()
	changes, err := record(c.evaluated, c.Check(c.facts))
	c.tell(changes, err)
	c.due = nil
	if at, ok := c.ledger.Due(); ok {
		c.due = c.After(max(0, at.Sub(c.evaluated)))
	}
	c.follow()
	c.publish()
	if !c.busy() {
		c.answer()
	}
}

// busy reports whether it is not known yet how well the chosen source works: a canary is under way, or what the source needs.
func (c *core) busy() bool { return c.inFlight || c.layouts.pending }

// tell logs what an evaluation changed.
func (c *core) tell(changes []fault.Change, err error) {
	for _, change := range changes {
		f, _ := fault.Lookup(change.ID)
		c.Log.Warn("fault "+string(change.To), "id", change.ID, "name", f.Name.EN, "was", change.From, "reason", change.Reason.EN)
	}
	if err != nil && (c.ledgerErr == nil || c.ledgerErr.Error() != err.Error()) {
		c.Log.Error("the fault ledger could not be updated", "error", err)
	}
	c.ledgerErr = err
}

func (c *core) openLog() {
	cap := int64(policyOf(c.facts).Limits.EventLogMiB) << 20
	err := c.sink.open(cap, func() (EventLog, error) { return c.OpenLog(c.EventLog, cap) })
	if err != nil && c.logErr == nil {
		c.Log.Error("the event log cannot be opened; events are seen and not kept", "error", err)
	}
	c.logErr = err
	c.sayWriting()
	err = c.detections.open(monitor.DetectionLogCap, func() (EventLog, error) { return c.OpenLog(c.DetectionLog, monitor.DetectionLogCap) })
	if err != nil && c.detectionLogErr == nil {
		c.Log.Error("the log of detections cannot be opened; they are kept in the event log only", "error", err)
	}
	c.detectionLogErr = err
}

// sayWriting says when the event log cannot be written any more, as on a full disk, and when it can be again.
func (c *core) sayWriting() {
	err := c.sink.failing()
	switch {
	case err != nil && c.writeErr == nil:
		c.Log.Error("the event log cannot be written; events are counted and not kept", "error", err)
	case err == nil && c.writeErr != nil:
		c.Log.Warn("the event log can be written again", "not_written", c.sink.dropped())
	}
	c.writeErr = err
}

// reload opens the daemon's log anew and evaluates, the policy included.
func (c *core) reload(ctx context.Context) {
	c.Notify(notifyReloading())
	if c.Reopen != nil {
		if err := c.Reopen(); err != nil {
			c.Log.Error("open the log anew", "error", err)
		}
	}
	c.evaluate(ctx, c.ledger.Update)
	c.Notify(notifyReady)
}

// serve carries out a request of the control socket.
func (c *core) serve(ctx context.Context, r request) {
	switch r.verb {
	case control.Reload:
		c.layouts.err = nil // whoever asks has done something about it
		c.reload(ctx)
	default:
		c.evaluate(ctx, c.ledger.Settle)
	}
	if c.busy() {
		c.waiting = append(c.waiting, r) // whoever asks wants to know whether the source works
		return
	}
	close(r.done)
}

// answer lets those go who wait for a canary.
func (c *core) answer() {
	for _, r := range c.waiting {
		close(r.done)
	}
	c.waiting = nil
}

func (c *core) close() {
	c.Notify(notifyStopping)
	c.closeFeed()
	c.answer()
	c.sending.Wait()
	if err := c.scanner.Close(); err != nil {
		c.Log.Error("close the scanner", "error", err)
	}
	for _, s := range []*sink{c.sink, c.detections} {
		if err := s.close(); err != nil {
			c.Log.Error("close an event log", "error", err)
		}
	}
}

// statusLine is what the service manager shows.
func statusLine(s *control.Status) string {
	var ids []string
	for _, f := range s.Raised() {
		ids = append(ids, strconv.Itoa(int(f.ID)))
	}
	line := "source " + s.Source.Name
	if len(ids) > 0 {
		line += "; faults " + strings.Join(ids, ", ")
	}
	return line
}
