package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ScanGuest is the row of the matrix in which scans are measured.
const ScanGuest = "debian12-scanbench"

// ScanSides are those that scan.sh measures, a boot each.
var ScanSides = []string{"clamd", "connector"}

// Scans is what scan.sh measured. Times are in ns of guest time, one instruction each.
type Scans struct {
	Date      string            `json:"date"`
	Versions  map[string]string `json:"versions"`
	Figures   []ScanFigure      `json:"figures"`
	Counts    []ScanCount       `json:"counts"`
	Latencies []ScanLatency     `json:"latencies"`
}

// ScanFigure is one round of a piece of work.
type ScanFigure struct {
	Side  string `json:"side"` // who did it: clamd-cache-on, clamd-cache-off, clamonacc, connector, …
	What  string `json:"what"` // cold, again, compile
	Round int    `json:"round"`
	Busy  int64  `json:"busy_ns"`
}

// ScanCount is something that was counted.
type ScanCount struct {
	Side   string `json:"side"`
	What   string `json:"what"`
	Number int64  `json:"number"`
}

// ScanLatency is how long it took from the close of a program of 1 MB to the verdict on it.
type ScanLatency struct {
	Side   string `json:"side"`
	While  string `json:"while"` // idle, scan
	P50    int64  `json:"p50_ns"`
	P99    int64  `json:"p99_ns"`
	Number int    `json:"number"`
}

var scanWord = regexp.MustCompile(`^[A-Za-z0-9-]{1,40}$`)

// ParseScans reads the output of scan.sh. Lines that begin with none of its words are what other programs said, and left out.
func ParseScans(r io.Reader) (Scans, error) {
	s := Scans{Versions: map[string]string{}}
	latencies := map[[2]string][]int64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if err := s.line(strings.Fields(lines.Text()), latencies); err != nil {
			return Scans{}, fmt.Errorf("output of scan.sh, line %d: read %.100q: %w", n, lines.Text(), err)
		}
	}
	for key, all := range latencies {
		slices.Sort(all)
		s.Latencies = append(s.Latencies, ScanLatency{key[0], key[1], quantile(all, 50), quantile(all, 99), len(all)})
	}
	slices.SortFunc(s.Latencies, func(a, b ScanLatency) int { return strings.Compare(a.Side+a.While, b.Side+b.While) })
	return s, lines.Err()
}

// quantile is the smallest number that so many percent of them do not exceed.
func quantile(sorted []int64, percent int) int64 { return sorted[(len(sorted)*percent+99)/100-1] }

// fields is how many words follow the first, by that.
var fields = map[string]int{"figure": 5, "count": 3, "latency": 3, "version": 2}

// line takes one line's words.
func (s *Scans) line(words []string, latencies map[[2]string][]int64) error {
	if len(words) == 0 || fields[words[0]] == 0 {
		return nil
	}
	if len(words) != fields[words[0]]+1 {
		return fmt.Errorf("expected %d words behind %q", fields[words[0]], words[0])
	}
	if words[0] == "version" {
		s.Versions[words[1]] = words[2]
		return nil
	}
	if !scanWord.MatchString(words[1]) || !scanWord.MatchString(words[2]) {
		return fmt.Errorf("expected names of letters, digits and hyphens")
	}
	number, err := nanoseconds(words[len(words)-1])
	if err != nil {
		return err
	}
	switch words[0] {
	case "count":
		s.Counts = append(s.Counts, ScanCount{words[1], words[2], int64(number)})
	case "latency":
		key := [2]string{words[1], words[2]}
		latencies[key] = append(latencies[key], int64(number))
	case "figure":
		round, err := strconv.Atoi(words[3])
		if err != nil || round < 1 {
			return fmt.Errorf("expected a round from 1")
		}
		busy, err := nanoseconds(words[4])
		if err != nil {
			return err
		}
		s.Figures = append(s.Figures, ScanFigure{words[1], words[2], round, int64(busy)})
	}
	return nil
}

// busy are the rounds of a figure.
func (s *Scans) busy(side, what string) (all []int64) {
	for _, f := range s.Figures {
		if f.Side == side && f.What == what {
			all = append(all, f.Busy)
		}
	}
	return all
}

// mean is that of a figure's rounds, 0 if it has none.
func (s *Scans) mean(side, what string) float64 {
	all := s.busy(side, what)
	if len(all) == 0 {
		return 0
	}
	var sum int64
	for _, n := range all {
		sum += n
	}
	return float64(sum) / float64(len(all))
}

func (s *Scans) count(side, what string) (int64, bool) {
	for _, c := range slices.Backward(s.Counts) {
		if c.Side == side && c.What == what {
			return c.Number, true
		}
	}
	return 0, false
}

// Markdown is the result as tables.
func (s *Scans) Markdown() string {
	var b strings.Builder
	s.throughput(&b)
	s.compiles(&b)
	s.memory(&b)
	for _, l := range s.Latencies {
		fmt.Fprintf(&b, "From the close of a program of 1 MB to the verdict on it, %s, %s: p50 %.0f ms, p99 %.0f ms of guest time, %d of them.\n\n",
			l.Side, map[string]string{"idle": "nothing beside", "scan": "while a tree is scanned on demand"}[l.While], float64(l.P50)/1e6, float64(l.P99)/1e6, l.Number)
	}
	fmt.Fprintf(&b, "Measured on %s with kernel %s, clamav-daemon %s, libclamav12 %s.\n", s.Date, s.Versions["kernel"], s.Versions["clamav-daemon"], s.Versions["libclamav12"])
	return b.String()
}

