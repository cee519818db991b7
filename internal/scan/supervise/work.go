package supervise

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Job is one file to scan.
type Job struct {
	File     *os.File // open for reading; the caller's, who keeps it open until Scan returns
	Identity verdicts.Identity
	Path     string // for people
	Limits   scan.Limits
	// Impatient jobs are what a person asked for. They are not kept while the service cannot be started: ErrUnavailable. Others wait until it can, and go
	// before them.
	Impatient bool
}

// Answer is the verdict on a job's file, and what it was found with.
type Answer struct {
	scan.Answer
	Epoch verdicts.Epoch
}

// work is a job on its way, and the caller of Scan who waits for it. Its flags are guarded by the supervisor.
type work struct {
	Job
	turn      chan *flight // it is to be sent
	done      chan outcome
	finished  bool
	abandoned bool // nobody waits for it
	passed    int  // how many that came later went before it
}

type outcome struct {
	answer Answer
	err    error
}

// Scan has a file scanned, and returns when that is done, also over ends of the service. It may be called from many goroutines.
// That the file could not be scanned is an answer (scan.Failed), not an error.
func (s *Supervisor) Scan(ctx context.Context, j Job) (Answer, error) {
	w := &work{Job: j, turn: make(chan *flight, 1), done: make(chan outcome, 1)}
	s.enqueue(w)
	for {
		select {
		case o := <-w.done:
			return o.answer, o.err
		case f := <-w.turn:
			s.send(w, f)
		case <-ctx.Done():
			if s.abandon(w) {
				return Answer{}, ctx.Err()
			}
			o := <-w.done // it was done in the same moment
			return o.answer, o.err
		}
	}
}

func (s *Supervisor) enqueue(w *work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		s.finish(w, outcome{err: ErrStopped})
		return
	case w.Impatient && s.failure != nil && s.serving == nil:
		s.finish(w, outcome{err: ErrUnavailable})
		return
	}
	s.waiting = slices.Insert(s.waiting, s.place(w), w)
	s.advance()
}

// patience is how many others go before an impatient job.
const patience = 16

// place is where work is put among what waits: what a person asked for, which is impatient, goes behind what events bring, but while events never
// end not for ever.
func (s *Supervisor) place(w *work) int {
	if w.Impatient {
		return len(s.waiting)
	}
	at := len(s.waiting)
	for at > 0 && s.waiting[at-1].Impatient && s.waiting[at-1].passed < patience {
		at--
		s.waiting[at].passed++
	}
	return at
}

// finish tells the caller, once. Of what is said later nobody hears.
func (s *Supervisor) finish(w *work, o outcome) {
	if !w.finished {
		w.finished = true
		w.done <- o
	}
}

// abandon takes back what nobody waits for any more; false says that it is done already. The service may still have the file: its answer is
// awaited, since a service that does not answer is one that hangs.
func (s *Supervisor) abandon(w *work) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.finished {
		return false
	}
	w.finished, w.abandoned = true, true
	is := func(o *work) bool { return o == w }
	if slices.ContainsFunc(s.suspects, is) {
		s.suspect(w) // for whoever asks next
	}
	s.waiting, s.suspects = slices.DeleteFunc(s.waiting, is), slices.DeleteFunc(s.suspects, is)
	for _, i := range s.instances() {
		for id, f := range i.flights {
			if f.work == w && !f.sending {
				s.land(i, id)
			}
		}
	}
	s.advance()
	return true
}

// send hands the file over, from the goroutine that owns it.
func (s *Supervisor) send(w *work, f *flight) {
	s.mu.Lock()
	if f.instance.flights[f.id] != f || w.finished {
		s.mu.Unlock()
		return // the service has ended meanwhile, and w gets another turn
	}
	f.sending = true
	s.mu.Unlock()
	// The service's descriptor shares its offset with this one: where an earlier service read to is no beginning.
	_, err := w.File.Seek(0, io.SeekStart)
	usable := err == nil
	if usable {
		err = f.instance.service.Send(scan.Request{ID: f.id, Limits: w.Limits}, w.File)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.advance()
	switch {
	case f.orphaned && err == nil:
		s.blame(f)
	case f.orphaned:
		s.again(f)
	case f.instance.flights[f.id] != f: // answered already, or to be done again
	case err == nil:
		f.sent = true
	case usable && (f.instance.leaving || hasGone(err)):
		s.land(f.instance, f.id)
		s.leave(f.instance)
		s.again(f)
	default:
		s.land(f.instance, f.id)
		s.finish(w, outcome{err: err})
	}
}

// hasGone reports whether an error of the socket is what the end of the other side looks like.
func hasGone(err error) bool {
	for _, gone := range []error{
		io.EOF, io.ErrClosedPipe, os.ErrClosed, net.ErrClosed, unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN, unix.EBADF,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}
