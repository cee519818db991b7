package queue

import "sync/atomic"

// Counts are what has become of the files so far, beside Waiting, which is how many wait now.
type Counts struct {
	Waiting   uint64
	Queued    uint64 // events that were put into the queue
	Merged    uint64 // events of a file that waited already
	Dropped   uint64 // files that were not scanned, since the queue was full
	Gone      uint64 // files that could not be found any more
	Replaced  uint64 // names that another file had by then; that one has an event of its own
	Unopened  uint64 // files that could not be opened, or are no regular files
	Known     uint64 // files that had not changed since they were scanned, those with the content of one that was, and empty ones
	Scanned   uint64 // files that were scanned, for whatever result
	Found     uint64 // files in which something was found, remembered or not
	Failures  uint64 // files that could not be scanned
	SetAside  uint64 // files that were not scanned because the service ended on them twice
	Unsettled uint64 // files that changed during each of several scans; their next event brings them back
}

// counts are the same while they grow. What the event handler counts is guarded by the queue's lock, so that an event that is passed over
// costs nothing.
type counts struct {
	queued, merged, dropped                                                        uint64
	gone, replaced, unopened, known, scanned, found, failures, setAside, unsettled atomic.Uint64
}

// Counts is a snapshot.
func (q *Queue) Counts() Counts {
	n := &q.counts
	c := Counts{
		Gone: n.gone.Load(), Replaced: n.replaced.Load(), Unopened: n.unopened.Load(), Known: n.known.Load(), Scanned: n.scanned.Load(),
		Found: n.found.Load(), Failures: n.failures.Load(), SetAside: n.setAside.Load(), Unsettled: n.unsettled.Load(),
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	c.Waiting, c.Queued, c.Merged, c.Dropped = uint64(q.waiting.count), n.queued, n.merged, n.dropped
	return c
}
