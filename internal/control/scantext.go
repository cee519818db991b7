package control

import (
	"fmt"
	"strconv"
	"strings"
)

// scan is what the scan service is doing, on a line. A state that this program does not know is the daemon's own words.
func (t Text) scan(s Scan) string {
	switch s.State {
	case ScanReady:
		return t.scanReady(s)
	case ScanFailed:
		return t.sprintf("scan failed", t.stage(s.Stage), t.cause(s))
	case ScanWaiting:
		return t.word("scan waiting")
	case ScanStarting:
		return t.word("scan starting")
	case ScanOff:
		return t.word("scan off")
	case ScanUnknown:
		return t.word("scan unknown")
	}
	return s.Detail
}

func (t Text) scanReady(s Scan) string {
	key := "scan ready"
	if s.AsRoot {
		key = "scan as root"
	}
	user, engine := s.User, s.Engine
	if user == "" {
		user = strconv.FormatUint(uint64(s.UID), 10)
	}
	if engine == "" {
		engine = t.word("not known")
	}
	text := t.sprintf(key, user, engine, t.definitions(s))
	if s.UserError != "" {
		text += t.sprintf("scan user bad", s.UserError)
	}
	return text
}

func (t Text) definitions(s Scan) string {
	switch {
	case s.BuiltIn:
		return t.word("definitions built in")
	case s.Definitions == "":
		return t.word("not known")
	}
	return t.sprintf("definitions", s.Definitions, s.Signatures)
}

func (t Text) stage(stage string) string {
	if _, ok := words["stage "+stage]; ok {
		return t.word("stage " + stage)
	}
	return t.word("stage unknown")
}

// cause is why a start failed: in words where the cause is known, with the error behind them.
func (t Text) cause(s Scan) string {
	var parts []string
	if _, ok := words["cause "+s.Cause]; ok {
		parts = append(parts, t.word("cause "+s.Cause))
	}
	for _, part := range []string{s.File, s.Error} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return t.word("not known")
	}
	return strings.Join(parts, ": ")
}

// moreOfScan is what only a verbose status has of the scan service.
func (t Text) moreOfScan(s Scan) []line {
	var lines []line
	if s.PID > 0 {
		sandbox := strings.Join(s.Sandbox, ", ")
		if sandbox == "" {
			sandbox = t.word("none")
		}
		limit := t.word("none")
		if s.MemoryLimit > 0 {
			limit = mebibytes(s.MemoryLimit)
		}
		lines = append(lines,
			line{"scan process", t.sprintf("scan process state", s.PID, s.Workers, mebibytes(s.MemoryBytes), limit)},
			line{"sandbox", sandbox})
		if s.Cgroup != nil {
			lines = append(lines, line{"cgroup", t.cgroup(*s.Cgroup)})
		}
	}
	if s.State != ScanOff && s.State != ScanUnknown {
		lines = append(lines, line{"scanned", t.sprintf("scan counts", s.Scanned, s.Known, s.Queued, s.Found, s.Failures, s.Dropped)})
	}
	if s.Quarantine != nil {
		lines = append(lines, line{"quarantine", t.quarantine(*s.Quarantine)})
	}
	for _, c := range s.Schedules {
		lines = append(lines, line{"schedule", t.schedule(c)})
	}
	for _, e := range s.Ends {
		lines = append(lines, line{"scan end", t.scanEnd(e)})
	}
	for _, file := range s.SetAside {
		lines = append(lines, line{"set aside", file})
	}
	return lines
}

func (t Text) schedule(c ScanSchedule) string {
	text := t.sprintf("schedule next", c.Name, c.On, t.time(c.Next))
	switch {
	case c.Running:
		return t.sprintf("schedule running", c.Name, c.On, t.time(c.Last.Began), t.time(c.Next))
	case c.Waiting:
		text = t.sprintf("schedule waiting", c.Name, c.On)
	}
	if c.Last != nil {
		text += t.sprintf("schedule last", t.scheduled(c.Last))
	}
	return text
}

func (t Text) scheduled(s *ScheduledScan) string {
	if s.Ended.IsZero() {
		return t.sprintf("scheduled interrupted", t.time(s.Began))
	}
	text := t.sprintf("scheduled", t.time(s.Began), s.Files, s.Found, s.Failures)
	if s.Error != "" {
		text += t.sprintf("scheduled error", s.Error)
	}
	return text
}

func (t Text) quarantine(q Quarantine) string {
	text := t.sprintf("quarantine state", q.Files, float64(q.Bytes)/(1<<20), q.MaxFiles, q.MaxBytes>>20)
	if q.Unfinished > 0 {
		text += t.sprintf("quarantine unfinished", q.Unfinished)
	}
	if q.Error != "" {
		text += t.sprintf("quarantine error", q.Error)
	}
	return text
}

func (t Text) cgroup(g Cgroup) string {
	if g.Error != "" || g.Path == "" {
		return t.sprintf("cgroup none", g.Error)
	}
	return t.sprintf("cgroup state", g.Path, mebibytes(g.MemoryLimit))
}

func (t Text) scanEnd(e ScanEnd) string {
	how := t.sprintf("end status", e.Status)
	switch {
	case e.MemoryLimit > 0:
		how = t.sprintf("end limit", mebibytes(e.MemoryLimit))
	case e.Hung:
		how = t.word("end hung")
	case e.Signal != "":
		how = e.Signal
	}
	text := t.sprintf("scan end state", t.time(e.Time), e.PID, how)
	if e.Memory > 0 {
		text += t.sprintf("end memory", mebibytes(e.Memory))
	}
	if len(e.Files) > 0 {
		text += t.sprintf("end files", strings.Join(e.Files, ", "))
	}
	return text
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
