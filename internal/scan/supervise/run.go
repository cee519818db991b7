package supervise

import (
	"context"
	"errors"
	"time"

	"github.com/ampconnector/amp/internal/control"
)

// Run keeps a service running until ctx ends. It returns when the service and all goroutines have ended. It is called once.
func (s *Supervisor) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ctx != nil {
		s.mu.Unlock()
		return errors.New("the supervisor has been run already")
	}
	s.ctx = ctx
	s.mu.Unlock()
	var timer <-chan time.Time
	for ctx.Err() == nil {
		s.mu.Lock()
		s.overdue()
		s.advance()
		if at := s.next(); !at.IsZero() && (s.armed.IsZero() || at.Before(s.armed)) {
			s.armed = at
			timer = s.After(max(0, at.Sub(s.Now())))
		}
		changed := s.changed
		s.changed = false
		s.mu.Unlock()
		if changed && s.OnChange != nil {
			s.OnChange()
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer:
			s.mu.Lock()
			s.armed, timer = time.Time{}, nil
			s.mu.Unlock()
		}
	}
	s.stop()
	return nil
}

// advance does what can be done now. It is called, with mu held, whenever something has changed.
func (s *Supervisor) advance() {
	if s.stopped || s.ctx == nil || s.ctx.Err() != nil {
		return
	}
	for _, i := range s.retiring {
		if len(i.flights) == 0 && !i.killed {
			i.asked = true
			s.kill(i)
		}
	}
	now := s.Now()
	switch ctx := s.ctx; {
	case s.started != nil:
	case s.serving == nil && !now.Before(s.startAt):
		s.started = make(chan struct{})
		s.running.Go(func() { s.start(ctx) })
	case s.serving != nil && s.serving.options.AsRoot != s.asRoot && !now.Before(s.userAt):
		s.started = make(chan struct{})
		s.running.Go(func() {
			_, _ = s.replaceClaimed(ctx) // logged, and tried again
		})
	}
	s.dispatch()
	if at := s.next(); s.changed || !at.IsZero() && (s.armed.IsZero() || at.Before(s.armed)) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// start starts a service where there is none.
func (s *Supervisor) start(ctx context.Context) {
	i, failure := s.launch(ctx, s.options())
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.advance()
	defer s.release()
	s.conclude(ctx, i, failure)
}

// overdue kills the instances that do not answer in time, or do not end.
func (s *Supervisor) overdue() {
	now := s.Now()
	for _, i := range s.instances() {
		for _, f := range i.flights {
			if !i.killed && !now.Before(f.deadline) {
				i.hung = true
				s.kill(i)
			}
		}
		if !i.killed && !i.killAt.IsZero() && !now.Before(i.killAt) {
			s.distrust(i, "it no longer listens")
		}
	}
}

// next is the time of the next thing that has to be done by the clock, zero if there is none.
func (s *Supervisor) next() (at time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, i := range s.instances() {
		if i.killed {
			continue
		}
		sooner(i.killAt)
		for _, f := range i.flights {
			sooner(f.deadline)
		}
	}
	switch {
	case s.started != nil:
	case s.serving == nil:
		sooner(s.startAt)
	case s.serving.options.AsRoot != s.asRoot:
		sooner(s.userAt)
	}
	return at
}

// become changes the state.
func (s *Supervisor) become(state control.ScanState, detail string) {
	if s.state != state {
		s.since = s.Now()
	}
	s.state, s.detail, s.changed = state, detail, true
	s.failed.Store(state == control.ScanFailed)
}

// stop ends everything, and waits for it.
func (s *Supervisor) stop() {
	s.mu.Lock()
	s.stopped = true
	for _, w := range append(s.waiting, s.suspects...) {
		s.finish(w, outcome{err: ErrStopped})
	}
	s.waiting, s.suspects = nil, nil
	for _, i := range s.instances() {
		i.asked = true
		for _, f := range i.flights {
			s.finish(f.work, outcome{err: ErrStopped})
		}
		s.kill(i)
	}
	s.mu.Unlock()
	s.running.Wait()
}
