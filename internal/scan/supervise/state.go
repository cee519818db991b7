package supervise

import (
	"strconv"

	"github.com/ampconnector/amp/internal/control"
)

// State is a snapshot for the status. What is queued, known and dropped is not the supervisor's to say.
func (s *Supervisor) State() control.Scan {
	st, pid := s.snapshot()
	st.SetAside = s.Memory.AsidePaths()
	st.SetAside = st.SetAside[max(0, len(st.SetAside)-control.MaxSetAside):]
	if pid != 0 {
		st.MemoryBytes = s.resident(pid)
	}
	if st.User == strconv.FormatUint(uint64(st.UID), 10) { // it began while the account was away, which has a name again
		st.User = s.UserName(st.UID)
	}
	return st
}

func (s *Supervisor) snapshot() (st control.Scan, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st = control.Scan{
		State: s.state, Detail: s.detail, Since: s.since, Last: s.last, Scanned: s.scanned, Found: s.found, Failures: s.failures,
		Ends: s.recentEnds(), Limits: Limits, AsRoot: s.asRoot,
	}
	if s.userErr != nil {
		st.UserError = s.userErr.Error()
	}
	if f := s.failure; f != nil {
		st.Cause, st.Error, st.File, st.Engine = f.Cause, f.Text, f.File, f.Engine
		st.Definitions, st.BuiltIn = f.Definitions.Version, f.Definitions.BuiltIn
		if f.Stage != 0 {
			st.Stage = f.Stage.String()
		}
	}
	i := s.serving
	if i == nil {
		return st, 0
	}
	st.AsRoot = i.options.AsRoot
	st.PID, st.Workers, st.Sandbox = i.service.PID(), i.workers, i.sandbox()
	st.Engine, st.Definitions, st.BuiltIn, st.Signatures = i.report.Engine, i.options.Definitions.Version, i.options.Definitions.BuiltIn, uint64(i.report.Signatures)
	if sub := i.subject; sub.known {
		st.User, st.UID, st.GID, st.Groups, st.Capable, st.MemoryLimit = sub.user, sub.uid, sub.gid, sub.groups, sub.capable, sub.limit
	}
	return st, st.PID
}
