package supervise

import (
	"context"
	"fmt"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// StartError is why a service did not come up.
type StartError struct {
	Stage scan.Stage // that was not passed; 0 where the service could not say
	Cause string     // one of internal/control's
	Text  string     // the error
	File  string     // the definition file to blame, if there is one

	Engine      string      // version of its library; "" where it did not come so far
	Definitions Definitions // that it was to load
}

// Error names the stage, the file and the error.
func (e *StartError) Error() string {
	text := e.Text
	if e.File != "" {
		text = e.File + ": " + text
	}
	if e.Stage != 0 {
		text = e.Stage.String() + ": " + text
	}
	return "start the scan service: " + text
}

// causes are those of a report, as the status has them.
var causes = map[scan.Cause]string{
	scan.LibraryMissing: control.ScanLibraryMissing, scan.LibraryUnusable: control.ScanLibraryUnusable, scan.DefinitionsBad: control.ScanDefinitions,
	scan.MemoryShort: control.ScanMemory, scan.RightsMissing: control.ScanRights, scan.SelfTestFailed: control.ScanSelfTest,
}

// launch starts a service and waits until it is ready.
func (s *Supervisor) launch(ctx context.Context, o StartOptions) (*instance, *StartError) {
	service, err := s.Start(ctx, o)
	if err != nil {
		return nil, &StartError{Cause: control.ScanProgram, Text: err.Error(), Definitions: o.Definitions}
	}
	i := &instance{
		service: service, options: o, exited: make(chan struct{}), read: make(chan struct{}), gone: make(chan struct{}), flights: make(map[uint64]*flight),
	}
	s.running.Go(func() {
		i.exit = service.Wait()
		close(i.exited)
	})
	failure := s.awaitReport(ctx, i)
	if failure == nil {
		if i.subject, err = s.inspect(service.PID()); err != nil {
			s.Log.Error("what the scan service runs as cannot be read", "error", err)
		}
		i.workers = s.Workers
		if n := int(min(i.report.Workers, 1<<16)); n > 0 {
			i.workers = min(i.workers, n)
		}
		i.epoch = verdicts.Epoch{Definitions: o.Definitions.Version, Engine: i.report.Engine}
		s.Memory.Begin(i.epoch)
		return i, nil
	}
	failure.Engine, failure.Definitions = i.report.Engine, o.Definitions
	service.Kill()
	select { // its memory may be needed
	case <-i.exited:
	case <-s.After(grace):
	}
	return nil, failure
}

// awaitReport waits for what a service says of its start, for its end, or for the deadline.
func (s *Supervisor) awaitReport(ctx context.Context, i *instance) *StartError {
	type said struct {
		report scan.Report
		err    error
	}
	reporting, cancel := context.WithCancel(ctx)
	defer cancel()
	reported := make(chan said, 1)
	s.running.Go(func() {
		r, err := i.service.Report(reporting)
		reported <- said{r, err}
	})
	select {
	case r := <-reported:
		if r.err != nil {
			return s.silent(ctx, i, r.err)
		}
		i.report = r.report
		return failureOf(&r.report)
	case <-s.After(s.StartDeadline):
		return &StartError{Cause: control.ScanHung, Text: fmt.Sprintf("it is not ready after %s", s.StartDeadline)}
	case <-ctx.Done():
		return &StartError{Cause: control.ScanHung, Text: "the daemon ends"}
	}
}

// silent says why a service ended without a report. How it ended tells, if it did so by itself.
func (s *Supervisor) silent(ctx context.Context, i *instance, err error) *StartError {
	select {
	case <-i.exited:
	case <-ctx.Done():
		return &StartError{Cause: control.ScanHung, Text: "the daemon ends"}
	case <-s.After(grace):
		return &StartError{Cause: control.ScanProgram, Text: "its report cannot be read: " + err.Error()}
	}
	if i.exit.Memory != 0 {
		return &StartError{Cause: control.ScanMemory, Text: fmt.Sprintf("it came to its memory limit of %d MiB, and the kernel ended it", i.exit.Memory>>20)}
	}
	if i.exit.Short != "" { // which makes Go's runtime end with status 2, and purego with SIGABRT
		return &StartError{Cause: control.ScanMemory, Text: "without a report it ended " + i.exit.String()}
	}
	if i.exit.Signal != 0 {
		return &StartError{Cause: control.ScanKilled, Text: "it was ended by " + signalName(i.exit.Signal) + hint(i.exit)}
	}
	return &StartError{Cause: control.ScanProgram, Text: "it ended " + i.exit.String() + " without a report"}
}

// hint names what sends a signal.
func hint(e Exit) string {
	switch signalName(e.Signal) {
	case "SIGSYS":
		return ": its seccomp(2) filter does not have a system call that it made"
	case "SIGKILL":
		return ": memory ran out, or somebody killed it"
	}
	return ""
}

// failureOf is nil for a service that is ready.
func failureOf(r *scan.Report) *StartError {
	switch {
	case r.Stage == scan.StageReady && r.Cause == scan.NoCause:
		return nil
	case r.Stage < scan.StageSandbox || r.Stage > scan.StageReady:
		return &StartError{Cause: control.ScanProgram, Text: fmt.Sprintf("its report has stage %d", r.Stage)}
	}
	cause := causes[r.Cause]
	if cause == "" {
		cause = control.ScanProgram
	}
	return &StartError{Stage: r.Stage, Cause: cause, Text: r.Error, File: r.File}
}

// adopt makes an instance the one that gets work, from now on.
func (s *Supervisor) adopt(i *instance) {
	if old := s.serving; old != nil {
		s.retire(old)
	}
	s.serving, s.failure, s.startPause = i, nil, firstStartPause
	s.become(control.ScanReady, i.readiness())
	s.Log.Info("the scan service is ready", "pid", i.service.PID(), "engine", i.report.Engine, "definitions", i.epoch.Definitions,
		"signatures", i.report.Signatures, "uid", i.subject.uid)
	s.running.Go(func() { s.receive(i) })
	s.running.Go(func() { s.watch(i) })
}

func (i *instance) readiness() string {
	if i.options.AsRoot {
		return "ready, as root"
	}
	return "ready"
}

// fail notes that a start failed.
func (s *Supervisor) fail(e *StartError) {
	if s.failure == nil || *s.failure != *e {
		s.Log.Error("the scan service cannot be started", "cause", e.Cause, "error", e)
	}
	s.failure = e
	s.startAt = s.Now().Add(s.startPause)
	s.startPause = min(2*s.startPause, longestStartPause)
	s.become(control.ScanFailed, e.Error())
	for _, list := range []*[]*work{&s.waiting, &s.suspects} {
		kept := (*list)[:0:0]
		for _, w := range *list {
			if w.Impatient {
				s.finish(w, outcome{err: ErrUnavailable})
			} else {
				kept = append(kept, w)
			}
		}
		*list = kept
	}
}

// retire gives an instance no more work; it is ended when it has done what it has.
func (s *Supervisor) retire(i *instance) {
	i.leaving = true
	s.retiring = append(s.retiring, i)
	if s.serving == i {
		s.serving = nil
	}
}