// throughput is a table of what a tree costs.
func (s *Scans) throughput(b *strings.Builder) {
	files, _ := s.count("tree", "files")
	bytes, _ := s.count("tree", "bytes")
	fmt.Fprintf(b, "**A tree of %d files, %.1f MB**, in thousand million instructions a round; × is throughput beside `clamdscan` cold.\n\n", files, float64(bytes)/1e6)
	b.WriteString("| | cold | | found | unchanged, again | |\n|---|---|---|---|---|---|\n")
	base := s.mean("clamd-cache-on", "cold")
	for _, side := range []struct{ name, title string }{
		{"clamd-cache-on", "`clamdscan --multiscan --fdpass`"}, {"clamd-cache-off", "the same, `DisableCache yes`"}, {"connector", "**amp-connector**, `ampcli scan`"},
	} {
		if found, measured := s.count(side.name, "cold-found"); measured {
			fmt.Fprintf(b, "| %s | %s | %s | %d | %s | %s |\n", side.title, rounds(s.busy(side.name, "cold")), ratio(base, s.mean(side.name, "cold")), found,
				rounds(s.busy(side.name, "again")), ratio(base, s.mean(side.name, "again")))
		}
	}
	b.WriteString("\n")
}

func rounds(all []int64) string {
	var parts []string
	for _, n := range all {
		parts = append(parts, figure(float64(n)/1e9, ""))
	}
	return strings.Join(parts, ", ")
}

func ratio(base, it float64) string {
	if it == 0 || base == 0 {
		return ""
	}
	return figure(base/it, "") + " ×"
}

// compiles is a table of what a compile costs.
func (s *Scans) compiles(b *strings.Builder) {
	bare := s.mean("bare", "compile")
	if bare == 0 {
		return
	}
	fmt.Fprintf(b, "**make of five C files**, ms of guest time; bare: %s.\n\n| | rounds | added |\n|---|---|---|\n", milliseconds(s.busy("bare", "compile")))
	for _, side := range []struct{ name, title string }{
		{"clamonacc", "`clamonacc --fdpass` and `clamd`, that folder alone"},
		{"connector-without-scans", "**amp-connector**, every event of the host, no scans"},
		{"connector", "**amp-connector**, every event and what is written, run or mapped scanned"},
	} {
		if s.mean(side.name, "compile") == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", side.title, milliseconds(s.busy(side.name, "compile")), figure((s.mean(side.name, "compile")-bare)/1e6, "+")+" ("+figure(100*(s.mean(side.name, "compile")/bare-1), "+")+" %)")
	}
	b.WriteString("\n")
}

func milliseconds(all []int64) string {
	var parts []string
	for _, n := range all {
		parts = append(parts, figure(float64(n)/1e6, ""))
	}
	return strings.Join(parts, ", ")
}

// memory is a table of what is resident.
func (s *Scans) memory(b *strings.Builder) {
	b.WriteString("**Memory**, resident, MB.\n\n| | definitions loaded | after the scans | at most |\n|---|---|---|---|\n")
	for _, side := range []struct{ name, title string }{{"clamd", "`clamd`"}, {"connector", "`ampscansvc`"}} {
		if _, measured := s.count(side.name, "loaded-resident-KiB"); !measured {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", side.title, s.megabytes(side.name, "loaded-resident-KiB"), s.megabytes(side.name, "scanned-resident-KiB"), s.megabytes(side.name, "scanned-peak-KiB"))
	}
	fmt.Fprintf(b, "| `ampscansvc`, all of them while other definitions are taken in and a scan goes on | | | %s |\n", s.megabytes("connector", "switch-peak-KiB"))
	fmt.Fprintf(b, "| `ampdaemon` | | %s | %s |\n\n", s.megabytes("connector", "daemon-resident-KiB"), s.megabytes("connector", "daemon-peak-KiB"))
}

func (s *Scans) megabytes(side, what string) string {
	n, ok := s.count(side, what)
	if !ok {
		return ""
	}
	return figure(float64(n)*1024/1e6, "")
}

// The generated part of a document stands between these lines.
const (
	scansBegin = "<!-- scans: written by lab scans -->\n"
	scansEnd   = "<!-- scans end -->\n"
)

// WriteInto replaces the generated part of a document.
func (s *Scans) WriteInto(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(old, []byte(scansBegin))
	_, after, ended := bytes.Cut(rest, []byte(scansEnd))
	if !found || !ended {
		return fmt.Errorf("%s: expected the lines %q and %q", path, strings.TrimSpace(scansBegin), strings.TrimSpace(scansEnd))
	}
	text := slices.Concat(before, []byte(scansBegin), []byte("\n"+s.Markdown()+"\n"), []byte(scansEnd), after)
	return os.WriteFile(path, text, 0o644)
}

// ReadScans reads a file of results.
func ReadScans(path string) (Scans, error) {
	f, err := os.Open(path)
	if err != nil {
		return Scans{}, err
	}
	defer f.Close()
	var s Scans
	d := json.NewDecoder(io.LimitReader(f, maxResult))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Scans{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Write writes the result to a file.
func (s *Scans) Write(path string) error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
