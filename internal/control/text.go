package control

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/terminal"
)

// Text writes a status for a person.
type Text struct {
	Language fault.Language
	Verbose  bool           // evidence too, and the faults that are not raised
	Zone     *time.Location // of the times; nil is the local one
}

// WriteStatus writes what ampcli status shows: the lines that administrators of this connector know, then one line a fault with what to do.
func (t Text) WriteStatus(w io.Writer, s Status) error {
	b := new(bytes.Buffer)
	for _, line := range t.summary(s) {
		fmt.Fprintf(b, "%s%s\n", padded(word(line.label, t.Language)+":"), terminal.Line(line.value))
	}
	t.faults(b, s)
	_, err := w.Write(b.Bytes())
	return err
}

// WriteFaults writes what ampcli faults shows: each fault of the catalogue that was judged, one line.
func (t Text) WriteFaults(w io.Writer, s Status) error {
	b := new(bytes.Buffer)
	if !s.Running {
		fmt.Fprintln(b, t.running(s))
	}
	if trouble := s.Ledger.trouble(); trouble != "" {
		fmt.Fprintln(b, terminal.Line(trouble))
	}
	for _, f := range s.Faults {
		t.fault(b, f)
	}
	if len(s.Faults) == 0 {
		fmt.Fprintln(b, t.word("not known"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteHistory writes what ampcli faults --history shows: one line a change, oldest first.
func (t Text) WriteHistory(w io.Writer, history []fault.Change) error {
	b := new(bytes.Buffer)
	for _, c := range history {
		f, _ := fault.Lookup(c.ID)
		fmt.Fprintln(b, t.sprintf("change", t.time(c.At), c.ID, t.word("state "+string(c.To)), terminal.Line(f.Name.In(t.Language)), terminal.Line(c.Reason.In(t.Language))))
	}
	if len(history) == 0 {
		fmt.Fprintln(b, t.word("none"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

type line struct{ label, value string }

func (t Text) summary(s Status) []line {
	lines := []line{
		{"status", t.running(s)},
		{"mode", t.word("mode " + string(s.Mode))},
		{"scan", t.scan(s.Scan)},
		{"last scan", t.lastScan(s.Scan)},
		{"policy", t.policy(s.Policy)},
		{"source", t.source(s.Source)},
		{"canary", t.canary(s.Canary)},
		{"events", t.loss(s.Source.Loss)},
	}
	if t.Verbose {
		lines = append(lines, t.more(s)...)
	} else {
		lines = append(lines, t.unwritten(s)...)
	}
	if trouble := s.Ledger.trouble(); trouble != "" {
		lines = append(lines, line{"ledger", trouble})
	}
	if s.Evaluated.IsZero() && len(s.Faults) == 0 {
		return append(lines, line{"faults", t.word("not known")})
	}
	return append(lines, line{"faults", t.counts(s.Raised())}, line{"fault ids", t.ids(s.Raised())})
}

func (t Text) log(l Log) string {
	text := t.sprintf("log state", l.File, l.Dropped)
	if l.Error != "" {
		text += ": " + l.Error
	}
	return text
}

// unwritten are the logs into which nothing gets at the moment, as on a full disk.
func (t Text) unwritten(s Status) []line {
	var lines []line
	if s.Log.Error != "" {
		lines = append(lines, line{"event log", t.log(s.Log)})
	}
	if s.Detections.Error != "" {
		lines = append(lines, line{"detections", t.log(s.Detections)})
	}
	return lines
}

// more is what only a verbose status has. What a daemon does not know yet that has only just been started is left out.
func (t Text) more(s Status) []line {
	var lines []line
	if s.Log.File != "" {
		lines = append(lines, line{"event log", t.log(s.Log)}, line{"detections", t.log(s.Detections)})
	}
	if s.Kernel != "" {
		lines = append(lines, line{"kernel", s.Kernel}, line{"connector", s.Connector})
	}
	lines = append(lines, line{"evaluated", t.time(s.Evaluated)})
	lines = append(lines, t.moreOfScan(s.Scan)...)
	if l := s.Load; l != nil {
		lines = append(lines, line{"load", t.sprintf("load state", t.word("level "+l.Level), l.Produced, l.Handled, l.Shed, l.Lost)})
		lines = append(lines, line{"limits", t.sprintf("load limits", 100*l.Limits.Queue, l.Limits.Sustained, 100*l.Limits.Loss, l.Limits.Losing, l.Limits.Persist)})
	}
	if l := s.Source.Layouts; l != nil {
		lines = append(lines, line{"layouts", t.layouts(*l)})
	}
	if s.Source.QueueSize > 0 {
		lines = append(lines, line{"queue", t.sprintf("queue state", s.Source.QueueBytes, s.Source.QueueSize)})
	}
	for _, k := range s.Source.Kinds {
		lines = append(lines, line{"kind", t.sprintf("kind count", k.Kind, k.Handled, k.Excluded, k.Merged, k.Shed, k.Lost)})
	}
	for _, spot := range s.Source.BlindSpots {
		lines = append(lines, line{"blind spot", spot.In(t.Language)})
	}
	for _, n := range s.Source.Neighbours {
		lines = append(lines, line{"neighbour", n.In(t.Language)})
	}
	return lines
}

func (t Text) layouts(l Layouts) string {
	if l.Cause == "" {
		key := "layouts from"
		if l.Pending {
			key = "layouts pending"
		}
		return t.sprintf(key, l.Origin, l.From)
	}
	text := t.sprintf("layouts none", l.From, l.Cause)
	for _, more := range []string{l.Wanted, l.Detail} {
		if more != "" {
			text += ": " + more
		}
	}
	if l.Log != "" {
		text += " (" + l.Log + ")"
	}
	return text
}

func (t Text) running(s Status) string {
	if !s.Running {
		return t.sprintf("not running", t.time(s.Evaluated))
	}
	return t.sprintf("running", s.PID, s.Version, t.time(s.Started))
}

// lastScan is when a file was scanned last, for whatever reason, and what came of the last scan by a schedule.
func (t Text) lastScan(s Scan) string {
	text := t.time(s.Last)
	if c := s.lastScheduled(); c != nil {
		text += t.sprintf("last schedule", c.Name, t.scheduled(c.Last))
	}
	return text
}

func (t Text) policy(p Policy) string {
	switch {
	case p.File == "":
		return t.word("not known")
	case !p.OK && !p.Previous:
		return t.sprintf("policy bad", p.Error)
	}
	file := p.File
	if p.Default {
		file = t.sprintf("policy default", p.File)
	}
	text := t.sprintf("policy sound", file, t.onOff(p.MonitorFiles), t.onOff(p.MonitorNetwork))
	if p.Exclusions.Count > 0 {
		text += t.sprintf("exclusions", p.Exclusions.Count)
	}
	if p.Previous {
		text = t.sprintf("policy previous", p.Error, text)
	}
	if p.Exclusions.Error != "" {
		text += t.sprintf("exclusions bad", p.Exclusions.Error)
	}
	return text
}

func (t Text) onOff(on bool) string {
	if on {
		return t.word("on")
	}
	return t.word("off")
}

func (t Text) source(s Source) string {
	reason := fault.Text{EN: s.Reason, JA: s.ReasonJA}.In(t.Language)
	if s.Error != "" {
		reason = strings.TrimPrefix(reason+": "+s.Error, ": ")
	}
	if s.Name == "none" {
		return t.sprintf("source none", reason)
	}
	name := s.Name
	if s.Hooks != "" {
		name += " (" + s.Hooks + ")"
	}
	text := t.sprintf("source since", name, t.time(s.Since), reason)
	if s.Reduced {
		text += t.word("source reduced")
	}
	return text
}

func (t Text) canary(c *Canary) string {
	switch {
	case c == nil:
		return t.word("canary none")
	case c.Skipped:
		return t.sprintf("canary skipped", t.time(c.Time), c.Detail)
	case c.OK:
		return t.sprintf("canary ok", t.time(c.Time), c.Detail)
	}
	return t.sprintf("canary bad", t.time(c.Time), c.Detail)
}

func (t Text) loss(l Loss) string {
	s := t.sprintf("events count", l.Handled, l.Lost, l.Percent)
	if l.Error != "" {
		s += ": " + l.Error
	}
	return s
}

// counts is e.g. "1 Critical, 2 Minor".
func (t Text) counts(raised []Fault) string {
	var parts []string
	for _, severity := range []fault.Severity{fault.Critical, fault.Major, fault.Minor} {
		n := 0
		for _, f := range raised {
			if f.Severity == severity {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, t.word(string(severity))))
		}
	}
	if len(parts) == 0 {
		return t.word("none")
	}
	return strings.Join(parts, ", ")
}

func (t Text) ids(raised []Fault) string {
	var ids []string
	for _, f := range raised {
		ids = append(ids, fmt.Sprint(f.ID))
	}
	if len(ids) == 0 {
		return t.word("none")
	}
	return strings.Join(ids, ", ")
}

// faults writes a line for each fault that a person should know of: the raised ones, those that are about to be, all when verbose.
func (t Text) faults(b *bytes.Buffer, s Status) {
	for _, f := range s.Faults {
		if f.Counts == fault.Raised || f.Pending || t.Verbose {
			t.fault(b, f)
		}
	}
}

func (t Text) fault(b *bytes.Buffer, f Fault) {
	name, reason := terminal.Line(f.Name.In(t.Language)), terminal.Line(f.Reason.In(t.Language))
	switch {
	case f.Counts == fault.Raised:
		fmt.Fprintln(b, t.sprintf("fault line", f.ID, t.word(string(f.Severity)), name, reason))
		t.advice(b, f)
	case f.Pending:
		fmt.Fprintln(b, t.sprintf("pending", f.ID, t.time(f.Since), name, reason))
	default:
		fmt.Fprintln(b, t.sprintf("quiet", f.ID, t.word("state "+string(f.State)), name, reason))
	}
	if t.Verbose {
		t.evidence(b, f.Evidence)
	}
}

// advice says what to do about a raised fault.
func (t Text) advice(b *bytes.Buffer, f Fault) {
	if f.Cause != 0 {
		fmt.Fprintf(b, "  %s\n", t.sprintf("caused", f.Cause, f.Cause))
	} else {
		fmt.Fprintf(b, "  %s\n", t.sprintf("to do", f.ID))
	}
	if f.Doubt.EN != "" {
		fmt.Fprintf(b, "  %s\n", t.sprintf("doubt", terminal.Line(f.Doubt.In(t.Language))))
	}
	if !f.Gone.IsZero() {
		fmt.Fprintf(b, "  %s\n", t.sprintf("gone", t.time(f.Gone)))
	}
}

func (t Text) evidence(b *bytes.Buffer, evidence []fault.Evidence) {
	for _, e := range evidence {
		e = e.In(t.Language)
		text := t.sprintf("evidence", terminal.Line(e.What), terminal.Line(e.Read), terminal.Line(e.From))
		if e.Expected != "" {
			text += t.sprintf("expected", terminal.Line(e.Expected))
		}
		fmt.Fprintf(b, "    %s\n", text)
	}
}

func (l Ledger) trouble() string {
	if l.Error != "" {
		return l.Error
	}
	return l.Damage
}

func (t Text) word(key string) string { return word(key, t.Language) }

func (t Text) sprintf(key string, args ...any) string {
	return fmt.Sprintf(t.word(key), args...)
}

func (t Text) time(at time.Time) string {
	if at.IsZero() {
		return t.word("never")
	}
	zone := t.Zone
	if zone == nil {
		zone = time.Local
	}
	return at.In(zone).Format("2006-01-02 15:04:05 MST")
}
