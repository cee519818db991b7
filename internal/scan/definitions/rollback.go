package definitions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/scan"
)

// ErrNoPrevious is in the chain of the error of Rollback where no set was live before.
var ErrNoPrevious = errors.New("no set was live before this one")

// Rollback makes the set live that was before, after it has been tried, and keeps the one that was live as the previous set: a second rollback takes the first one
// back. Where only the built-in set was live before, that is live again. The set that is left is not taken in again from the incoming directory, unless that is forced.
func (s *Store) Rollback(ctx context.Context) (Outcome, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer unlock()
	current, cerr := s.Current()
	previous, err := s.Previous()
	switch {
	case isMissing(err) && s.targetOrNone(previousName) == "" && s.targetOrNone(currentName) != "":
		previous, err = s.builtIn()
	case isMissing(err) && s.targetOrNone(previousName) == "":
		return Outcome{}, ErrNoPrevious
	}
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Result: Kept, Before: current.ID, Set: current}
	if cerr == nil && previous.ID == current.ID {
		return out, ErrNoPrevious
	}
	report, checks, err := s.again(ctx, previous)
	out.Report, out.Checks = report, checks
	if err != nil {
		return out, err
	}
	if c, failed := failure(checks); failed {
		out.Reason = c.String()
		return out, nil
	}
	if err := s.turnBack(current, previous); err != nil {
		return out, err
	}
	out.Result, out.Set = Live, previous
	return out, nil
}

// again checks and tries a set that was live before.
func (s *Store) again(ctx context.Context, set Set) (report scan.Report, checks []Check, err error) {
	bad, err := s.whole(set)
	if err != nil || len(bad) > 0 {
		return report, bad, err
	}
	checks = append(checks, Check{Step: StepWhole, Verdict: Passed, Read: fmt.Sprintf("%d files, as they were", len(set.Files))})
	report, err = s.try(ctx, set.Dir)
	if err != nil {
		return report, checks, err
	}
	if againstDefinitions(report) {
		return report, append(checks, loadCheck(report)), nil
	}
	g := staging{}
	g.passed(report)
	return report, append(checks, g.checks...), nil
}

// turnBack exchanges the two sets. That the one which is left is not to come in again is written down first.
func (s *Store) turnBack(current, previous Set) error {
	if !current.BuiltIn && current.ID != "" {
		_, err := s.setAside(Rejected{Key: current.ID, From: current.From, Check: Check{Step: StepWithdraw, Verdict: Failed, Read: "a rollback left it", Expected: "a newer set"}}, "", nil)
		if err != nil {
			return err
		}
	}
	reached("withdrawn")
	var err error
	switch {
	case previous.BuiltIn:
		err = s.renameLink(currentName, previousName)
	case s.targetOrNone(currentName) == "":
		err = s.renameLink(previousName, currentName)
	default:
		err = s.swapLinks()
	}
	if err != nil {
		return err
	}
	reached("live")
	return s.forget(previous.ID)
}
