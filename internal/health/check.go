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
	raised := map[fault.ID]bool{}
	for _, finding := range findings {
		raised[finding.ID] = finding.State == fault.Raised
	}
	for i := range findings {
		if findings[i].State != fault.Raised {
			continue
		}
		entry, _ := fault.Lookup(findings[i].ID)
		for _, cause := range entry.CausedBy {
			if raised[cause] && explains(cause, findings[i].Causes) {
				findings[i].Cause = cause
				break
			}
		}
	}
}

// explains reports whether a fault can be why a rule met these causes: mending it would otherwise change nothing of them.
func explains(cause fault.ID, met []string) bool {
	switch cause {
	case 11: // what the kernel refuses does not depend on headers
		return !slices.Contains(met, CauseProgramsRefused)
	case 19: // a module is loaded without bpf(2)
		return !slices.Contains(met, CauseNoModule)
	}
	return true
}
