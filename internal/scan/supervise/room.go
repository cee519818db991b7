package supervise

import "context"

// Room makes memory free for an engine beside the service's, as for a trial of other definitions. Where memory does not hold two, the service ends once it
// has done what it has, and none is started until leave is called; made says so. What comes meanwhile waits, and the service that is started then has
// the definitions that are live by that time, so that a trial that is passed costs no more than one pause. leave must be called, once.
//
// Errors: ErrStopped.
func (s *Supervisor) Room(ctx context.Context) (leave func(), made bool, err error) {
	if err := s.claim(ctx); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	old, began := s.serving, s.Now()
	s.mu.Unlock()
	leave = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if made {
			s.Log.Info("memory does not hold two scan engines; scanning paused for a trial of definitions", "pause", s.Now().Sub(began))
		}
		s.release()
		s.advance()
	}
	if old == nil || s.holdsTwo(old) {
		leave()
		return func() {}, false, nil
	}
	if err := s.makeRoom(ctx, old); err != nil {
		leave()
		return nil, false, err
	}
	made = true
	return leave, made, nil
}
