package supervise

import (
	"context"
	"errors"
	"time"

	"github.com/ampconnector/amp/internal/control"
)

// Switched is how one service took the place of another.
type Switched struct {
	MadeRoom bool          // memory did not hold two, so the old one ended first
	Pause    time.Duration // for which no service took new work
}

// Switch starts a service with the definitions and the user that are now to be used, and lets it take the place of the one that runs, which
// first finishes what it has. Scans go on meanwhile, unless memory does not hold two engines. If the new service does not come up, the old one
// goes on, or is started again, and the *StartError is returned. The end of ctx ends the waiting, not the switch.
func (s *Supervisor) Switch(ctx context.Context) (Switched, error) {
	type result struct {
		Switched
		err error
	}
	over := make(chan result, 1)
	s.mu.Lock()
	if s.stopped || s.ctx == nil {
		s.mu.Unlock()
		return Switched{}, ErrStopped
	}
	running := s.ctx
	s.running.Go(func() {
		sw, err := s.replace(running)
		over <- result{sw, err}
	})
	s.mu.Unlock()
	select {
	case r := <-over:
		return r.Switched, r.err
	case <-ctx.Done():
		return Switched{}, ctx.Err()
	}
}

// Restart has a service that is down started now, whatever pause was to be kept. Where one runs or is being started it does nothing.
func (s *Supervisor) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startAt, s.startPause = time.Time{}, firstStartPause
	s.advance()
}

// SetAsRoot says whether services run as root, and why the scan user cannot be used. One that runs as another user is replaced as by Switch; where
// the new one does not come up, the old one goes on, and it is tried again after a pause.
func (s *Supervisor) SetAsRoot(asRoot bool, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asRoot != asRoot {
		s.userAt, s.startAt = time.Time{}, time.Time{}
	}
	s.asRoot, s.userErr = asRoot, why
	s.advance()
}

// StartsOther reports whether a service is on its way that was to run as another user than is asked for by now. It takes the place of the one that runs,
// and is replaced itself at once.
func (s *Supervisor) StartsOther() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started != nil && s.startingAsRoot != s.asRoot
}

// claim waits until no start goes on, and takes the right to one.
func (s *Supervisor) claim(ctx context.Context) error {
	for {
		s.mu.Lock()
		started := s.started
		if started == nil {
			s.started = make(chan struct{})
		}
		s.mu.Unlock()
		if started == nil {
			return nil
		}
		select {
		case <-started:
		case <-ctx.Done():
			return ErrStopped
		}
	}
}

// release gives it back. The caller holds mu.
func (s *Supervisor) release() {
	close(s.started)
	s.started = nil
}

// options are what a service that is started now is started with.
func (s *Supervisor) options() StartOptions {
	d := s.Definitions()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startingAsRoot = s.asRoot
	return StartOptions{AsRoot: s.asRoot, Definitions: d, Workers: s.Workers}
}

// replace is a switch, from its beginning to its end.
func (s *Supervisor) replace(ctx context.Context) (Switched, error) {
	if err := s.claim(ctx); err != nil {
		return Switched{}, err
	}
	return s.replaceClaimed(ctx)
}

func (s *Supervisor) replaceClaimed(ctx context.Context) (Switched, error) {
	began := s.Now()
	s.mu.Lock()
	old := s.serving
	s.mu.Unlock()
	var sw Switched
	if old != nil && !s.holdsTwo(old) {
		sw.MadeRoom = true
		if err := s.makeRoom(ctx, old); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.release()
			return sw, err
		}
	}
	i, failure := s.launch(ctx, s.options())
	if failure != nil && ctx.Err() == nil && sw.MadeRoom {
		s.Log.Error("the new scan service does not come up; the one before is started again", "error", failure)
		i, _ = s.launch(ctx, old.options)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.advance()
	defer s.release()
	s.conclude(ctx, i, failure)
	if old == nil || sw.MadeRoom {
		sw.Pause = s.Now().Sub(began)
	}
	if failure != nil {
		return sw, failure
	}
	if sw.MadeRoom {
		s.Log.Info("memory does not hold two scan services; scanning paused for a switch", "pause", sw.Pause)
	}
	return sw, nil
}

// conclude takes in what came of a start: an instance, or none.
func (s *Supervisor) conclude(ctx context.Context, i *instance, failure *StartError) {
	switch {
	case ctx.Err() != nil:
		if i != nil {
			i.service.Kill()
		}
		return
	case i != nil:
		s.adopt(i)
	case s.serving == nil:
		s.fail(failure)
	default:
		s.Log.Error("the new scan service does not come up; the one before goes on", "error", failure)
	}
	if failure != nil {
		s.userAt = s.Now().Add(longestStartPause)
	}
}

// holdsTwo reports whether there is memory for a second engine, with a fifth to spare.
func (s *Supervisor) holdsTwo(old *instance) bool {
	if s.Available == nil {
		return true
	}
	need := s.resident(old.service.PID())
	if s.EngineMemory != nil {
		need = max(need, s.EngineMemory())
	}
	return s.Available() >= need+need/5
}

// makeRoom ends an instance once it has done what it has.
func (s *Supervisor) makeRoom(ctx context.Context, old *instance) error {
	s.mu.Lock()
	if s.serving == old { // else it has ended by itself
		s.retire(old)
		s.become(control.ScanWaiting, "it makes room for the next one: memory does not hold two")
	}
	s.advance()
	s.mu.Unlock()
	select {
	case <-old.gone:
		return nil
	case <-ctx.Done():
		return errors.Join(ErrStopped, ctx.Err())
	}
}
