package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

const (
	lockWait     = 2 * time.Minute  // for another program that changes this host: a policy rebuild takes up to a minute on slow machines
	evaluateWait = 10 * time.Second // for the connector's answer
)

// plan is what is to be done about one fault, and what became of it.
type plan struct {
	installer.Plan
	results []installer.Result // one an item
}

// run is one call of Remedy.
type run struct {
	*Tool
	sel     Selection
	facts   *health.Facts
	matters []*matter
	target  *installer.Host
	stale   bool // a step was applied since the connector last looked at the host

	exclude, include []policy.Exclusion // that were asked for
	wasRaised        bool               // fault 18, before they were changed
	busy             []fault.Evidence   // who makes the events, where that was looked at

	bootPackage string // brings the kernel that is to boot, "" where that is installed

	leaveOut []policy.Exclusion // with fault 6
	logTails []fault.Evidence   // of the scan service, where they were looked at
	began    time.Time          // to mend
}

// Remedy diagnoses the selected faults, shows the plan, asks, applies it and proves the result with the predicates that made the findings.
func (t *Tool) Remedy(ctx context.Context, s Selection) int {
	if t.Kernel != "" && !t.DryRun && !t.image() {
		return t.usage(errOtherKernel.wrong())
	}
	r := &run{Tool: t, sel: s}
	if err := r.diagnose(ctx); err != nil {
		return t.usage(err)
	}
	if err := r.choose(ctx); err != nil {
		return t.usage(err)
	}
	t.badInput(r.facts)
	r.preview(ctx)
	if !t.JSON {
		t.hostLine(r.facts)
		r.show()
	}
	if r.pending() > 0 {
		r.apply(ctx)
	}
	return r.conclude()
}

// mayChange reports whether this run may change the host at all.
func (t *Tool) mayChange() bool { return !t.DryRun && !t.image() && t.Privileged }

// diagnose gathers the facts and judges. What an interrupted run left is taken back first: it is no state to judge.
func (r *run) diagnose(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	r.target = r.hands.target(host.At(r.Root), slog.New(slog.DiscardHandler))
	if r.mayChange() && r.interrupted() {
		r.recover(ctx)
	}
	f, err := r.gather(ctx)
	if err != nil {
		return err
	}
	r.facts, r.matters = f, diagnose(f, causesFirst(r.sel.IDs))
	return nil
}

// interrupted reports whether a journal is there, which may be that of a run that was killed.
func (r *run) interrupted() bool {
	_, err := r.target.Root.Lstat(installer.JournalPath)
	return err == nil
}

// recover undoes the step in which an earlier run was killed. A journal whose program still runs is its own business: the lock tells.
func (r *run) recover(ctx context.Context) {
	release, err := r.hands.lock(ctx, r.target, 0)
	if err != nil {
		return
	}
	defer release()
	defer r.logged()()
	r.undo(ctx)
}

// logged has what is done to the host logged until the returned function is called. A run that changes nothing opens no log.
func (r *run) logged() func() error {
	log, closeLog := r.hands.log()
	r.target.Log = log
	return closeLog
}

// undo recovers under the lock and says what it took back.
func (r *run) undo(ctx context.Context) (undone int) {
	titles, err := r.hands.recover(ctx, r.target)
	for _, title := range titles {
		r.say(msgRecovered, title)
	}
	if err != nil {
		r.complain(err)
	}
	return len(titles)
}

// preview settles the faults about which nothing is to be done, and makes the plans of the others.
func (r *run) preview(ctx context.Context) {
	for _, m := range r.matters {
		m.plan = plan{}
		if r.excluding() {
			r.previewExclusions(ctx, m)
			continue
		}
		switch id := m.finding.ID; m.finding.State {
		case fault.Clear, fault.NotApplicable:
			m.settle(ExitGone, msgNeverThere.with(id, m.finding.Reason))
		case fault.Unknown:
			r.settleUnknown(m)
		default:
			r.previewPlan(ctx, m)
		}
	}
}

