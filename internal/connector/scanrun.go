package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan/queue"
)

// Bounds of scans on demand.
const (
	maxScanRuns     = 4       // at once
	maxScanFindings = 100_000 // that are kept for whoever asks; the log has them all
	// abandoned is how long nobody may have asked how far a scan is until it is ended: its program was killed, or lost.
	abandoned = 15 * time.Second
)

// scanRuns are the scans on demand, those that are over too until their end has been told.
type scanRuns struct {
	running sync.WaitGroup

	mu   sync.Mutex
	last uint64 // id
	runs map[uint64]*scanRun
}

// scanRun is one of them.
type scanRun struct {
	stop context.CancelFunc

	mu       sync.Mutex
	asked    time.Time
	told     control.ScanRun // without findings
	findings []control.ScanFinding
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
		summary, err := n.queue.ScanPath(ctx, queue.ScanOptions{Paths: r.Paths, CrossFileSystems: r.CrossFileSystems, Told: run.note}, func(p queue.Progress) {
			run.progress(p)
			if run.isAbandoned() {
				stop()
			}
		})
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
	s.runs.forget(r.ID)
	a := run.answer(r.After)
	a.Done = true
	if a.Error == "" {
		a.Error = "stopped"
	}
	return a, nil
}

// add makes room for a further scan. Those that are over, and that nobody asked for, make room first.
func (s *scanRuns) add(stop context.CancelFunc) (*scanRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.runs {
		if r.isAbandoned() {
			r.stop()
			delete(s.runs, id)
		}
	}
	if len(s.runs) >= maxScanRuns {
		return nil, fmt.Errorf("%w: %d scans are going on", control.ErrBusy, len(s.runs))
	}
	if s.runs == nil {
		s.runs = make(map[uint64]*scanRun)
	}
	s.last++
	now := time.Now()
	r := &scanRun{stop: stop, asked: now, told: control.ScanRun{ID: s.last, Started: now.UTC()}}
	s.runs[s.last] = r
	return r, nil
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
	delete(s.runs, id)
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

func (r *scanRun) isAbandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.asked) > abandoned
}

// note keeps a finding.
func (r *scanRun) note(path, name string, done queue.Done, err error) {
	f := control.ScanFinding{Path: path, Name: name, Quarantined: done.Quarantined, LeftAlone: done.LeftAlone}
	if err != nil {
		f.Error = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.findings) < maxScanFindings {
		r.findings = append(r.findings, f)
	}
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
	t.Files, t.Bytes, t.Known, t.Folders, t.Skipped = s.Files, s.Bytes, s.Known, s.Folders, s.Skipped
	t.Found, t.Quarantined, t.Failures, t.Took = s.Infected, s.Quarantined, s.Failed+s.SetAside+s.Unreadable, s.Took
	if err != nil {
		t.Error = err.Error()
	}
}

// answer is how far it is, with the findings that whoever asks does not have yet.
func (r *scanRun) answer(after int) control.ScanRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = time.Now()
	a := r.told
	rest := r.findings[min(after, len(r.findings)):]
	a.Findings = append([]control.ScanFinding{}, rest[:min(len(rest), control.MaxScanFindings)]...)
	return a
}
