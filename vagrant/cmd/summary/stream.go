package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

type outcome string

const (
	passed  outcome = "passed"
	failed  outcome = "failed"
	skipped outcome = "skipped"
)

// result is what came of one test. A test that has subtests is none, unless it failed by itself; nor is a package, unless it failed
// without a test that failed, as when it did not compile.
type result struct {
	Package string
	Test    string // empty for a package
	Outcome outcome
	Took    time.Duration
	Output  string // what the test printed
	Reason  string // of a skip
}

// maxOutput bounds what is kept of one test's output, in bytes: the end, where the failure is told.
const maxOutput = 64 << 10

// run is one package's run being read.
type run struct {
	tests []*result // in the order in which they began; tests[0] is the package
	index map[string]*result
}

// parse reads a stream. A test that began and did not end has failed: its program died.
func parse(name string, r io.Reader) ([]result, error) {
	var order []*run
	runs := map[string]*run{}
	get := func(pkg string) *run {
		if runs[pkg] == nil {
			runs[pkg] = &run{index: map[string]*result{}}
			order = append(order, runs[pkg])
			runs[pkg].test(pkg, "")
		}
		return runs[pkg]
	}
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e event
			if jerr := json.Unmarshal(line, &e); jerr != nil {
				return nil, fmt.Errorf("%s: line %d: %w", name, n, jerr)
			}
			pkg := e.Package
			if pkg == "" {
				pkg, _, _ = strings.Cut(e.ImportPath, " ")
			}
			get(pkg).take(pkg, e)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", name, n, err)
		}
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("%s: no events: expected the output of go test -json", name)
	}
	var all []result
	for _, r := range order {
		all = append(all, r.results()...)
	}
	return all, nil
}

// test returns the record of a test, begun now if it is new.
func (r *run) test(pkg, test string) *result {
	if t, ok := r.index[test]; ok {
		return t
	}
	t := &result{Package: pkg, Test: test}
	r.index[test] = t
	r.tests = append(r.tests, t)
	return t
}

// take adds an event.
func (r *run) take(pkg string, e event) {
	t := r.test(pkg, e.Test)
	switch e.Action {
	case "output", "build-output":
		t.Output += e.Output
		if over := len(t.Output) - maxOutput; over > 0 {
			t.Output = t.Output[over:]
		}
	case "pass", "bench":
		t.Outcome = passed
	case "fail", "build-fail":
		t.Outcome = failed
	case "skip":
		t.Outcome = skipped
		t.Reason = skipReason(t.Output)
	}
	if e.Elapsed > 0 {
		t.Took = time.Duration(e.Elapsed * float64(time.Second))
	}
}

// results are the tests of the package that count.
func (r *run) results() []result {
	var out []result
	anyFailed := false
	for _, t := range r.tests[1:] {
		if t.Outcome == "" {
			t.Outcome = failed
			t.Output += "The test began and did not end.\n"
		}
		anyFailed = anyFailed || t.Outcome == failed
		if !r.isParent(t) {
			out = append(out, *t)
		}
	}
	if p := r.tests[0]; !anyFailed && (p.Outcome == failed || p.Outcome == "") {
		p.Outcome = failed
		out = append(out, *p)
	}
	return out
}

// isParent reports whether t is only the sum of its subtests.
func (r *run) isParent(t *result) bool {
	has := func(want outcome) bool {
		return slices.ContainsFunc(r.tests[1:], func(s *result) bool {
			return strings.HasPrefix(s.Test, t.Test+"/") && (want == "" || s.Outcome == want)
		})
	}
	if t.Outcome == failed {
		return has(failed)
	}
	return has("")
}

// skipReason is what a test said before it was skipped, without the lines of the test framework and the place of the call.
func skipReason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if place, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(place, ".go:") {
			line = rest
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
