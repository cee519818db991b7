package bench

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxLine is the longest line that is read of a guest's output, in bytes.
const maxLine = 1 << 20

// Run is what one boot said.
type Run struct {
	Monitor  string
	Samples  []Sample
	Shown    []Shown
	Versions map[string]string // package, or kernel, to version
}

// Sample is one round of a workload.
type Sample struct {
	Coverage, Workload string
	Round              int           // from 1
	Busy               time.Duration // time in which the processor was not idle, until it came to rest
	Elapsed            time.Duration // how long the workload took
}

// Shown is how many events of a kind stand in the monitor's log.
type Shown struct {
	Coverage, Kind string
	Count          int
}

// Parse reads the output of run.sh. Lines that begin with none of its words are what other programs said, and left out.
func Parse(monitor string, r io.Reader) (Run, error) {
	run := Run{Monitor: monitor, Versions: map[string]string{}}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		if err := run.line(strings.Fields(s.Text())); err != nil {
			return Run{}, fmt.Errorf("output of %s, line %d: read %.100q: %w", monitor, n, s.Text(), err)
		}
	}
	return run, s.Err()
}

// line takes one line's words.
func (r *Run) line(words []string) error {
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "sample":
		return r.sample(words[1:])
	case "shown":
		return r.shown(words[1:])
	case "version":
		if len(words) != 3 {
			return fmt.Errorf("expected a name and a version")
		}
		r.Versions[words[1]] = words[2]
	}
	return nil
}

func (r *Run) sample(words []string) error {
	if len(words) != 5 {
		return fmt.Errorf("expected coverage, workload, round, busy ns, elapsed ns")
	}
	c, covered := coverage(words[0])
	w, worked := workload(words[1])
	round, err := strconv.Atoi(words[2])
	if !covered || !worked || err != nil || round < 1 || round > Rounds {
		return fmt.Errorf("expected a coverage, a workload and a round from 1 to %d", Rounds)
	}
	busy, err := nanoseconds(words[3])
	if err != nil {
		return err
	}
	elapsed, err := nanoseconds(words[4])
	if err != nil {
		return err
	}
	r.Samples = append(r.Samples, Sample{c.Name, w.Name, round, busy, elapsed})
	return nil
}

func (r *Run) shown(words []string) error {
	if len(words) != 3 {
		return fmt.Errorf("expected coverage, kind, count")
	}
	c, ok := coverage(words[0])
	if !ok || produced(c, words[1]) == 0 {
		return fmt.Errorf("expected a coverage and a kind that its workloads make")
	}
	n, err := strconv.ParseUint(words[2], 10, 31)
	if err != nil {
		return fmt.Errorf("expected a count: %w", err)
	}
	r.Shown = append(r.Shown, Shown{c.Name, words[1], int(n)})
	return nil
}

// nanoseconds reads a duration of less than a day.
func nanoseconds(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n > uint64(24*time.Hour) {
		return 0, fmt.Errorf("read %q, expected nanoseconds, less than a day", s)
	}
	return time.Duration(n), nil
}
