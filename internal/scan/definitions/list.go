package definitions

import "errors"

// Listing is all that the store holds.
type Listing struct {
	Live     Set        `json:"live"`
	Previous *Set       `json:"previous,omitempty"` // nil: none, or the built-in one
	BuiltIn  Set        `json:"built_in"`
	Incoming *Sighting  `json:"incoming,omitempty"` // nil: there is no such directory
	Fresh    bool       `json:"fresh"`              // what is incoming has not been taken in
	Rejected []Rejected `json:"rejected,omitempty"` // the newest first
}

// List reads what the store holds, for anyone who may read it; what cannot be read is in the error, and the rest is there.
func (s *Store) List() (Listing, error) {
	var l Listing
	var errs [5]error
	l.Live, errs[0] = s.Current()
	if p, err := s.Previous(); err == nil {
		l.Previous = &p
	} else if s.targetOrNone(previousName) != "" || !isMissing(err) {
		errs[1] = err
	}
	l.BuiltIn, errs[2] = s.builtIn()
	if l.BuiltIn.ID == l.Live.ID {
		errs[2] = nil // told once
	}
	l.Rejected, errs[3] = s.Rejected()
	if sight, err := Incoming(s.IncomingDir()); err == nil {
		l.Incoming = &sight
		l.Fresh = sight.Fingerprint != "" && !s.seen(sight)
	} else if !isMissing(err) {
		errs[4] = err
	}
	return l, errors.Join(errs[:]...)
}
