package control

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// metric is one family of metrics.
type metric struct {
	name, kind, help string
	samples          []sample
}

type sample struct {
	labels []string // name, value, name, value…
	value  float64
}

// unknown is a value that nobody knows: neither yes nor no.
var unknown = math.NaN()

// WriteMetrics writes a status as metrics in the text format of Prometheus, version 0.0.4, as the textfile collector of
// node_exporter reads it. Counters begin anew when the event source is opened anew. What is not known is NaN.
func WriteMetrics(w io.Writer, s Status) error {
	var b strings.Builder
	for _, m := range s.metrics() {
		m.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Status) metrics() []metric {
	all := []metric{
		gauge("amp_up", "Whether the daemon answers.", yes(s.Running)),
		gauge("amp_evaluated_time_seconds", "When the faults were last judged, since 1970.", seconds(s.Evaluated)),
		{"amp_mode", "gauge", "What is monitored: by a full source, by the degraded one, or nothing.", oneOf("mode", string(s.Mode), string(Normal), string(Degraded), string(NoMode))},
		s.faults(),
	}
	if !s.Running {
		return all // the rest is the daemon's to know
	}
	all = append(all, []metric{
		{"amp_build_info", "gauge", "The daemon's version and its host's kernel; always 1.", []sample{{[]string{"version", s.Version, "kernel", s.Kernel}, 1}}},
		gauge("amp_start_time_seconds", "When the daemon started, since 1970.", seconds(s.Started)),
		{"amp_source_info", "gauge", "The event source in use; always 1.", []sample{{[]string{"source", s.Source.Name, "hooks", s.Source.Hooks}, 1}}},
		s.events(), s.lost(),
		gauge("amp_queue_bytes", "Events that wait for the daemon.", float64(s.Source.QueueBytes)),
		gauge("amp_queue_size_bytes", "Events that can wait at most.", float64(s.Source.QueueSize)),
		{"amp_log_dropped_total", "counter", "Events that were handled and could not be written to the event log.", []sample{{nil, float64(s.Log.Dropped)}}},
		{"amp_detections_dropped_total", "counter", "Detections that could not be written to the log of detections.", []sample{{nil, float64(s.Detections.Dropped)}}},
		gauge("amp_policy_ok", "Whether the policy file is in force.", yes(s.Policy.OK)),
		gauge("amp_exclusions", "Exclusions in force.", float64(s.Policy.Exclusions.Count)),
	}...)
	if s.Load != nil {
		all = append(all, metric{"amp_load", "gauge", "How much is monitored under the load that there is.", oneOf("level", s.Load.Level, loadLevels...)})
	}
	return append(append(all, s.canary()...), s.Scan.metrics()...)
}

// events are what became of all that happened but for what was lost.
func (s Status) events() metric {
	m := metric{name: "amp_events_total", kind: "counter", help: "Events by what became of them, since the source was opened."}
	for _, k := range s.Source.Kinds {
		for _, o := range []struct {
			outcome string
			n       uint64
		}{{"handled", k.Handled}, {"excluded", k.Excluded}, {"merged", k.Merged}, {"shed", k.Shed}} {
			m.samples = append(m.samples, sample{[]string{"kind", k.Kind, "outcome", o.outcome}, float64(o.n)})
		}
	}
	return m
}

func (s Status) lost() metric {
	m := metric{name: "amp_events_lost_total", kind: "counter",
		help: "Events that were lost: for a full queue, since the kernel did not tell, or since what it told could not be read."}
	for _, k := range s.Source.Kinds {
		for _, c := range []struct {
			cause string
			n     uint64
		}{{"full", k.Full}, {"missed", k.Missed}, {"damaged", k.Damaged}} {
			m.samples = append(m.samples, sample{[]string{"kind", k.Kind, "cause", c.cause}, float64(c.n)})
		}
	}
	return m
}

func (s Status) faults() metric {
	m := metric{name: "amp_fault", kind: "gauge", help: "Whether a fault is raised; NaN where that is not known."}
	for _, f := range s.Faults {
		value := unknown
		switch f.Counts {
		case fault.Raised:
			value = 1
		case fault.Clear, fault.NotApplicable:
			value = 0
		}
		m.samples = append(m.samples, sample{[]string{"id", strconv.Itoa(int(f.ID)), "severity", string(f.Severity), "name", f.Name.EN}, value})
	}
	return m
}

// canary are none where none was sent.
func (s Status) canary() []metric {
	c := s.Canary
	if c == nil {
		return nil
	}
	ok := yes(c.OK)
	if c.Skipped {
		ok = unknown
	}
	return []metric{
		gauge("amp_canary_ok", "Whether the events of the last canary arrived.", ok),
		gauge("amp_canary_time_seconds", "When the last canary was sent, since 1970.", seconds(c.Time)),
		gauge("amp_canary_delay_seconds", "From what the canary did to its last event.", c.Milliseconds/1000),
	}
}

// loadLevels are the names of all levels (monitor.Level).
var loadLevels = []string{"normal", "reduced", "critical"}

func gauge(name, help string, value float64) metric {
	return metric{name, "gauge", help, []sample{{nil, value}}}
}

// oneOf is 1 for the value that is, and 0 for the others.
func oneOf(label, is string, values ...string) []sample {
	var samples []sample
	for _, v := range values {
		samples = append(samples, sample{[]string{label, v}, yes(v == is)})
	}
	return samples
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a time since 1970; one that is not known is NaN.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return unknown
	}
	return float64(t.UnixMilli()) / 1000
}

// labelValue escapes what the format gives a meaning.
var labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (m metric) write(b *strings.Builder) {
	if len(m.samples) == 0 {
		return
	}
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
	for _, s := range m.samples {
		b.WriteString(m.name)
		for i := 0; i+1 < len(s.labels); i += 2 {
			open := byte(',')
			if i == 0 {
				open = '{'
			}
			b.WriteByte(open)
			fmt.Fprintf(b, `%s="%s"`, s.labels[i], labelValue.Replace(strings.ToValidUTF8(s.labels[i+1], "\uFFFD")))
		}
		if len(s.labels) > 0 {
			b.WriteByte('}')
		}
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(s.value, 'f', -1, 64))
		b.WriteByte('\n')
	}
}
