package bench

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chart is a picture of one coverage's table: a panel a workload, a bar a monitor.
type chart struct {
	coverage string
	file     string // beside the document
	title    string
}

var charts = []chart{
	{"exec", "benchmarks-exec.svg", "What monitors add to programs that start"},
	{"file", "benchmarks-files.svg", "What monitors add to files that change"},
	{"network", "benchmarks-connect.svg", "What monitors add to connections"},
	{"all", "benchmarks-all.svg", "What monitors add when asked for all of it"},
}

// logFrom is how many times the largest bar of a panel has the smallest, from which on its scale is logarithmic: on a linear one the small
// ones could not be told apart.
const logFrom = 20

// Sizes of a chart, in pixels at which it is drawn.
const (
	chartWidth  = 860
	margin      = 20
	barsFrom    = 282 // left of them the monitors' names
	barsWidth   = 300
	titleHeight = 58
	panelHead   = 26
	rowHeight   = 24
	barHeight   = 15
	axisHeight  = 48
	lineHeight  = 17
)

// style has both looks with the background in them, since nobody knows what the picture stands on.
const style = `text{font:12px -apple-system,"Segoe UI","DejaVu Sans",Helvetica,Arial,sans-serif;fill:#24292f}
.card{fill:#fff;stroke:#d0d7de}.title{font-size:16px;font-weight:600}.panel{font-size:13px;font-weight:600}.dim,.tick{fill:#57606a}.tick{font-size:11px}
.grid{stroke:#d8dee4}.bar{fill:#8c959f}.own{fill:#0969da}.own-name{font-weight:600}.dim{font-weight:400}
.figures{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.card{fill:#0d1117;stroke:#30363d}.dim,.tick{fill:#9198a1}.grid{stroke:#30363d}.bar{fill:#6e7681}.own{fill:#4493f8}.figures{stroke:#0d1117}}
`

// bar is a monitor's figure in a panel.
type bar struct {
	Cost
	name string
	note string // what of the workload's events its log does not have
}

// panel is one workload's bars, and the scale that they have.
type panel struct {
	workload Workload
	bars     []bar
	scale    scale
}

