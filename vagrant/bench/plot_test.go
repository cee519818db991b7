package bench

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Where the figures and what is made of them are kept.
const (
	keptResult   = "../../docs/benchmarks.json"
	keptDocument = "../../docs/benchmarks.md"
)

// drawn is a bar as the SVG has it.
type drawn struct {
	class string
	added string
	width float64
}

// parsePlot reads an SVG strictly: its bars by workload and monitor, and all of its text.
func parsePlot(t *testing.T, svg []byte) (bars map[[2]string]drawn, texts []string) {
	t.Helper()
	var picture struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
		Title   string   `xml:"title"`
		Rects   []struct {
			Class    string  `xml:"class,attr"`
			Monitor  string  `xml:"data-monitor,attr"`
			Workload string  `xml:"data-workload,attr"`
			Added    string  `xml:"data-added-us,attr"`
			X        float64 `xml:"x,attr"`
			Width    float64 `xml:"width,attr"`
		} `xml:"rect"`
		Texts []struct {
			Text string `xml:",chardata"`
			Note string `xml:"tspan"`
		} `xml:"text"`
	}
	if err := xml.Unmarshal(svg, &picture); err != nil {
		t.Fatalf("%v in %s", err, svg)
	}
	if picture.Title == "" {
		t.Error("the picture has no title")
	}
	bars = map[[2]string]drawn{}
	for _, r := range picture.Rects {
		if r.Monitor != "" {
			bars[[2]string{r.Workload, r.Monitor}] = drawn{r.Class, r.Added, r.Width}
		}
		if r.Width < 0 || r.X+r.Width > chartWidth || r.Monitor != "" && r.Width > barsWidth {
			t.Errorf("%s, %s: a bar of %g pixels from %g", r.Workload, r.Monitor, r.Width, r.X)
		}
	}
	for _, x := range picture.Texts {
		texts = append(texts, strings.TrimSpace(x.Text+" "+x.Note))
	}
	return bars, texts
}

// TestPlotsShowTheFigures looks for each figure of the kept result, and that a larger one has the longer bar.
func TestPlotsShowTheFigures(t *testing.T) {
	r, err := ReadResult(keptResult)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range charts {
		bars, texts := parsePlot(t, r.plot(c))
		all := "\n" + strings.Join(texts, "\n") + "\n"
		n := 0
		for _, cost := range r.Costs {
			if cost.Coverage != c.coverage {
				continue
			}
			n++
			bar, ok := bars[[2]string{cost.Workload, cost.Monitor}]
			if added, err := strconv.ParseFloat(bar.added, 64); !ok || err != nil || added != cost.Added {
				t.Errorf("%s: %s, %s: bar %+v, expected one of %g µs", c.file, cost.Workload, cost.Monitor, bar, cost.Added)
			}
			if shown := strings.Contains(bar.class, "own"); shown != own(cost.Monitor) {
				t.Errorf("%s: %s has the class %q", c.file, cost.Monitor, bar.class)
			}
			if (bar.width > 0) != (cost.Added > 0) {
				t.Errorf("%s: %s, %s: %g pixels for %g µs", c.file, cost.Workload, cost.Monitor, bar.width, cost.Added)
			}
			if part := " (" + figure(cost.Percent, "+") + " %)"; !strings.Contains(all, part) {
				t.Errorf("%s: no text has %q", c.file, part)
			}
			for _, other := range r.Costs {
				with := bars[[2]string{other.Workload, other.Monitor}]
				if other.Coverage == c.coverage && other.Workload == cost.Workload && cost.Added > max(other.Added, 0)*1.1 && bar.width <= with.width {
					t.Errorf("%s, %s: %s has %g pixels for %g µs, %s %g for %g", c.file, cost.Workload, cost.Monitor, bar.width, cost.Added, other.Monitor, with.width, other.Added)
				}
			}
		}
		if n == 0 || n != len(bars) {
			t.Errorf("%s: %d bars, expected %d", c.file, len(bars), n)
		}
	}
}

