package bench

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The generated part of a document stands between these lines.
const (
	begins = "<!-- overhead: written by lab bench -->\n"
	ends   = "<!-- overhead ends -->\n"
)

// decimals of what is kept: a figure with more would say more than was measured.
const decimals = 1000

// rounded is the result with the decimals that are kept.
func (r Result) rounded() Result {
	r.Costs = slices.Clone(r.Costs)
	for i := range r.Costs {
		c := &r.Costs[i]
		for _, f := range []*float64{&c.Bare, &c.Added, &c.Percent, &c.Waits, &c.Spread} {
			*f = math.Round(*f*decimals) / decimals
		}
	}
	return r
}

// Markdown is the result as tables, one for each coverage, with their charts. It says what the file of the result says, and so is made of
// the same decimals.
func (r Result) Markdown() string {
	r = r.rounded()
	var b strings.Builder
	for _, c := range Coverages {
		r.table(&b, c)
	}
	fmt.Fprintf(&b, "Measured on %s with", r.days())
	sep := " "
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "%s%s %s", sep, name, r.Versions[name])
		sep = ", "
	}
	b.WriteString(".\n")
	return b.String()
}

// table writes the table of a coverage: a line a monitor, a column a workload.
func (r Result) table(b *strings.Builder, c Coverage) {
	var lines strings.Builder
	for _, m := range Monitors {
		if line := r.line(m, c); line != "" {
			lines.WriteString(line)
		}
	}
	if lines.Len() == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n\n| |", captions[c.Name])
	for _, w := range c.Workloads {
		op, _ := workload(w)
		fmt.Fprintf(b, " %s |", op.Operation)
	}
	fmt.Fprintf(b, " in the log |\n|---|%s---|\n%s\n", strings.Repeat("---|", len(c.Workloads)), lines.String())
	b.WriteString(r.picture(c.Name))
}

// captions say what stands in the table of a coverage.
var captions = map[string]string{
	None:      "**The bare host** in µs an operation, and the same measured once more in the same boot, less the first: what cannot be told from nothing.",
	"exec":    "**Programs that start**: added µs an operation.",
	"file":    "**Files that change**: added µs an operation. opensnoop tells every file that is opened and nothing else; fatrace tells those too.",
	"network": "**Connections**: added µs an operation.",
	"all":     "**All of it**: added µs an operation. This connector tells more kinds than the others here: ends of programs and flows, mappings, modules, credentials and so on.",
}

// line is a monitor's line, or nothing.
func (r Result) line(m Monitor, c Coverage) string {
	var cells []string
	for _, w := range c.Workloads {
		if cost, ok := r.cost(m.Name, c.Name, w); ok {
			cells = append(cells, cost.cell())
		}
	}
	if len(cells) == 0 {
		return ""
	}
	title := m.Title[c.Name]
	if c.Name == None {
		title = "no monitor"
	}
	return fmt.Sprintf("| %s | %s | %s |\n", title, strings.Join(cells, " | "), r.inLog(m.Name, c.Name))
}

// cell is a figure as people read it.
func (c Cost) cell() string {
	if c.Coverage == None {
		return fmt.Sprintf("%s, then %s", figure(c.Bare, ""), figure(c.Added, "+"))
	}
	return fmt.Sprintf("%s (%s %%)", figure(c.Added, "+"), figure(c.Percent, "+"))
}

// figure has three digits that count, and a sign where asked.
func figure(f float64, sign string) string {
	d := 0
	for limit := 100.0; d < 2 && math.Abs(f) < limit; limit /= 10 {
		d++
	}
	s := fmt.Sprintf("%.*f", d, f)
	if sign != "" && f >= 0 {
		s = sign + s
	}
	return s
}

// inLog tells how much of what was made the log has, kind by kind.
func (r Result) inLog(monitor, coverage string) string {
	var parts []string
	for _, s := range r.Seen {
		if s.Monitor != monitor || s.Coverage != coverage {
			continue
		}
		switch {
		case s.Shown == s.Produced:
			parts = append(parts, s.Kind+" all")
		case s.Shown == 0:
			parts = append(parts, s.Kind+" none")
		default:
			parts = append(parts, fmt.Sprintf("%s %d of %d", s.Kind, s.Shown, s.Produced))
		}
	}
	return strings.Join(parts, ", ")
}

// WriteInto replaces the generated part of a document, and writes the charts that it shows beside it.
func (r Result) WriteInto(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(old, []byte(begins))
	_, after, ended := bytes.Cut(rest, []byte(ends))
	if !found || !ended {
		return fmt.Errorf("%s: expected the lines %q and %q", path, strings.TrimSpace(begins), strings.TrimSpace(ends))
	}
	text := slices.Concat(before, []byte(begins), []byte("\n"+r.Markdown()+"\n"), []byte(ends), after)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return r.WritePlots(filepath.Dir(path))
}
