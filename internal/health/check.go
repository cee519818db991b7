package health

import (
	"slices"

	"github.com/ampconnector/amp/internal/fault"
)

// rules are the faults that this version judges.
var rules = map[fault.ID]Rule{
	rule5{}.ID():  rule5{},
	rule6{}.ID():  rule6{},
	rule7{}.ID():  rule7{},
	rule8.ID():    rule8,
	rule9.ID():    rule9,
	rule11{}.ID(): rule11{},
	rule16{}.ID(): rule16{},
	rule18{}.ID(): rule18{},
	rule19{}.ID(): rule19{},
}

// Check judges all faults of the catalogue, in order of ID.
func Check(f *Facts) []fault.Finding {
	all := fault.All()
	findings := make([]fault.Finding, 0, len(all))
	for _, entry := range all {
		finding := judge(f, entry.ID)
		finding.ID = entry.ID
		if finding.Severity == "" {
			finding.Severity = entry.Severity
		}
		findings = append(findings, finding)
	}
	explain(findings)
	return findings
}

// CheckOne judges one fault; false if the catalogue has no such number. Its Cause is found by judging the others too.
func CheckOne(f *Facts, id fault.ID) (fault.Finding, bool) {
	for _, finding := range Check(f) {
		if finding.ID == id {
			return finding, true
		}
	}
	return fault.Finding{}, false
}

func judge(f *Facts, id fault.ID) fault.Finding {
	if rule, ok := rules[id]; ok {
		return rule.Check(f)
	}
	return fault.Finding{State: fault.Unknown, Reason: notJudged}
}

// notJudged is the reason of faults that the catalogue explains and no rule judges yet.
var notJudged = fault.Text{
	EN: "not judged by this version",
	JA: "このバージョンでは判定しません",
}

// explain names for each raised finding the first raised one that the catalogue gives as its cause, if it can be that of what the rule met.
func explain(findings []fault.Finding) {
	raised := map[fault.ID]*fault.Finding{}
	for i := range findings {
		if findings[i].State == fault.Raised {
			raised[findings[i].ID] = &findings[i]
		}
	}
	for _, finding := range raised {
		entry, _ := fault.Lookup(finding.ID)
		for _, cause := range entry.CausedBy {
			if other := raised[cause]; other != nil && explains(other, finding) {
				finding.Cause = cause
				break
			}
		}
	}
}

// explains reports whether one fault can be why a rule met the causes of another: mending it would otherwise change nothing of them.
func explains(cause, finding *fault.Finding) bool {
	switch cause.ID {
	case 8, 9: // a source that only does not see is not the degraded one for that, and carries no less
		return !slices.Equal(cause.Causes, []string{CauseBlind})
	case 11: // what the kernel refuses does not depend on headers
		return !slices.Contains(finding.Causes, CauseProgramsRefused)
	case 19: // a module is loaded without bpf(2)
		return !slices.Contains(finding.Causes, CauseNoModule)
	}
	return true
}
