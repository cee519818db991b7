package connector

import (
	"errors"
	"sync/atomic"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

// sink carries events to the event log, where one could be opened, and counts those that did not get there.
type sink struct {
	log      atomic.Pointer[EventLog]
	unlogged atomic.Uint64 // events that came while no log was open
}

func (s *sink) append(e *monitor.Event) {
	log := s.log.Load()
	if log == nil {
		s.unlogged.Add(1)
		return
	}
	_ = (*log).Append(e) // what it could not write is counted, and why stands in failing
}

// appendNow appends an event that somebody looks for at once. The error is that of the log that is open.
func (s *sink) appendNow(e *monitor.Event) error {
	log := s.log.Load()
	if log == nil {
		s.unlogged.Add(1)
		return nil
	}
	return errors.Join((*log).Append(e), (*log).Flush())
}

// failing is why the log that is open cannot be written at the moment.
func (s *sink) failing() error {
	if log := s.log.Load(); log != nil {
		return (*log).Failing()
	}
	return nil
}

// open opens the log if it is not open yet, and gives it its cap, in bytes.
func (s *sink) open(cap int64, with func() (EventLog, error)) error {
	if log := s.log.Load(); log != nil {
		return (*log).SetCap(cap)
	}
	log, err := with()
	if err != nil {
		return err
	}
	s.log.Store(&log)
	return nil
}

// dropped counts the events that are not in the log.
func (s *sink) dropped() uint64 {
	n := s.unlogged.Load()
	if log := s.log.Load(); log != nil {
		n += (*log).Dropped()
	}
	return n
}

// tell fills in what did not get into the log until this moment, and why nothing gets there now.
func (s *sink) tell(l *control.Log) {
	l.Dropped = s.dropped()
	if err := s.failing(); err != nil {
		l.Error = err.Error()
	}
}

// close closes the log. No feed may be running.
func (s *sink) close() error {
	log := s.log.Swap(nil)
	if log == nil {
		return nil
	}
	return (*log).Close()
}
