package fault

// State is what a predicate says about a fault on a host. It is never reported as Clear when something that it depends on could not be read.
type State string

const (
	Raised        State = "raised"
	Clear         State = "clear"
	Unknown       State = "unknown"
	NotApplicable State = "not-applicable"
)

// Evidence is one value that was read from the host and that the diagnosis rests on.
type Evidence struct {
	What     string `json:"what"`     // what the value is, e.g. "login shell of cisco-amp-scan-svc"
	Read     string `json:"read"`     // the value as read, or the error that came instead
	From     string `json:"from"`     // file, command or kernel interface
	Expected string `json:"expected"` // what it should have been; empty where the value is only context

	JA EvidenceWords `json:"ja,omitzero"` // in Japanese; see In
}

// EvidenceWords are the words of a piece of evidence in another language than English. One that is empty is as in English: a path, a
// number, a name.
type EvidenceWords struct {
	What     string `json:"what,omitempty"`
	Read     string `json:"read,omitempty"`
	Expected string `json:"expected,omitempty"`
}

// NewEvidence is a piece of evidence in the languages of the product. A zero expected means that the value is only context.
func NewEvidence(what, read Text, from string, expected Text) Evidence {
	e := Evidence{What: what.EN, Read: read.EN, From: from, Expected: expected.EN}
	e.JA = EvidenceWords{What: what.translated(), Read: read.translated(), Expected: expected.translated()}
	return e
}

// In gives the evidence in one language alone, in the fields that are otherwise English.
func (e Evidence) In(l Language) Evidence {
	e.What = Text{e.What, e.JA.What}.In(l)
	e.Read = Text{e.Read, e.JA.Read}.In(l)
	e.Expected = Text{e.Expected, e.JA.Expected}.In(l)
	e.JA = EvidenceWords{}
	return e
}

// Finding is the answer of one predicate.
type Finding struct {
	ID       ID         `json:"id"`
	State    State      `json:"state"`
	Severity Severity   `json:"severity"`         // the catalogue's, unless the predicate says otherwise (fault 18)
	Reason   Text       `json:"reason"`           // one sentence, for a person
	Evidence []Evidence `json:"evidence"`         // never empty when State is Raised
	Cause    ID         `json:"cause,omitempty"`  // the raised fault that explains this one, 0 if none
	Causes   []string   `json:"causes,omitempty"` // machine-readable causes, a predicate's own list of constants; remedies switch on these
}
