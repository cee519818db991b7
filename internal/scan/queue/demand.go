package queue

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// ScanOptions say what a person wants scanned.
type ScanOptions struct {
	Paths            []string // from the root; directories with all below them
	CrossFileSystems bool     // go on where another file system is mounted; else as find(1) with -xdev
	// Told is called for each file in which something was found, with what was done about it, and for what could not be read or scanned,
	// then with an error. It may be nil; it is called by one goroutine at a time, and had better not take long.
	Told func(path, name string, done Done, err error)
}

// Progress is how far a scan has come.
type Progress struct {
	Files, Bytes           uint64 // that are done
	TotalFiles, TotalBytes uint64 // that there are, as far as they have been counted
	Counted                bool   // they have all been counted
	Found                  uint64
	Path                   string // of the file that was done last
	Folders                uint64 // directories that were entered
}

// Summary is what came of a scan.
type Summary struct {
	Files, Bytes uint64 // that were looked at
	Folders      uint64 // directories that were entered
	Clean        uint64
	Infected     uint64
	Quarantined  uint64 // of them
	Limited      uint64
	Failed       uint64 // could not be scanned
	SetAside     uint64 // not scanned, since the service ended on them twice
	Known        uint64 // of all of these, those that had not changed since they were scanned, or have the content of one that was
	Skipped      uint64 // files and directories that are left out
	Unreadable   uint64 // files and directories that could not be opened
	Took         time.Duration
}

// requested is a file on its way from a walk to a worker.
type requested struct {
	ctx    context.Context //nolint:containedctx // of the scan that it belongs to
	handle *handle
	job    job
	done   func(*requested, result)
}

// serve scans what a person asked for.
func (q *Queue) serve(ctx context.Context, r *requested) {
	defer r.handle.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	f, err := r.handle.open(r.job.path)
	if err != nil {
		r.done(r, result{err: unopened{err}})
		return
	}
	defer f.Close()
	r.done(r, q.scan(ctx, f, r.job))
}

// unopened is an error of opening a file, not of scanning it.
type unopened struct{ error }

func (u unopened) Unwrap() error { return u.error }

// ScanPath scans files, behind all that events bring, and returns when that is done. Where the scanner cannot be started
// (supervise.ErrUnavailable) and where ctx ends, it returns that error, and what was done until then. progress may be nil; it is called after each
// file, by one goroutine at a time, and had better not take long. Findings go to OnVerdict.
func (q *Queue) ScanPath(ctx context.Context, o ScanOptions, progress func(Progress)) (Summary, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &demand{queue: q, progress: progress, told: o.Told, cancel: cancel}
	began := q.Now()
	w := walk{cross: o.CrossFileSystems, ignored: q.ignored.Load(), look: d.look, trouble: d.trouble, skipped: d.skip, folder: d.folder}
	var counting, scanning sync.WaitGroup
	if progress != nil {
		ahead := w
		counting.Go(func() { d.count(ctx, ahead, o.Paths) })
	}
	w.file = func(h *handle, path string) error {
		scanning.Add(1)
		r := &requested{ctx: ctx, handle: h, job: job{path: path, limits: *q.limits.Load(), impatient: true}, done: func(r *requested, res result) {
			defer scanning.Done()
			d.add(r.job.path, &res)
		}}
		select {
		case q.demand <- r:
			return nil
		case <-ctx.Done():
		case <-q.stopped:
			cancel(supervise.ErrStopped)
		}
		h.close()
		scanning.Done()
		return context.Cause(ctx)
	}
	watching := make(chan struct{})
	counting.Go(func() { q.watch(ctx, watching, cancel) })
	for _, path := range o.Paths {
		if w.from(ctx, filepath.Clean(path)) != nil {
			break
		}
	}
	scanning.Wait()
	close(watching)
	err := context.Cause(ctx)
	cancel(nil)
	counting.Wait()
	d.summary.Took = q.Now().Sub(began)
	return d.summary, err
}

// lookAtScanner is how often a scan that a person waits for looks whether the scanner can be started.
const lookAtScanner = time.Second

// watch ends a scan with ErrUnavailable when the scanner cannot be started: files of events wait for it, and may keep all workers, or a file that the
// scan has come to, until it can.
func (q *Queue) watch(ctx context.Context, over <-chan struct{}, cancel context.CancelCauseFunc) {
	look := time.NewTicker(lookAtScanner)
	defer look.Stop()
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-look.C:
			if q.Scanner.Failed() {
				cancel(supervise.ErrUnavailable)
			}
		}
	}
}

// demand is a scan that goes on.
type demand struct {
	queue    *Queue
	progress func(Progress)
	told     func(path, name string, done Done, err error)
	cancel   context.CancelCauseFunc

	mu      sync.Mutex
	summary Summary
	now     Progress
}

// count goes through the files ahead of the scans, which takes a small part of their time.
func (d *demand) count(ctx context.Context, w walk, paths []string) {
	w.trouble, w.skipped, w.folder = func(string, error) {}, func(string) {}, func() {}
	one := func(size uint64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.now.TotalFiles++
		d.now.TotalBytes += size
	}
	w.look = func(_ string, id *verdicts.Identity) bool {
		one(id.Size)
		return true
	}
	w.file = func(h *handle, _ string) error {
		one(uint64(max(0, h.stat.Size)))
		h.close()
		return ctx.Err()
	}
	for _, path := range paths {
		if w.from(ctx, filepath.Clean(path)) != nil {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now.Counted = true
}

// look takes in a file of which it is known that nothing is in it: it is not even opened, and so a tree that did not change is gone through at the
// speed of its directories. What was found is told anew, with the file open.
func (d *demand) look(path string, id *verdicts.Identity) bool {
	result, ok := d.queue.harmless(id)
	if ok {
		d.add(path, &result)
	}
	return ok
}

// add takes in what came of one file.
func (d *demand) add(path string, res *result) {
	var unread unopened
	if errors.As(res.err, &unread) {
		d.trouble(path, res.err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.summary
	switch {
	case errors.Is(res.err, supervise.ErrUnavailable), errors.Is(res.err, supervise.ErrStopped), errors.Is(res.err, context.Canceled):
		d.cancel(res.err)
		return
	case errors.Is(res.err, supervise.ErrSetAside):
		s.SetAside++
		d.tell(path, res.err)
	case res.err != nil:
		s.Failed++
		d.tell(path, res.err)
	default:
		d.answer(path, &res.answer, res.done)
	}
	s.Files++
	s.Bytes += res.size
	if res.known {
		s.Known++
	}
	d.now.Files, d.now.Bytes, d.now.Found, d.now.Path = s.Files, s.Bytes, s.Infected, path
	if d.progress != nil {
		d.progress(d.now)
	}
}

// answer counts an answer.
func (d *demand) answer(path string, a *scan.Answer, done Done) {
	switch a.Result {
	case scan.Clean:
		d.summary.Clean++
	case scan.Infected:
		d.summary.Infected++
		if done.Quarantined != "" {
			d.summary.Quarantined++
		}
		if d.told != nil {
			d.told(path, a.Name, done, nil)
		}
	case scan.Limited:
		d.summary.Limited++
	default:
		d.summary.Failed++
		d.tell(path, errors.New(a.Error))
	}
}

func (d *demand) trouble(path string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.Unreadable++
	d.tell(path, err)
}

func (d *demand) folder() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.Folders++
	d.now.Folders++
}

func (d *demand) skip(string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.Skipped++
}

// tell says what could not be scanned. The caller holds mu.
func (d *demand) tell(path string, err error) {
	if d.told != nil {
		d.told(path, "", Done{}, err)
	}
}
