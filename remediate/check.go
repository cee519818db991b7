package remediate

import (
	"context"
	"slices"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// Check diagnoses and changes nothing.
func (t *Tool) Check(ctx context.Context, s Selection) int {
	f, err := t.gather(ctx)
	if err != nil {
		return t.usage(err)
	}
	matters := judged(f, s.IDs)
	if t.JSON {
		t.report(f, matters)
	} else {
		t.hostLine(f)
		for _, m := range matters {
			t.faultLine(m.finding)
			if !s.All {
				t.evidence(m.finding)
			}
		}
		t.hint(matters)
	}
	return checkCode(matters, t.badInput(f))
}

// checkCodes are the exit codes of one fault.
var checkCodes = map[fault.State]int{
	fault.Clear: ExitGone, fault.NotApplicable: ExitGone, fault.Raised: ExitThere, fault.Unknown: ExitUnknown,
}

// checkCode is the code of them all: what is present outweighs an input that is bad, and that what is not known.
func checkCode(matters []*matter, bad bool) int {
	code := ExitGone
	if bad {
		code = ExitUsage
	}
	for _, m := range matters {
		code = Heavier(code, m.code)
	}
	return code
}

// diagnose judges the selected faults, in the order in which they are given.
func diagnose(f *health.Facts, ids []fault.ID) []*matter {
	findings := health.Check(f)
	var matters []*matter
	for _, id := range ids {
		i := slices.IndexFunc(findings, func(x fault.Finding) bool { return x.ID == id })
		matters = append(matters, &matter{finding: findings[i]})
	}
	return matters
}

// judged is diagnose with the judgement as the last word.
func judged(f *health.Facts, ids []fault.ID) []*matter {
	matters := diagnose(f, ids)
	for _, m := range matters {
		m.settle(checkCodes[m.finding.State], m.finding.Reason)
	}
	return matters
}

func (t *Tool) reportOf(f *health.Facts, matters []*matter) Report {
	r := Report{Host: hostReport(f), Faults: []FaultReport{}}
	for _, m := range matters {
		r.Faults = append(r.Faults, t.faultReport(m))
	}
	return r
}

func (t *Tool) report(f *health.Facts, matters []*matter) {
	_ = writeJSON(t.Stdout, t.reportOf(f, matters)) // whose Stdout it is sees what could not be written, as of text
}
