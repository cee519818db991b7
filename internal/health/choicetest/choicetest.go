// Package choicetest has hosts as they were recorded, each with the event source that is chosen for it and the faults that follow: one table, for the
// tests of the choice, of the rules and of the remedies, and for docs/sources.md, which is made of it.
package choicetest

import (
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
)

// Host is a host, and what has to come of it.
type Host struct {
	Name    string             // for people: what is special about it
	Source  monitor.SourceName // that is chosen
	Instead monitor.SourceName // that monitors because Source cannot be opened, "" where it can
	Reason  string             // of the choice, word for word
	// Findings are those that are not clear: a fault that has none here is clear.
	Findings []Finding
	Guest    string // the script of the lab in which this is so for real, as "positive/00-install-deb"
	Recorded string // where there is none: what it was recorded from

	user   bool // who asks is an ordinary user
	change []func(*health.Facts)
}

// Finding is what a rule has to say.
type Finding struct {
	ID       fault.ID
	State    fault.State
	Severity fault.Severity // of one that is raised
	Cause    fault.ID       // the raised fault that explains it
}

// Facts are those of the host, as the daemon gathers them, or another program. They are made anew by each call.
func (h *Host) Facts(daemon bool) *health.Facts {
	f := debian12()
	f.Daemon = daemon && !h.user
	for _, change := range h.change {
		change(f)
	}
	f.Monitoring.Value.Chosen = h.Source
	f.Monitoring.Value.Source = h.Monitors()
	if f.Monitoring.Value.Source != monitor.NoSource {
		f.Monitoring.Value.Hooks = hooks[f.Monitoring.Value.Source]
		f.Monitoring.Value.Proved, f.Monitoring.Value.Detail = true, "exec of process 4711"
	}
	return f
}

// Monitors is the source that is open there.
func (h *Host) Monitors() monitor.SourceName {
	if h.Instead != "" {
		return h.Instead
	}
	return h.Source
}

// Raised are the faults that are raised.
func (h *Host) Raised() (ids []fault.ID) {
	for _, finding := range h.Findings {
		if finding.State == fault.Raised {
			ids = append(ids, finding.ID)
		}
	}
	return ids
}

// hooks are what the sources hang on.
var hooks = map[monitor.SourceName]string{
	monitor.EBPFKernelBTF: "fentry", monitor.EBPFExternalBTF: "kprobe", monitor.EBPFHeaders: "kprobe", monitor.Modules: "kprobe",
	monitor.Degraded: "fanotify, process connector and sock_diag",
}

// critical, major and the others are the findings of the table.
func critical(ids ...fault.ID) []Finding { return all(fault.Raised, fault.Critical, ids) }
func major(ids ...fault.ID) []Finding    { return all(fault.Raised, fault.Major, ids) }
func unknown(ids ...fault.ID) []Finding  { return all(fault.Unknown, "", ids) }
func cannot(ids ...fault.ID) []Finding   { return all(fault.NotApplicable, "", ids) }

func all(state fault.State, severity fault.Severity, ids []fault.ID) []Finding {
	var findings []Finding
	for _, id := range ids {
		findings = append(findings, Finding{ID: id, State: state, Severity: severity})
	}
	return findings
}

// because has findings explained by another fault.
func because(cause fault.ID, findings []Finding) []Finding {
	for i := range findings {
		findings[i].Cause = cause
	}
	return findings
}

// met is what the daemon tells of a source that it could not open.
func met(err string, l control.Layouts) func(*health.Facts) {
	return func(f *health.Facts) { f.Monitoring.Value.Error, f.Monitoring.Value.Layouts = err, l }
}
