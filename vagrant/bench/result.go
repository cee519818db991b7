package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// maxResult is the largest file of results that is read, in bytes.
const maxResult = 1 << 20

// Result is what was measured.
type Result struct {
	Date     string            `json:"date"`              // of the day, as 2006-01-02
	Renewed  map[string]string `json:"renewed,omitempty"` // the day by monitor, for those that were measured later
	Versions map[string]string `json:"versions"`
	Costs    []Cost            `json:"costs"`
	Seen     []Seen            `json:"seen"`
}

// Cost is what a monitor added to a workload. Times are in µs of guest time, 1000 instructions each, for one operation.
type Cost struct {
	Monitor  string  `json:"monitor"`
	Coverage string  `json:"coverage"`
	Workload string  `json:"workload"`
	Bare     float64 `json:"bare_us"`   // the same host in the same boot before the monitor was there: median
	Added    float64 `json:"added_us"`  // by the monitor and its reader, in all: median less Bare
	Percent  float64 `json:"percent"`   // Added of Bare
	Waits    float64 `json:"waits_us"`  // what the workload itself takes longer
	Spread   float64 `json:"spread_us"` // largest less smallest round, the bare ones' or the monitor's
}

// Seen is how many of the events that the workloads of a coverage made stand in the monitor's log.
type Seen struct {
	Monitor  string `json:"monitor"`
	Coverage string `json:"coverage"`
	Kind     string `json:"kind"`
	Produced int    `json:"produced"`
	Shown    int    `json:"shown"`
}

// Add puts the costs of a boot into the result.
func (r *Result) Add(run Run) error {
	if r.Versions == nil {
		r.Versions = map[string]string{}
	}
	maps.Copy(r.Versions, run.Versions)
	for _, c := range Coverages {
		for _, w := range Workloads {
			if err := r.addCost(run, c, w); err != nil {
				return err
			}
		}
	}
	for _, s := range run.Shown {
		c, _ := coverage(s.Coverage)
		r.Seen = append(r.Seen, Seen{run.Monitor, s.Coverage, s.Kind, produced(c, s.Kind), s.Count})
	}
	return nil
}

// addCost adds one figure, if the boot has it. The bare monitor's rounds stand behind the bare host's.
func (r *Result) addCost(run Run, c Coverage, w Workload) error {
	bare, with := run.rounds(None, w.Name), run.rounds(c.Name, w.Name)
	switch {
	case c.Name == None && run.Monitor != Bare || len(with) == 0:
		return nil
	case c.Name == None && len(bare) == 2*Rounds:
		bare, with = bare[:Rounds], bare[Rounds:]
	}
	if len(bare) != Rounds || len(with) != Rounds {
		return fmt.Errorf("%s, %s, %s: %d rounds and %d bare ones, expected %d each", run.Monitor, c.Name, w.Name, len(with), len(bare), Rounds)
	}
	one := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(w.Count) }
	base := median(bare, busy)
	added := median(with, busy) - base
	r.Costs = append(r.Costs, Cost{
		Monitor: run.Monitor, Coverage: c.Name, Workload: w.Name,
		Bare: one(base), Added: one(added), Percent: 100 * float64(added) / float64(base),
		Waits:  one(median(with, elapsed) - median(bare, elapsed)),
		Spread: one(max(spread(bare), spread(with))),
	})
	return nil
}

// rounds are the samples of a workload.
func (r Run) rounds(coverage, workload string) []Sample {
	var out []Sample
	for _, s := range r.Samples {
		if s.Coverage == coverage && s.Workload == workload {
			out = append(out, s)
		}
	}
	return out
}

func busy(s Sample) time.Duration    { return s.Busy }
func elapsed(s Sample) time.Duration { return s.Elapsed }

// median is the middle one of samples, of which there is at least one.
func median(samples []Sample, of func(Sample) time.Duration) time.Duration {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// spread is the largest busy time of samples less the smallest.
func spread(samples []Sample) time.Duration {
	least, most := samples[0].Busy, samples[0].Busy
	for _, s := range samples {
		least, most = min(least, s.Busy), max(most, s.Busy)
	}
	return most - least
}

// Keep takes what was measured earlier of the monitors that this result does not have. It refuses where that was with another kernel.
func (r *Result) Keep(earlier Result) error {
	kept := Result{Date: earlier.Date, Renewed: map[string]string{}, Versions: map[string]string{}}
	maps.Copy(kept.Versions, earlier.Versions)
	maps.Copy(kept.Versions, r.Versions)
	complete := true
	for _, m := range Monitors {
		from := *r
		if !r.has(m.Name) {
			from = earlier
			complete = complete && !earlier.has(m.Name)
		}
		if day := from.day(m.Name); from.has(m.Name) && day != earlier.Date {
			kept.Renewed[m.Name] = day
		}
		kept.Costs = append(kept.Costs, of(from.Costs, m.Name, func(c Cost) string { return c.Monitor })...)
		kept.Seen = append(kept.Seen, of(from.Seen, m.Name, func(s Seen) string { return s.Monitor })...)
	}
	if complete {
		return nil // none had to be kept
	}
	if was, is := earlier.Versions["kernel"], r.Versions["kernel"]; was != is {
		return fmt.Errorf("measured with kernel %s, and earlier with %s: all monitors have to be measured anew", is, was)
	}
	*r = kept
	return nil
}

// of are the figures of one monitor.
func of[T any](all []T, monitor string, its func(T) string) []T {
	return slices.DeleteFunc(slices.Clone(all), func(f T) bool { return its(f) != monitor })
}

func (r Result) has(monitor string) bool {
	return slices.ContainsFunc(r.Costs, func(c Cost) bool { return c.Monitor == monitor })
}

// day is when a monitor was measured.
func (r Result) day(monitor string) string { return cmp.Or(r.Renewed[monitor], r.Date) }

// days says when it was measured.
func (r Result) days() string {
	text := r.Date
	for _, m := range Monitors {
		if day := r.Renewed[m.Name]; day != "" {
			text += fmt.Sprintf(" (%s on %s)", m.Name, day)
		}
	}
	return text
}

// cost returns the figure of a monitor.
func (r Result) cost(monitor, coverage, workload string) (Cost, bool) {
	i := slices.IndexFunc(r.Costs, func(c Cost) bool {
		return c.Monitor == monitor && c.Coverage == coverage && c.Workload == workload
	})
	if i < 0 {
		return Cost{}, false
	}
	return r.Costs[i], true
}

// ReadResult reads a file of results.
func ReadResult(path string) (Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	var r Result
	d := json.NewDecoder(io.LimitReader(f, maxResult))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Result{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Write writes the result to a file, one figure a line, so that a change of the baseline can be read.
func (r Result) Write(path string) error {
	b, err := json.MarshalIndent(r.rounded(), "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
