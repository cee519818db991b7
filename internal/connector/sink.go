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
	refused  atomic.Pointer[error]
}

func (s *sink) append(e *monitor.Event) {
	log := s.log.Load()
	if log == nil {
		s.unlogged.Add(1)
		return
	}
	if err := (*log).Append(e); err != nil {
		s.refuse(err)
	}
}

// appendNow appends an event that somebody looks for at once. The error is that of the log that is open.
func (s *sink) appendNow(e *monitor.Event) error {
	log := s.log.Load()
	if log == nil {
		s.unlogged.Add(1)
		return nil
	}
	err := errors.Join((*log).Append(e), (*log).Flush())
	if err != nil {
		s.refuse(err)
	}
	return err
}

func (s *sink) refuse(err error) {
	if s.refused.Load() == nil {
		s.refused.Store(&err)
	}
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

// dropped counts the events that are not in the log, and gives the first error since it was last asked.
func (s *sink) dropped() (uint64, error) {
	n := s.unlogged.Load()
	if log := s.log.Load(); log != nil {
		n += (*log).Dropped()
	}
	if err := s.refused.Swap(nil); err != nil {
		return n, *err
	}
	return n, nil
}

// tell fills in what did not get into the log until this moment.
func (s *sink) tell(l *control.Log) {
	var err error
	if l.Dropped, err = s.dropped(); err != nil {
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