// settleUnknown: what is not known is not called gone. Under "all" the faults that this version does not judge are listed, but nobody
// asked for them by number, and they do not count.
func (r *run) settleUnknown(m *matter) {
	id := m.finding.ID
	entry, _ := fault.Lookup(id)
	switch {
	case !entry.Judged && r.sel.All:
		m.settle(ExitGone, msgNotJudged.with(id))
	case !entry.Judged:
		m.settle(ExitThere, msgNotJudged.with(id))
	case !r.Privileged && !r.image():
		m.settle(ExitRoot, msgUnknownNeedsRoot.with(id, m.finding.Reason))
	default:
		m.settle(ExitThere, msgUnknown.with(id, m.finding.Reason))
	}
}

func (r *run) previewPlan(ctx context.Context, m *matter) {
	p, err := r.hands.plan(r.facts, m.finding)
	if err != nil {
		m.settle(ExitThere, msgNoRemedy.with(m.finding.ID, installer.ErrorText(err)))
		return
	}
	if m.finding.ID == overload && !r.image() {
		p.Items = r.lookAtBusy(ctx, m)
	}
	if (m.finding.ID == noHeaders || m.finding.ID == incompatible) && !r.image() {
		p.Items = r.planOfBoot(r.nameKernels(ctx, m.finding.ID, p.Items))
	}
	if m.finding.ID == restarting || m.finding.ID == failing {
		p.Items = r.planOfScan(m, p.Items)
		r.readScanLogs(m)
	}
	m.plan.Plan = p
	results, err := r.hands.run(ctx, r.target, p, installer.Options{DryRun: true})
	m.plan.results = allOf(p, results)
	switch {
	case len(p.Items) == 0:
		m.settle(ExitThere, msgNothingKnown.with(m.finding.ID))
	case steps(p.Items) == 0:
		m.settle(ExitPerson, msgPerson.with(m.finding.ID, m.finding.Reason))
	case err != nil && (r.Privileged || !errors.Is(err, fs.ErrPermission)): // that a user may not look everywhere is said at the end
		r.complain(err)
	}
}

// allOf completes results to one for each item: those that were not come to are planned still.
func allOf(p installer.Plan, results []installer.Result) []installer.Result {
	for _, item := range p.Items[min(len(results), len(p.Items)):] {
		outcome := installer.Planned
		if item.Step == nil {
			outcome = installer.Manual
		}
		results = append(results, installer.Result{Item: item, Outcome: outcome})
	}
	return results
}

// pending counts the faults that are to be mended.
func (r *run) pending() (n int) {
	for _, m := range r.matters {
		if !m.settled {
			n++
		}
	}
	return n
}

// refuse settles all that is pending with the same words.
func (r *run) refuse(code int, words message) {
	for _, m := range r.matters {
		if !m.settled {
			code, words := r.refusal(m, code, words)
			m.settle(code, words.with(m.finding.ID))
		}
	}
}

// apply mends what is pending, if this run may.
func (r *run) apply(ctx context.Context) {
	switch {
	case r.image():
		r.refuse(ExitThere, msgImage)
	case r.DryRun:
		r.refuse(ExitThere, msgDryRun)
	case !r.Privileged:
		r.refuse(ExitRoot, msgNeedsRoot)
	case !r.Yes && !r.Terminal:
		r.refuse(ExitUsage, msgNoTerminal)
	case !r.Yes && !r.confirm(ctx):
		r.refuse(ExitThere, msgDeclined)
	default:
		r.mend(ctx)
	}
}

// mend holds the lock while the plans run. Facts are read again if they may have changed while a person or another program took their time.
func (r *run) mend(ctx context.Context) {
	defer r.logged()()
	release, err := r.hands.lock(ctx, r.target, lockWait)
	if err != nil {
		r.complain(err)
		r.refuse(ExitThere, msgLocked)
		return
	}
	defer release()
	if r.undo(ctx) > 0 {
		r.again(ctx)
		r.preview(ctx)
	}
	r.began = time.Now()
	for _, m := range r.matters {
		if !m.settled && ctx.Err() == nil {
			r.carryOut(ctx, m)
		}
	}
	r.verify(ctx)
}

