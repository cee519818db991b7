package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// shownOutput is how much of a failed test's output the report shows, in lines from its end.
const shownOutput = 40

// report writes the summary, last the failed tests by name, and reports whether a test failed.
func report(out io.Writer, all []result) bool {
	count := map[outcome]int{}
	for _, r := range all {
		count[r.Outcome]++
		if r.Outcome == failed {
			fmt.Fprintf(out, "FAILED   %s (%s)\n%s", r.name(), r.Took.Round(10*time.Millisecond), indent(lastLines(r.Output, shownOutput)))
		}
	}
	for _, r := range all {
		if r.Outcome == skipped {
			fmt.Fprintf(out, "skipped  %s: %s\n", r.name(), r.Reason)
		}
	}
	// Again, since a CI system may show only the last lines.
	for _, r := range all {
		if r.Outcome == failed {
			fmt.Fprintf(out, "failed   %s\n", r.name())
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", count[passed], count[failed], count[skipped])
	return count[failed] > 0
}

// name is the test's, with its package's without the module's own path.
func (r result) name() string {
	pkg := strings.TrimPrefix(r.Package, "github.com/ampconnector/amp/")
	if r.Test == "" {
		return pkg
	}
	return pkg + " " + r.Test
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	return "         " + strings.ReplaceAll(s, "\n", "\n         ") + "\n"
}

// The elements of JUnit XML, as CI systems read them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		took     time.Duration
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes the results to path, a suite for each package.
func writeJUnit(path string, all []result) error {
	var doc junitSuites
	index := map[string]int{}
	for _, r := range all {
		i, ok := index[r.Package]
		if !ok {
			i = len(doc.Suites)
			index[r.Package] = i
			doc.Suites = append(doc.Suites, junitSuite{Name: r.Package})
		}
		doc.Suites[i].add(r)
	}
	for _, s := range doc.Suites {
		doc.Tests, doc.Failures, doc.Skipped = doc.Tests+s.Tests, doc.Failures+s.Failures, doc.Skipped+s.Skipped
	}
	b, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(b, '\n')...), 0o644)
}

// add adds a result to its suite.
func (s *junitSuite) add(r result) {
	c := junitCase{Class: r.Package, Name: r.Test, Time: seconds(r.Took)}
	if c.Name == "" {
		c.Name = "package"
	}
	s.Tests++
	switch r.Outcome {
	case failed:
		s.Failures++
		c.Failure = &junitMessage{Message: "failed", Text: printable(r.Output)}
	case skipped:
		s.Skipped++
		c.Skipped = &junitMessage{Message: printable(r.Reason)}
	}
	s.Cases = append(s.Cases, c)
	s.took += r.Took
	s.Time = seconds(s.took)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// printable drops what XML cannot hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
