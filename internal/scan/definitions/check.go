package definitions

import "fmt"

// Step is one of the checks that a file or a set has to pass, in this order.
type Step string

const (
	StepName     Step = "name"
	StepFile     Step = "file"       // a regular file
	StepOwner    Step = "owner"      // of it, and who may write to it
	StepSize     Step = "size"       // in bytes
	StepRejected Step = "rejected"   // nothing that was set aside before
	StepHeader   Step = "header"     // of a container
	StepLevel    Step = "level"      // of the engine that a container is made for
	StepChecksum Step = "checksum"   // the MD5 in a container's header is that of its content
	StepSigned   Step = "signature"  // there is one, and it is right
	StepText     Step = "text"       // lines of text that look like entries
	StepWhole    Step = "whole"      // nothing of a set has changed since it was proven
	StepLoad     Step = "trial load" // the engine takes it
	StepSelfTest Step = "self-test"  // with it, the engine finds what it must and nothing else
	StepWithdraw Step = "rollback"   // nobody has asked for the set before
)

// Steps are all of them.
var Steps = []Step{
	StepName, StepFile, StepOwner, StepSize, StepRejected, StepHeader, StepLevel, StepChecksum, StepSigned, StepText, StepWhole, StepLoad, StepSelfTest, StepWithdraw,
}

// Verdict is what came of a check.
type Verdict string

const (
	Passed    Verdict = "passed"
	Failed    Verdict = "failed"
	NotJudged Verdict = "not judged" // Read says why not, or who judges it
)

// Check is one step's word on one file.
type Check struct {
	File     string  `json:"file"` // its name; empty: all of the set
	Step     Step    `json:"step"`
	Verdict  Verdict `json:"verdict"`
	Read     string  `json:"read"`
	Expected string  `json:"expected,omitempty"` // where it failed
}

// String is the check for a person: where, what was read, what was expected.
func (c Check) String() string {
	s := fmt.Sprintf("%s: %s", c.Step, c.Read)
	if c.File != "" {
		s = c.File + ": " + s
	}
	if c.Expected != "" {
		s += ", expected " + c.Expected
	}
	return s
}

// ofContent reports whether a failure is one of the bytes, which will be the same the next time. Who owns a file or what the policy allows may change.
func (c Check) ofContent() bool {
	switch c.Step {
	case StepHeader, StepChecksum, StepText, StepLoad, StepSelfTest:
		return c.Verdict == Failed
	}
	return false
}

// failure is the check that failed, if one did.
func failure(checks []Check) (Check, bool) {
	for _, c := range checks {
		if c.Verdict == Failed {
			return c, true
		}
	}
	return Check{}, false
}
