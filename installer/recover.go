package installer

import (
	"context"
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/fault"
)

// Recover looks for a journal that an interrupted run left behind and undoes the step that was being applied, so that the host is as
// before that step; finished steps stay. It returns the titles of the steps that it undid. The caller holds the lock.
//
// A journal that is corrupt is set aside; one that a newer version wrote, or whose step cannot be undone, stays for another
// try. All of these errors are an ErrJournal.
func Recover(ctx context.Context, h *Host) ([]fault.Text, error) {
	j, s, err := readJournal(h)
	if err != nil {
		return nil, err
	}
	if j == nil { // but perhaps the first bytes of one
		return nil, removeJournal(h)
	}
	var undone []fault.Text
	if j.Phase == applying {
		h.Log.WarnContext(ctx, "undoing what an interrupted run began", "plan", j.Plan, "step", j.Title, "began", j.At)
		unlockAccounts(ctx, h)
		if err := s.Undo(ctx, h); err != nil {
			return nil, fmt.Errorf("%w: %s: undo %q: %w; where this cannot be mended, put the host right by hand and remove that file", ErrJournal, JournalPath, j.Title, err)
		}
		killpoint("recovered:" + j.Kind)
		undone = append(undone, s.Title())
	}
	return undone, removeJournal(h)
}

// unlockAccounts removes the locks that account tools of the interrupted run left behind, which would hold up those of Undo. Where that does
// not work, Undo says so itself, if it needs any.
func unlockAccounts(ctx context.Context, h *Host) {
	var locks AccountLocks
	needed, err := locks.Needed(ctx, h)
	if err == nil && needed {
		err = locks.Apply(ctx, h)
	}
	if err != nil {
		h.Log.WarnContext(ctx, "stale locks of account tools stay", "error", err)
	}
}

// RecoverUnheld is Recover for a program that starts: it takes the lock for it. Where another program holds the lock it does nothing and
// the error is ErrLocked: that program has recovered first itself, and may be changing the host right now.
func RecoverUnheld(ctx context.Context, h *Host, program string) ([]fault.Text, error) {
	lock, err := Acquire(ctx, h, program, 0)
	if err != nil {
		return nil, err
	}
	undone, err := Recover(ctx, h)
	return undone, errors.Join(err, lock.Release())
}
