package queue

import (
	"context"
	"time"
)

// Hold lets no file begin until Resume is called, or so much time has passed; one that is being copied waits there, and what the scan service has it
// goes on with. It is for short work that must not wait for scans: on one processor an event source took six times as long to open beside the
// scans of a policy rebuild, and the copy of its ten megabytes alone was a third of what it took then.
func (q *Queue) Hold(most time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held == nil {
		q.held = make(chan struct{})
	} else {
		q.release.Stop()
	}
	held := q.held
	q.release = time.AfterFunc(most, func() { q.resume(held) })
}

// Resume ends what Hold began.
func (q *Queue) Resume() { q.resume(q.holding()) }

// resume ends a hold, unless it is over, and another one may have begun.
func (q *Queue) resume(held chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if held == nil || held != q.held {
		return
	}
	close(held)
	q.held = nil
	q.release.Stop()
}

// holding is closed when the hold is over; nil without one.
func (q *Queue) holding() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

// await returns when a hold is over, at once where there is none, or when ctx ends.
func (q *Queue) await(ctx context.Context, held chan struct{}) {
	if held == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-held:
	}
}
