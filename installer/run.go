package installer

import (
	"context"
	"errors"
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// undoTime is how long undoing a step may take after the caller's context has ended.
const undoTime = 5 * time.Minute

// Run applies a plan, step by step, each journaled before it is applied. A failed step is undone; unless its item is optional
// the rest is not tried and the error is returned. What an interrupted run left behind is undone first. Where the journal
// cannot be written (a read-only or full disk) nothing is applied. The caller holds the lock, unless it is a dry run.
func Run(ctx context.Context, h *Host, p Plan, o Options) ([]Result, error) {
	if !o.DryRun {
		if _, err := Recover(ctx, h); err != nil {
			return nil, err
		}
	}
	r := &run{h: h, plan: p, dry: o.DryRun}
	results := make([]Result, 0, len(p.Items))
	var failed error
	for i, item := range p.Items {
		if o.Progress != nil {
			o.Progress(i, len(p.Items), item)
		}
		began := time.Now()
		res := r.item(ctx, i, item)
		res.Took = time.Since(began)
		results = append(results, res)
		if o.Finished != nil {
			o.Finished(i, len(p.Items), res)
		}
		if res.Outcome == Failed && (!item.Optional || r.stuck) {
			failed = errors.Join(failed, &StepError{Title: item.Step.Title(), Err: res.Err})
			if !o.DryRun { // which looks at everything before it reports
				break
			}
		}
	}
	return results, errors.Join(failed, r.end())
}

// StepError is the error of a step that failed.
type StepError struct {
	Title fault.Text // of the step
	Err   error
}

func (e *StepError) Error() string { return e.Title.EN + ": " + e.Err.Error() }

// Unwrap gives what the step met.
func (e *StepError) Unwrap() error { return e.Err }

// run is a plan being applied.
type run struct {
	h         *Host
	plan      Plan
	dry       bool
	journaled bool // there is a journal to be removed
	stuck     bool // a step could be neither applied nor undone: its journal stays
}

// item brings one item to its outcome.
func (r *run) item(ctx context.Context, i int, item Item) Result {
	if item.Step == nil {
		return Result{Item: item, Outcome: Manual}
	}
	if err := ctx.Err(); err != nil {
		return Result{Item: item, Outcome: Failed, Err: err}
	}
	needed, err := item.Step.Needed(ctx, r.h)
	switch {
	case err != nil:
		return Result{Item: item, Outcome: Failed, Err: err}
	case !needed:
		return Result{Item: item, Outcome: Skipped}
	case r.dry:
		return Result{Item: item, Outcome: Planned}
	}
	if err := r.step(ctx, i, item.Step); err != nil {
		return Result{Item: item, Outcome: Failed, Err: err}
	}
	return Result{Item: item, Outcome: Done}
}

// step applies one step, and undoes it if that fails.
func (r *run) step(ctx context.Context, i int, s Step) error {
	if err := s.Prepare(ctx, r.h); err != nil {
		return err
	}
	r.journaled = true // even if that fails on the way
	if err := writeJournal(r.h, r.plan.Name, i, s, applying); err != nil {
		return fault.Errorf(noJournal, explainFull(err))
	}
	killpoint("before-apply:" + s.Kind())
	err := s.Apply(ctx, r.h)
	killpoint("after-apply:" + s.Kind())
	if err == nil {
		// What the journal says has to be true: a step that cannot be marked as done would be undone by the next run anyway.
		err = explainFull(writeJournal(r.h, r.plan.Name, i, s, done))
	}
	if err == nil {
		return nil
	}
	return r.undo(ctx, s, err)
}

// noJournal is said where the disk takes no journal.
var noJournal = fault.Text{
	EN: "nothing was changed, since the journal cannot be written: %v",
	JA: "ジャーナルを書き込めないため、何も変更していません: %v",
}

// undo takes back a step that failed with err. The caller's context may have ended, which must not keep the host half changed.
func (r *run) undo(ctx context.Context, s Step, err error) error {
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if undoErr := s.Undo(undoing, r.h); undoErr != nil {
		r.stuck = true
		return errors.Join(err, fault.Errorf(undoFailed, undoErr))
	}
	killpoint("after-undo:" + s.Kind())
	return errors.Join(err, r.end())
}

// undoFailed is said of a step that could be neither applied nor undone.
var undoFailed = fault.Text{EN: "undo: %v (the next run tries again)", JA: "元に戻す処理にも失敗しました (次回の実行で再試行します): %v"}

func (r *run) end() error {
	if !r.journaled || r.stuck {
		return nil
	}
	r.journaled = false
	return removeJournal(r.h)
}