// plot is the chart as SVG, nil where nothing of it was measured.
func (r Result) plot(c chart) []byte {
	panels := r.rounded().panels(c)
	if len(panels) == 0 {
		return nil
	}
	notes := r.notes()
	height := titleHeight + len(notes)*lineHeight + margin/2
	for _, p := range panels {
		height += p.height()
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escaped(c.title), escaped(style))
	fmt.Fprintf(&b, `<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`+"\n", chartWidth-1, height-1)
	text(&b, "title", "start", margin, 34, c.title)
	y := titleHeight
	for _, p := range panels {
		p.draw(&b, y)
		y += p.height()
	}
	for i, line := range notes {
		text(&b, "dim", "start", margin, y+i*lineHeight+8, line)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// notes say how the chart is to be read.
func (r Result) notes() []string {
	return []string{
		fmt.Sprintf("Processor time, in a guest that counts instructions; shorter is better. Measured on %s.", r.days()),
		"In brackets: part of what the operation takes without a monitor. Beside it: what the log has of the events, where that is not all.",
	}
}

// panels are those of which something was measured.
func (r Result) panels(c chart) []panel {
	covered, _ := coverage(c.coverage)
	var out []panel
	for _, name := range covered.Workloads {
		w, _ := workload(name)
		p := panel{workload: w}
		for _, m := range Monitors {
			if cost, ok := r.cost(m.Name, c.coverage, name); ok {
				p.bars = append(p.bars, bar{cost, strings.ReplaceAll(m.Title[c.coverage], "**", ""), r.notTold(m.Name, c.coverage, w)})
			}
		}
		if len(p.bars) > 0 {
			p.scale = scaleFor(p.bars)
			out = append(out, p)
		}
	}
	return out
}

// notTold says what of a workload's events a monitor's log does not have, since who tells less has less to do.
func (r Result) notTold(monitor, coverage string, w Workload) string {
	told, lost := 0, false
	for _, s := range r.Seen {
		if s.Monitor == monitor && s.Coverage == coverage && slices.Contains(w.Makes, s.Kind) && s.Shown > 0 {
			told++
			lost = lost || s.Shown < s.Produced
		}
	}
	var parts []string
	switch {
	case told == 0 && len(w.Makes) > 0:
		return "tells none"
	case told < len(w.Makes):
		parts = append(parts, fmt.Sprintf("tells %d of %d kinds", told, len(w.Makes)))
	}
	if lost {
		parts = append(parts, "loses some")
	}
	return strings.Join(parts, ", ")
}

func (p panel) height() int { return panelHead + len(p.bars)*rowHeight + axisHeight }

// draw draws the panel below y.
func (p panel) draw(b *bytes.Buffer, y int) {
	text(b, "panel", "start", margin, y+12, p.workload.Operation)
	top, bottom := y+panelHead, y+panelHead+len(p.bars)*rowHeight
	for _, t := range p.scale.ticks {
		x := barsFrom + p.scale.width(t)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, top, x, bottom+3)
		text(b, "tick", "middle", x, bottom+16, p.scale.tick(t))
	}
	unit := "added " + p.scale.unit + " an operation"
	if p.scale.log {
		unit += ", logarithmic scale"
	}
	text(b, "tick", "middle", barsFrom+barsWidth/2, bottom+31, unit)
	for i, c := range p.bars {
		c.draw(b, p.scale, top+i*rowHeight)
	}
}

// draw draws a row: the monitor's name, its bar, its figure.
func (c bar) draw(b *bytes.Buffer, s scale, y int) {
	class, nameClass := "bar", "name"
	if own(c.Monitor) {
		class, nameClass = "bar own", "own-name"
	}
	baseline := y + rowHeight/2 + 4
	text(b, nameClass, "end", barsFrom-8, baseline, c.name)
	width := s.width(c.Added)
	fmt.Fprintf(b, `<rect class="%s" data-monitor="%s" data-workload="%s" data-added-us="%g" x="%d" y="%.1f" width="%.1f" height="%d" rx="1.5"/>`+"\n",
		class, escaped(c.Monitor), escaped(c.Workload), c.Added, barsFrom, float64(y)+float64(rowHeight-barHeight)/2, width, barHeight)
	figures := fmt.Sprintf("%s %s (%s %%)", figure(c.Added/s.per, "+"), s.unit, figure(c.Percent, "+"))
	note := c.note
	if c.Added < c.Spread && c.Added <= 0 {
		note = "less than its rounds differ"
	}
	fmt.Fprintf(b, `<text class="figures %s" x="%.1f" y="%d">%s`, nameClass, barsFrom+width+7, baseline, escaped(figures))
	if note != "" {
		fmt.Fprintf(b, `<tspan class="dim" dx="7">%s</tspan>`, escaped(note))
	}
	b.WriteString("</text>\n")
}

// scale turns figures into lengths.
type scale struct {
	log      bool
	from, to float64 // in µs
	ticks    []float64
	unit     string
	per      float64 // µs of it
}

// scaleFor is the scale on which all bars can be read.
func scaleFor(bars []bar) scale {
	least, most := math.Inf(1), 0.0
	for _, c := range bars {
		if c.Added > 0 {
			least, most = min(least, c.Added), max(most, c.Added)
		}
	}
	s := scale{unit: "µs", per: 1}
	if most >= 10_000 {
		s.unit, s.per = "ms", 1000
	}
	switch {
	case most == 0: // nothing to show but the zero
		s.to, s.ticks = 1, []float64{0}
	case most > logFrom*least:
		s.log = true
		const room = 1.5 // so that the smallest bar has a length
		first, last := int(math.Floor(math.Log10(least/room))), int(math.Ceil(math.Log10(most)))
		for e := first; e <= last; e++ {
			s.ticks = append(s.ticks, math.Pow10(e))
		}
		s.from, s.to = math.Pow10(first), math.Pow10(last)
	default:
		step := roundStep(most)
		n := int(math.Ceil(most / step))
		for i := range n + 1 {
			s.ticks = append(s.ticks, float64(i)*step)
		}
		s.to = float64(n) * step
	}
	return s
}

// roundStep is 1, 2 or 5 times a power of ten, of which six at most reach up to most.
func roundStep(most float64) float64 {
	const ticks = 6
	power := math.Pow10(int(math.Floor(math.Log10(most / ticks))))
	for _, m := range []float64{1, 2, 5} {
		if m*power*ticks >= most {
			return m * power
		}
	}
	return 10 * power
}

// width is the length of a bar in pixels. What is below the scale has none.
func (s scale) width(us float64) float64 {
	if us <= s.from {
		return 0
	}
	if s.log {
		return barsWidth * math.Log(us/s.from) / math.Log(s.to/s.from)
	}
	return barsWidth * us / s.to
}

func (s scale) tick(us float64) string {
	return fmt.Sprintf("%.10g", us/s.per)
}

// text writes a line of text.
func text[X int | float64](b *bytes.Buffer, class, anchor string, x X, y int, s string) {
	fmt.Fprintf(b, `<text class="%s" text-anchor="%s" x="%.1f" y="%d">%s</text>`+"\n", class, anchor, float64(x), y, escaped(s))
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // writing to a builder does not fail
	return b.String()
}

// picture is the line of a document that shows a coverage's chart.
func (r Result) picture(coverage string) string {
	for _, c := range charts {
		if c.coverage == coverage && len(r.panels(c)) > 0 {
			return fmt.Sprintf("![%s](%s)\n\n", c.title, c.file)
		}
	}
	return ""
}

// WritePlots writes the charts into a folder.
func (r Result) WritePlots(dir string) error {
	for _, c := range charts {
		svg := r.plot(c)
		if svg == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, c.file), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}
