package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// mostTries is how often a file is scanned that changes during each scan. Whoever has it open for writing closes it some time, which is an event.
const mostTries = 3

// examine opens the file of an event and scans it.
func (q *Queue) examine(ctx context.Context, it *item) {
	f, err := q.open(it)
	if err != nil {
		q.countUnopened(err)
		q.Log.Debug("a file is not scanned", "path", it.file().Path, "error", err)
		return
	}
	defer f.Close()
	e := it.occasion.event()
	r := q.scan(ctx, f, job{event: &e, path: it.file().Path, limits: *q.limits.Load()})
	if again := r.done.Again || r.changed && r.answer.Result != scan.Infected; !again {
		return
	}
	if it.tries+1 >= mostTries {
		q.counts.unsettled.Add(1)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.byKey[it.key] == nil { // else a newer event does it
		q.put(&e, fileOf(&e, it.target), it.priority, it.tries+1)
		if again := q.waiting.byKey[it.key]; again != nil { // else there was no room
			again.names = it.names
			q.waiting.weigh(again)
		}
	}
}

// open opens the file of an item under one of its names, which is the item's from then on: one that it has lost may not have been told of yet.
func (q *Queue) open(it *item) (*os.File, error) {
	newest := *it.file()
	f, err := it.open()
	for i := len(it.names) - 1; i >= 0 && lost(err); i-- {
		*it.file() = it.names[i]
		f, err = it.open()
	}
	if lost(err) {
		if *it.file() = newest; q.follow(it) {
			return it.open()
		}
	}
	return f, err
}

func fileOf(e *monitor.Event, target bool) *monitor.File {
	if target {
		return &e.Target
	}
	return &e.File
}

func (q *Queue) countUnopened(err error) {
	switch {
	case errors.Is(err, errGone):
		q.counts.gone.Add(1)
	case errors.Is(err, errReplaced):
		q.counts.replaced.Add(1)
	default:
		q.counts.unopened.Add(1)
	}
}

// job is one file to scan, once it is open.
type job struct {
	event     *monitor.Event // nil where a person asked for it
	path      string
	limits    scan.Limits
	impatient bool
}

// result is what came of it.
type result struct {
	answer  scan.Answer
	known   bool
	changed bool // during the scan
	size    uint64
	done    Done
	err     error
}

// scan looks a file up, has it scanned if it is not known, remembers the verdict and tells of it.
func (q *Queue) scan(ctx context.Context, f *os.File, j job) result {
	looked := q.Now()
	id, err := verdicts.Identify(f)
	if err != nil {
		q.counts.unopened.Add(1)
		return result{err: err}
	}
	if id.Size == 0 {
		q.counts.known.Add(1)
		return result{answer: scan.Answer{Result: scan.Clean}, known: true}
	}
	finding := Finding{Path: j.path, Identity: id, File: f}
	if j.event != nil {
		finding.Event = *j.event
	}
	done := q.claim(ctx, id)
	defer done()
	if v, epoch, ok := q.Memory.Lookup(id); ok {
		finding.Epoch = epoch
		return q.remembered(&v, finding)
	}
	q.handOver()
	steady := q.steady(f, &id)
	work := supervise.Job{File: f, Identity: id, Path: j.path, Limits: j.limits, Impatient: j.impatient}
	content := q.copyOf(ctx, f, &id)
	if content != nil {
		if epoch, ok := q.Memory.KnownClean(content.sum); ok {
			q.spare(content)
			return q.alike(f, &id, epoch, looked, steady)
		}
		work.File = content.view
	}
	q.await(ctx, q.holding()) // one may have begun since
	a, err := q.Scanner.Scan(ctx, work)
	if err != nil {
		if content != nil {
			content.close() // a service that has it still may go on reading
		}
		return q.unscanned(err, finding)
	}
	if content != nil {
		if a.Result == scan.Clean {
			q.Memory.KeepClean(a.Epoch, content.sum)
		}
		q.spare(content)
	}
	return q.answered(ctx, f, &a, finding, looked, steady)
}

// steady reports whether a file will have another identity once it has other content, of all that is read of it from now on. Where that cannot be told,
// it is taken for so: else a host that knows no leases would scan a compiler each time that it runs.
func (q *Queue) steady(f *os.File, id *verdicts.Identity) bool {
	if !id.Local() {
		return false // its identity proves nothing anyway
	}
	writer, err := verdicts.HasWriter(f)
	if err != nil && !q.blind.Swap(true) {
		q.Log.Warn("it cannot be told of all files whether somebody has them open for writing: what is written through mappings after a scan is not seen", "error", err)
	}
	return !writer
}

// answered deals with a file that was scanned.
func (q *Queue) answered(ctx context.Context, f *os.File, a *supervise.Answer, finding Finding, looked time.Time, steady bool) result {
	q.counts.scanned.Add(1)
	id := finding.Identity
	after, err := verdicts.Identify(f)
	r := result{answer: a.Answer, changed: err != nil || after != id, size: id.Size}
	verdict := verdicts.Verdict{Result: a.Result, Name: a.Name, Time: looked}
	switch a.Result {
	case scan.Failed:
		q.counts.failures.Add(1)
		q.Log.Warn("a file could not be scanned", "path", finding.Path, "error", a.Error)
	case scan.Infected:
		verdict.SHA256 = q.hash(ctx, f, &id)
		finding.Answer, finding.Epoch, finding.SHA256, finding.Changed = a.Answer, a.Epoch, verdict.SHA256, r.changed
		q.counts.found.Add(1)
	}
	if steady && !r.changed {
		q.Memory.Keep(a.Epoch, id, verdict)
	}
	if a.Result == scan.Infected {
		r.done = q.OnVerdict(finding)
	}
	return r
}

// alike deals with a file whose content is that of another one in which nothing was found.
func (q *Queue) alike(f *os.File, id *verdicts.Identity, epoch verdicts.Epoch, looked time.Time, steady bool) result {
	q.counts.known.Add(1)
	after, err := verdicts.Identify(f)
	r := result{answer: scan.Answer{Result: scan.Clean}, known: true, changed: err != nil || after != *id, size: id.Size}
	if steady && !r.changed {
		q.Memory.Keep(epoch, *id, verdicts.Verdict{Result: scan.Clean, Time: looked})
	}
	return r
}

// harmless says what is known of a file that did not change since it was scanned and in which nothing was found, and of an empty one.
func (q *Queue) harmless(id *verdicts.Identity) (result, bool) {
	if id.Size == 0 {
		q.counts.known.Add(1)
		return result{answer: scan.Answer{Result: scan.Clean}, known: true}, true
	}
	v, _, ok := q.Memory.Lookup(*id)
	if !ok || v.Result != scan.Clean && v.Result != scan.Limited {
		return result{}, false
	}
	q.counts.known.Add(1)
	return result{answer: scan.Answer{Result: v.Result}, known: true, size: id.Size}, true
}

// claim keeps one file from being scanned twice at once: whoever comes second looks at what came of the first.
func (q *Queue) claim(ctx context.Context, id verdicts.Identity) (done func()) {
	for {
		q.scanningMu.Lock()
		other, busy := q.scanning[id]
		if !busy {
			over := make(chan struct{})
			q.scanning[id] = over
			q.scanningMu.Unlock()
			return func() {
				q.scanningMu.Lock()
				delete(q.scanning, id)
				q.scanningMu.Unlock()
				close(over)
			}
		}
		q.scanningMu.Unlock()
		q.handOver()
		select {
		case <-other:
		case <-ctx.Done():
			return func() {}
		}
	}
}

// remembered deals with a file whose verdict is known.
func (q *Queue) remembered(v *verdicts.Verdict, finding Finding) result {
	q.counts.known.Add(1)
	r := result{answer: scan.Answer{Result: v.Result, Name: v.Name}, known: true, size: finding.Identity.Size}
	if v.Result == scan.Infected {
		q.counts.found.Add(1)
		finding.Answer, finding.SHA256, finding.Known = r.answer, v.SHA256, true
		r.done = q.OnVerdict(finding)
	}
	return r
}

// unscanned deals with a file that the scanner did not take.
func (q *Queue) unscanned(err error, finding Finding) result {
	switch {
	case errors.Is(err, supervise.ErrSetAside):
		q.counts.setAside.Add(1)
		if q.OnSetAside != nil {
			q.OnSetAside(finding)
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, supervise.ErrStopped):
	default:
		q.counts.failures.Add(1)
	}
	return result{err: err, size: finding.Identity.Size}
}

// hash is the SHA-256 of a file that is not too large, if it is the one with the identity from its beginning to its end.
func (q *Queue) hash(ctx context.Context, f *os.File, id *verdicts.Identity) (sum [32]byte) {
	if id.Size > q.HashBytes {
		return sum
	}
	h := sha256.New()
	n, err := io.Copy(h, &untilDone{ctx, io.NewSectionReader(f, 0, int64(id.Size))})
	if err != nil || uint64(n) != id.Size {
		return sum
	}
	if after, err := verdicts.Identify(f); err != nil || after != *id {
		return sum
	}
	return [32]byte(h.Sum(nil))
}

// untilDone ends a reading with its context.
type untilDone struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	r   io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}
