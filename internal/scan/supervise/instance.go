package supervise

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// instance is a service that has come up.
type instance struct {
	service Service
	options StartOptions
	report  scan.Report
	epoch   verdicts.Epoch
	subject subject
	workers int

	exit   Exit          // once exited is closed
	exited chan struct{} // the process has ended
	read   chan struct{} // closed when there is nothing more to read of it
	gone   chan struct{} // its end has been dealt with

	flights map[uint64]*flight
	leaving bool      // it gets no more work
	killAt  time.Time // if it has not ended by itself; zero: never
	killed  bool
	asked   bool   // its end is wanted
	hung    bool   // it was killed for not answering
	rubbish string // what it said that it never should
}

// flight is a job that a service was given.
type flight struct {
	*work
	instance *instance
	id       uint64
	deadline time.Time
	sending  bool // Send was called: the service may have the file
	sent     bool // Send has returned, and it has
	orphaned bool // the service ended in between: send knows who is to blame
	alone    bool // nothing else was in flight
}

func (s *Supervisor) instances() []*instance {
	if s.serving == nil {
		return s.retiring
	}
	return append(slices.Clone(s.retiring), s.serving)
}

// land takes a flight off its instance.
func (s *Supervisor) land(i *instance, id uint64) {
	if f := i.flights[id]; f == s.alone {
		s.alone = nil
	}
	delete(i.flights, id)
}

// dispatch gives out work while there is some and somebody takes it. A suspect flies alone, and before it nothing new begins.
func (s *Supervisor) dispatch() {
	for s.serving != nil && !s.serving.leaving && s.alone == nil {
		switch {
		case len(s.suspects) > 0:
			if s.inFlight() > 0 {
				return
			}
			w := s.suspects[0]
			s.suspects = s.suspects[1:]
			s.begin(w, true)
		case len(s.waiting) > 0 && len(s.serving.flights) < s.serving.workers:
			w := s.waiting[0]
			s.waiting = s.waiting[1:]
			if _, known := s.suspected[w.Identity]; known {
				s.suspects = append(s.suspects, w)
			} else {
				s.begin(w, false)
			}
		default:
			return
		}
	}
}

func (s *Supervisor) inFlight() (n int) {
	for _, i := range s.instances() {
		n += len(i.flights)
	}
	return n
}

func (s *Supervisor) begin(w *work, alone bool) {
	if s.Memory.Aside(w.Identity) {
		s.finish(w, outcome{err: ErrSetAside})
		return
	}
	s.id++
	f := &flight{work: w, instance: s.serving, id: s.id, deadline: s.Now().Add(s.Deadline), alone: alone}
	s.serving.flights[f.id] = f
	if alone {
		s.alone = f
	}
	select {
	case <-w.turn: // of a service that ended before it got the file
	default:
	}
	w.turn <- f
}

// receive deals with what an instance says, until there is nothing more of it to hear.
func (s *Supervisor) receive(i *instance) {
	defer close(i.read)
	for {
		a, err := i.service.Receive()
		s.mu.Lock()
		switch {
		case err == nil:
			s.answered(i, a)
		case hasGone(err):
			s.leave(i)
		default:
			s.distrust(i, "it cannot be read: "+err.Error())
		}
		s.advance()
		end := err != nil || i.rubbish != ""
		s.mu.Unlock()
		if end {
			return
		}
	}
}

// answered takes an answer, which has to be one that was asked for.
func (s *Supervisor) answered(i *instance, a scan.Answer) {
	f := i.flights[a.ID]
	switch {
	case f == nil || !f.sending:
		s.distrust(i, fmt.Sprintf("it answers request %d, which it does not have", a.ID))
		return
	case !sensible(&a):
		s.distrust(i, fmt.Sprintf("its answer is %s with a name of %d bytes", a.Result, len(a.Name)))
		return
	}
	s.land(i, a.ID)
	delete(s.suspected, f.Identity)
	s.last = s.Now()
	switch a.Result {
	case scan.Infected:
		s.found++
	case scan.Failed:
		s.failures++
	}
	s.scanned++
	s.finish(f.work, outcome{answer: Answer{a, i.epoch}})
}

func sensible(a *scan.Answer) bool {
	switch a.Result {
	case scan.Infected:
		return a.Name != "" && len(a.Name) <= scan.MaxName
	case scan.Clean, scan.Limited, scan.Failed:
		return a.Name == ""
	}
	return false
}

// distrust ends an instance that said something that it never should: nothing that it says from then on counts.
func (s *Supervisor) distrust(i *instance, why string) {
	if i.rubbish == "" {
		i.rubbish = why
	}
	s.kill(i)
}

// leave gives an instance that seems to end no more work, and some time to be gone.
func (s *Supervisor) leave(i *instance) {
	i.leaving = true
	if i.killAt.IsZero() {
		i.killAt = s.Now().Add(grace)
	}
}

func (s *Supervisor) kill(i *instance) {
	i.leaving = true
	if !i.killed {
		i.killed = true
		i.service.Kill()
	}
}

// inOrder are an instance's flights, the first first.
func (i *instance) inOrder() []*flight {
	return slices.SortedFunc(maps.Values(i.flights), func(a, b *flight) int { return int(a.id - b.id) })
}