func (r *run) carryOut(ctx context.Context, m *matter) {
	p := newProgress(r.Tool)
	results, err := r.hands.run(ctx, r.target, m.plan.Plan, installer.Options{Progress: p.begin, Finished: p.end})
	p.stop()
	m.plan.results = allOf(m.plan.Plan, results)
	for _, result := range results {
		if result.Outcome == installer.Done {
			r.stale = !installer.LookedAnew(result.Item.Step)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) { // an interruption is said at the end
		r.complain(err)
	}
}

// verify judges again by the same predicates, and has the connector do so too, before: one that was just started has no event source yet, and what is
// excluded changes what it measures. It is done after an interruption also: what was finished stays, and what is said at the end has to be true.
func (r *run) verify(ctx context.Context) {
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	r.tellConnector(ctx)
	r.again(ctx)
	for _, m := range r.matters {
		if !m.settled {
			r.judge(m, interrupted)
		}
	}
}

// again reads the facts anew and replaces the findings; a settled result stays.
func (r *run) again(ctx context.Context) {
	r.facts = r.hands.gather(ctx, health.Options{Root: r.Root, Kernel: r.Kernel})
	for _, m := range r.matters {
		if finding, ok := health.CheckOne(r.facts, m.finding.ID); ok {
			m.finding = finding
		}
		if m.finding.ID == overload {
			m.finding.Evidence = append(m.finding.Evidence, r.busy...)
		}
		if m.finding.ID == restarting {
			m.finding.Evidence = append(m.finding.Evidence, r.logTails...)
		}
	}
}

func (r *run) judge(m *matter, interrupted bool) {
	id, reason := m.finding.ID, m.finding.Reason
	switch state := m.finding.State; {
	case r.excluding() && !interrupted && m.plan.done():
		r.judgeExclusions(m)
	case id == restarting && !interrupted && m.plan.stepsDone() && (state == fault.Clear || state == fault.Raised):
		r.judgeEnds(m)
	case state == fault.Clear || state == fault.NotApplicable:
		m.settle(ExitGone, msgGone.with(id, reason))
	case interrupted:
		m.settle(ExitThere, msgInterrupted.with(id))
	case state == fault.Unknown:
		m.settle(ExitThere, msgUnknown.with(id, reason))
	case m.plan.waitsForPerson():
		m.settle(ExitPerson, msgPerson.with(id, reason))
	default:
		m.settle(ExitThere, msgStillThere.with(id, reason))
	}
}

// waitsForPerson reports whether every step is done and only manual items are left.
func (p plan) waitsForPerson() bool {
	manual := false
	for _, result := range p.results {
		switch result.Outcome {
		case installer.Manual:
			manual = true
		case installer.Done, installer.Skipped:
		default:
			return false
		}
	}
	return manual
}

// stepsDone reports whether every step is done, or was not needed; items for a person may be left.
func (p plan) stepsDone() bool {
	return !slices.ContainsFunc(p.results, func(r installer.Result) bool {
		return r.Outcome != installer.Done && r.Outcome != installer.Skipped && r.Outcome != installer.Manual
	})
}

// tellConnector asks this project's running connector to evaluate, unless it has since the last change. That it does not run is no error here:
// nothing waits to clear.
func (r *run) tellConnector(ctx context.Context) {
	if !r.stale || r.facts.Connector.Vendor {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, evaluateWait)
	defer cancel()
	if err := r.hands.evaluate(ctx); err != nil && !errors.Is(err, control.ErrNotRunning) {
		r.complain(errEvaluate.wrong(err))
	}
}

// conclude prints the last words and gives the exit code.
func (r *run) conclude() int {
	code := ExitGone
	for _, m := range r.matters {
		code = Heavier(code, m.code)
	}
	if r.JSON {
		r.report(r.facts, r.matters)
		return code
	}
	for _, m := range r.matters {
		fmt.Fprintln(r.Stdout, m.result.In(r.Language))
	}
	return code
}
