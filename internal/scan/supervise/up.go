package supervise

import "context"

// Failed reports whether no service runs because none can be started. It costs next to nothing.
func (s *Supervisor) Failed() bool { return s.failed.Load() }

// Up has a service that is down started now, whatever pause was to be kept, and returns when one runs, or with the *StartError.
func (s *Supervisor) Up(ctx context.Context) error {
	s.Restart()
	for {
		s.mu.Lock()
		started, serving, failure, stopped := s.started, s.serving, s.failure, s.stopped || s.ctx == nil
		s.mu.Unlock()
		switch {
		case stopped:
			return ErrStopped
		case started != nil:
		case serving != nil:
			return nil
		case failure != nil:
			return failure
		default:
			return ErrUnavailable // it ended while nobody looked, and waits to be started again
		}
		select {
		case <-started:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Forgive forgets the ends of services until now: what was to blame has been dealt with. The files that it names were in flight then.
func (s *Supervisor) Forgive() (files []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range s.ends {
		for _, f := range e.Files {
			if !seen[f] {
				seen[f] = true
				files = append(files, f)
			}
		}
	}
	s.ends, s.endPause = nil, firstEndPause
	s.changed = true
	return files
}
