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
