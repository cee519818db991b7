package supervise

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
)

// end is an end of the service that nobody asked for.
type end struct {
	control.ScanEnd
	at time.Time // with its monotonic reading, which ScanEnd.Time does not have: the clock may be set meanwhile, by hours
}

// quiet reports whether the service did not end for so long that what was before is history.
func (s *Supervisor) quiet(now time.Time) bool {
	n := len(s.ends)
	return n == 0 || now.Sub(s.ends[n-1].at) >= time.Duration(Limits.Quiet)*time.Second
}

// watch waits for an instance's end and deals with it. What it had answered before counts, so that is read first.
func (s *Supervisor) watch(i *instance) {
	<-i.exited
	select {
	case <-i.read:
	case <-s.After(grace): // something else holds its end of the socket
	}
	var memory uint64
	if s.Available != nil {
		memory = s.Available()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended(i, memory)
	close(i.gone)
	s.advance()
}

// ended deals with the end of an instance: who was in flight is a suspect, and the next one is started after a pause.
func (s *Supervisor) ended(i *instance, memory uint64) {
	wasServing := s.serving == i
	if wasServing {
		s.serving = nil
	}
	s.retiring = slices.DeleteFunc(s.retiring, func(o *instance) bool { return o == i })
	left := i.inOrder()
	if !i.asked {
		s.record(i, left, memory)
	}
	for _, f := range slices.Backward(left) { // those that do it again come first, in their order
		s.land(i, f.id)
		if i.asked || !f.sending {
			s.again(f)
		}
	}
	for _, f := range left {
		switch {
		case i.asked || !f.sending:
		case f.sent:
			s.blame(f)
		default:
			f.orphaned = true
		}
	}
	if wasServing && !i.asked {
		s.failure = nil
		s.startAt = s.Now().Add(s.endPause)
		s.become(control.ScanWaiting, fmt.Sprintf("%s; it is started again after %s", i.how(), s.endPause))
		s.endPause = min(2*s.endPause, longestEndPause)
	}
}

// record notes an end that nobody asked for.
func (s *Supervisor) record(i *instance, left []*flight, memory uint64) {
	now := s.Now()
	if s.quiet(now) {
		s.endPause, s.ends = firstEndPause, nil
	}
	e := end{at: now, ScanEnd: control.ScanEnd{
		Time: now.UTC(), PID: i.service.PID(), Hung: i.hung, Signal: signalName(i.exit.Signal), Status: i.exit.Status, Memory: memory,
		MemoryLimit: i.exit.Memory,
	}}
	for _, f := range left {
		if f.sent && len(e.Files) < control.MaxEndFiles {
			e.Files = append(e.Files, f.Path)
		}
	}
	if len(s.ends) >= control.MaxScanEnds {
		s.ends = slices.Delete(s.ends, 0, 1)
	}
	s.ends = append(s.ends, e)
	s.changed = true
	s.Log.Error("the scan service ended", "pid", e.PID, "how", i.how(), "memory_available", memory, "files", e.Files)
}

// how says in words how an instance ended.
func (i *instance) how() string {
	switch {
	case i.rubbish != "":
		return "the scan service was killed: " + i.rubbish
	case i.hung:
		return "the scan service did not answer in time and was killed"
	}
	return "the scan service ended " + i.exit.String()
}

// String is how a process ended, to follow "ended".
func (e Exit) String() string {
	if e.Memory != 0 {
		return fmt.Sprintf("by %s, at its memory limit of %d MiB", signalName(e.Signal), e.Memory>>20)
	}
	how := fmt.Sprintf("with status %d", e.Status)
	if e.Signal != 0 {
		how = "by " + signalName(e.Signal)
	}
	if e.Short != "" {
		how += ", since " + e.Short
	}
	return how
}

func signalName(s syscall.Signal) string {
	if s == 0 {
		return ""
	}
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

// blame makes a file that was in flight at an end a suspect, or sets it aside if it was alone.
func (s *Supervisor) blame(f *flight) {
	switch {
	case f.alone:
		delete(s.suspected, f.Identity)
		s.Memory.SetAside(f.instance.epoch, f.Identity, f.Path)
		s.Log.Error("a file is set aside, since the scan service ended on it twice", "path", f.Path, "device", f.Identity.Device, "inode", f.Identity.Inode)
		s.changed = true
		s.finish(f.work, outcome{err: ErrSetAside})
	case f.abandoned:
		s.suspect(f.work)
	default:
		s.suspects = append(s.suspects, f.work)
	}
}

// suspect remembers a suspect that nobody waits for: the next scan of it is done alone.
func (s *Supervisor) suspect(w *work) {
	if len(s.suspected) >= maxSuspected {
		for id := range s.suspected { // any one
			delete(s.suspected, id)
			break
		}
	}
	s.suspected[w.Identity] = struct{}{}
}

// again puts work that no service had, or that is not to blame, back to where it came from.
func (s *Supervisor) again(f *flight) {
	switch {
	case f.finished:
	case f.alone:
		s.suspects = slices.Insert(s.suspects, 0, f.work)
	default:
		s.waiting = slices.Insert(s.waiting, 0, f.work)
	}
}

// recentEnds are all since the service was last quiet; none once it is again. The caller holds mu.
func (s *Supervisor) recentEnds() []control.ScanEnd {
	if s.quiet(s.Now()) {
		return nil
	}
	recent := make([]control.ScanEnd, len(s.ends))
	for i := range s.ends {
		recent[i] = s.ends[i].ScanEnd
		recent[i].Files = slices.Clone(recent[i].Files)
		for j, f := range recent[i].Files {
			recent[i].Files[j] = strings.ToValidUTF8(f, "\uFFFD")
		}
	}
	return recent
}
