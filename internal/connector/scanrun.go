package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan/queue"
)

// Bounds of scans on demand.
const (
	maxScanRuns = 4 // at once
	// maxFindingBytes bounds what is kept for whoever asks, of all scans: the daemon has memoryLimit for all that it does. The log has every detection.
	maxFindingBytes = 3 << 20
	// abandoned is how long nobody may have asked how far a scan is until it is ended: its program was killed, or lost.
	abandoned = 15 * time.Second
)

// scanRuns are the scans on demand, those that are over too until their end has been told.
type scanRuns struct {
	running sync.WaitGroup

	mu   sync.Mutex
	last uint64 // id
	runs map[uint64]*scanRun
	kept atomic.Int64 // bytes of their findings
}

// scanRun is one of them.
type scanRun struct {
	stop context.CancelFunc
	kept *atomic.Int64 // of all runs

	mu        sync.Mutex
	asked     time.Time
	told      control.ScanRun // without findings
	findings  []control.ScanFinding
	taken     int // findings before these, that whoever asks has
	forgotten bool
}

// Scan implements Scanner.
func (s *scanner) Scan(r control.ScanRequest) (control.ScanRun, error) {
	n := s.session.Load()
	if n == nil {
		return control.ScanRun{}, s.noSession()
	}
	ctx, stop := context.WithCancel(context.Background())
	run, err := s.runs.add(stop)
	if err != nil {
		stop()
		return control.ScanRun{}, err
	}
	s.runs.running.Go(func() {
		defer stop()
		summary, err := n.queue.ScanPath(ctx, queue.ScanOptions{Paths: r.Paths, CrossFileSystems: r.CrossFileSystems, Told: run.note}, run.progress)
		run.end(summary, err)
	})
	return run.answer(r.After), nil
}

// noSession is why nothing is scanned now. Before a service can be started, its definitions are looked at, which takes up to a minute.
func (s *scanner) noSession() error {
	if s.State().State == control.ScanOff {
		return errors.New("the policy asks for no scanning")
	}
	return errors.New("the scan service is starting; try again in a minute")
}

// Follow implements Scanner.
func (s *scanner) Follow(r control.ScanRequest) (control.ScanRun, error) {
	run, err := s.runs.find(r.ID)
	if err != nil {
		return control.ScanRun{}, err
	}
	a := run.answer(r.After)
	if a.Done && len(a.Findings) == 0 {
		s.runs.forget(r.ID)
	}
	return a, nil
}

// Stop implements Scanner.
func (s *scanner) Stop(r control.ScanRequest) (control.ScanRun, error) {
	run, err := s.runs.find(r.ID)
	if err != nil {
		return control.ScanRun{}, err
	}
	run.stop()
	a := run.answer(r.After)
	s.runs.forget(r.ID)
	a.Done = true
	if a.Error == "" {
		a.Error = "stopped"
	}
	return a, nil
}

// add makes room for a further scan.
func (s *scanRuns) add(stop context.CancelFunc) (*scanRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.runs) >= maxScanRuns {
		return nil, fmt.Errorf("%w: %d scans are going on", control.ErrBusy, len(s.runs))
	}
	if s.runs == nil {
		s.runs = make(map[uint64]*scanRun)
	}
	s.last++
	now := time.Now()
	r := &scanRun{stop: stop, kept: &s.kept, asked: now, told: control.ScanRun{ID: s.last, Started: now.UTC()}}
	s.runs[s.last] = r
	s.watch(s.last, r, abandoned)
	return r, nil
}

// watch ends and forgets a scan for which nobody asks any more.
func (s *scanRuns) watch(id uint64, r *scanRun, wait time.Duration) {
	time.AfterFunc(wait, func() {
		rest := r.patience()
		if rest > 0 {
			s.watch(id, r, rest)
			return
		}
		r.stop()
		s.forget(id)
	})
}

func (s *scanRuns) find(id uint64) (*scanRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.runs[id]
	if !ok {
		return nil, fmt.Errorf("%w: %d", control.ErrNoScan, id)
	}
	return r, nil
}

func (s *scanRuns) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.runs[id]; ok {
		r.forget()
		delete(s.runs, id)
	}
}

// wait ends all of them.
func (s *scanRuns) wait() {
	s.mu.Lock()
	for _, r := range s.runs {
		r.stop()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// patience is how much longer the next question is waited for; that of a scan that is forgotten is over.
func (r *scanRun) patience() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgotten {
		return 0
	}
	return abandoned - time.Since(r.asked)
}

// bytesOf is what a finding takes, with its place in a list that grows by doubling.
func bytesOf(f *control.ScanFinding) int64 {
	return int64(len(f.Path)+len(f.Name)+len(f.Error)+len(f.Quarantined)+len(f.LeftAlone)) + 2*int64(unsafe.Sizeof(*f))
}

// note keeps a finding, or counts it where there is no room.
func (r *scanRun) note(path, name string, done queue.Done, err error) {
	f := control.ScanFinding{Path: path, Name: name, Quarantined: done.Quarantined, LeftAlone: done.LeftAlone}
	if err != nil {
		f.Error = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgotten {
		return
	}
	if size := bytesOf(&f); r.kept.Add(size) > maxFindingBytes {
		r.kept.Add(-size)
		r.told.Untold++
		return
	}
	r.findings = append(r.findings, f)
}

// release lets go of the first n findings.
func (r *scanRun) release(n int) {
	for i := range r.findings[:n] {
		r.kept.Add(-bytesOf(&r.findings[i]))
	}
	r.taken += n
	if r.findings = slices.Delete(r.findings, 0, n); len(r.findings) == 0 {
		r.findings = nil
	}
}

// forget lets go of all findings, and of those that are still to come.
func (r *scanRun) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(len(r.findings))
	r.forgotten = true
}

func (r *scanRun) progress(p queue.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.told
	t.Files, t.Bytes, t.Found, t.Folders, t.Current = p.Files, p.Bytes, p.Found, p.Folders, p.Path
	t.Took = time.Since(t.Started)
}

func (r *scanRun) end(s queue.Summary, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.told
	t.Done, t.Current = true, ""
	t.Files, t.Bytes, t.Known, t.Limited, t.Folders, t.Skipped = s.Files, s.Bytes, s.Known, s.Limited, s.Folders, s.Skipped
	t.Found, t.Quarantined, t.Failures, t.Took = s.Infected, s.Quarantined, s.Failed+s.SetAside+s.Unreadable, s.Took
	if err != nil {
		t.Error = err.Error()
	}
}

// answer is how far it is, with the findings that whoever asks does not have yet; the others have been taken.
func (r *scanRun) answer(after int) control.ScanRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = time.Now()
	a := r.told
	r.release(min(max(0, after-r.taken), len(r.findings)))
	a.Findings = append([]control.ScanFinding{}, r.findings[:min(len(r.findings), control.MaxScanFindings)]...)
	return a
}