// TestDocumentIsCurrent holds what people read to the figures that are kept.
func TestDocumentIsCurrent(t *testing.T) {
	const cure = "; go run ./vagrant/cmd/lab bench --draw writes it anew"
	r, err := ReadResult(keptResult)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range charts {
		kept, err := os.ReadFile(filepath.Join(filepath.Dir(keptDocument), c.file))
		if err != nil || !bytes.Equal(kept, r.plot(c)) {
			t.Errorf("%s is not what the figures give: %v%s", c.file, err, cure)
		}
	}
	text, err := os.ReadFile(keptDocument)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), begins)
	generated, _, _ := strings.Cut(rest, ends)
	if strings.TrimSpace(generated) != strings.TrimSpace(r.Markdown()) {
		t.Errorf("the tables of %s are not what the figures give%s", filepath.Base(keptDocument), cure)
	}
	for _, c := range charts {
		if !strings.Contains(generated, "("+c.file+")") {
			t.Errorf("%s does not show %s", filepath.Base(keptDocument), c.file)
		}
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		name   string
		added  []float64
		log    bool
		labels string
		unit   string
	}{
		{"near one another", []float64{10, 150}, false, "0 50 100 150", "µs"},
		{"20 times", []float64{10, 200}, false, "0 50 100 150 200", "µs"},
		{"more than that", []float64{10, 201}, true, "1 10 100 1000", "µs"},
		{"small ones", []float64{0.02, 0.9}, true, "0.01 0.1 1", "µs"},
		{"large ones", []float64{90_000, 130_000}, false, "0 50 100 150", "ms"},
		{"less than nothing", []float64{-5, 12}, false, "0 2 4 6 8 10 12", "µs"},
		{"nothing", []float64{-5, 0}, false, "0", "µs"},
	} {
		var bars []bar
		for _, added := range c.added {
			bars = append(bars, bar{Cost: Cost{Added: added}})
		}
		s := scaleFor(bars)
		var labels []string
		for _, tick := range s.ticks {
			labels = append(labels, s.tick(tick))
		}
		if got := strings.Join(labels, " "); s.log != c.log || got != c.labels || s.unit != c.unit {
			t.Errorf("%s: logarithmic %t, %q in %s, expected %t, %q in %s", c.name, s.log, got, s.unit, c.log, c.labels, c.unit)
		}
		for _, added := range c.added {
			if w := s.width(added); w < 0 || w > barsWidth || (w > 0) != (added > 0) {
				t.Errorf("%s: %g pixels for %g µs", c.name, w, added)
			}
		}
	}
}

func TestPlotSaysWhatIsNotTold(t *testing.T) {
	r := Result{
		Date: "2026-01-02 <&>",
		Costs: []Cost{
			{Monitor: Own, Coverage: "file", Workload: "files", Added: 80, Percent: 57},
			{Monitor: "auditd", Coverage: "file", Workload: "files", Added: 4900, Percent: 3500},
			{Monitor: "bcc", Coverage: "file", Workload: "files", Added: -3, Percent: -2, Spread: 7},
			{Monitor: "fatrace", Coverage: "file", Workload: "files", Added: 173, Percent: 124},
		},
		Seen: []Seen{
			{Own, "file", "create", 10, 10}, {Own, "file", "write", 10, 10}, {Own, "file", "rename", 10, 10}, {Own, "file", "delete", 10, 10},
			{"auditd", "file", "create", 10, 10}, {"auditd", "file", "rename", 10, 9}, {"auditd", "file", "delete", 10, 0},
		},
	}
	_, texts := parsePlot(t, r.plot(charts[1]))
	all := "\n" + strings.Join(texts, "\n") + "\n"
	for _, want := range []string{
		"\n+80.0 µs (+57.0 %)\n", "\n+4900 µs (+3500 %) tells 2 of 4 kinds, loses some\n", "\n-3.00 µs (-2.00 %) less than its rounds differ\n",
		"\n+173 µs (+124 %) tells none\n", "logarithmic scale\n", "Measured on 2026-01-02 <&>.",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no text %q in %s", want, all)
		}
	}
	if svg := r.plot(charts[0]); svg != nil {
		t.Errorf("nothing was measured, and %s was drawn", svg)
	}
	dir := t.TempDir()
	if err := r.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 || files[0].Name() != "benchmarks-files.svg" {
		t.Errorf("%v were written", files)
	}
}

// TestChartsAreOfCoverages: each coverage but that of the bare host has one.
func TestChartsAreOfCoverages(t *testing.T) {
	if len(charts) != len(Coverages)-1 {
		t.Errorf("%d charts, expected %d", len(charts), len(Coverages)-1)
	}
	for i, c := range charts {
		if Coverages[i+1].Name != c.coverage {
			t.Errorf("%s is of %q, expected %q", c.file, c.coverage, Coverages[i+1].Name)
		}
	}
}
