// Package remediate holds the remedies: one file a fault, finding in, plan out. It makes no change of its own: a plan is composed
// of the installer's steps, run by the installer's engine, and proven by the predicate that made the finding. What a person
// reads of it, text in English and Japanese and JSON, is rendered here too.
package remediate

import (
	"fmt"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// ErrNoRemedy is in the chain of the error of Plan when this version cannot mend the fault.
var ErrNoRemedy = errNoRemedy.wrong()

// remedy is what is known about mending one fault.
type remedy struct {
	plan     func(*health.Facts, fault.Finding) []installer.Item // nil: no remedy in this version
	sources  []fault.Text                                        // what the diagnosis reads
	commands []string                                            // what a person could type instead
}

// remedies has an entry for each fault of the catalogue.
var remedies = map[fault.ID]remedy{
	5:  fault5,
	6:  fault6,
	7:  fault7,
	8:  fault8,
	9:  fault9,
	11: fault11,
	16: fault16,
	18: fault18,
	19: fault19,
}

// Plan is what makes a raised finding's condition go away. The plan of a fault that is not raised is empty.
func Plan(f *health.Facts, finding fault.Finding) (installer.Plan, error) {
	p := installer.Plan{Name: fmt.Sprintf("fault-%d", finding.ID)}
	r := remedies[finding.ID]
	if r.plan == nil {
		return p, ErrNoRemedy
	}
	if finding.State == fault.Raised {
		p.Items = manualLast(r.plan(f, finding))
	}
	return p, nil
}

// thenLook lets the connector look at the host anew, where a step changes something.
func thenLook(f *health.Facts, items []installer.Item) []installer.Item {
	if steps(items) == 0 {
		return items
	}
	return append(items, installer.ServiceItems(f, installer.Restart)...)
}

// steps counts what a program can do.
func steps(items []installer.Item) (n int) {
	for _, item := range items {
		if item.Step != nil {
			n++
		}
	}
	return n
}

// manualLast puts what only a person can do behind the steps, and keeps the order otherwise.
func manualLast(items []installer.Item) []installer.Item {
	var steps, manual []installer.Item
	for _, item := range items {
		if item.Step == nil {
			manual = append(manual, item)
		} else {
			steps = append(steps, item)
		}
	}
	return append(steps, manual...)
}
