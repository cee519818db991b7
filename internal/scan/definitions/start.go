package definitions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/scan"
)

// Started is the set to start with, and what had to be done for it.
type Started struct {
	Set      Set
	Did      []string // one line each, in English, for the log; empty: nothing
	SetAside []Rejected
}

// Start makes sure that the live set can be used, at the start of the service: files that are not what was proven are set aside, and what is left, with the previous
// set's version of them, is tried and goes live; else the previous set does, else the built-in one. Files that the package has renewed are put into the set. Nothing is
// loaded where nothing is wrong.
//
// The set is there with an error too, as long as the package's own can be read: definitions on a disk that is full or broken do not keep the service from starting.
func (s *Store) Start(ctx context.Context) (Started, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		set, serr := s.usable()
		return Started{Set: set}, errors.Join(err, serr)
	}
	defer unlock()
	if s.targetOrNone(currentName) == "" {
		return s.startWithout()
	}
	m := &mending{store: s}
	set, err := s.Current()
	if err != nil {
		m.did("%s cannot be used: %v", s.path(currentName), err)
		err = m.fallBack(Set{})
		return m.started, err
	}
	bad, err := s.whole(set)
	switch {
	case err != nil:
		m.did("set %s cannot be read: %v", set.ID, err)
		err = m.fallBack(set)
	case len(bad) > 0:
		err = m.mend(ctx, set, bad, Rejected{})
	case s.outdated(set):
		err = m.renew(ctx, set)
	default:
		m.started.Set = set
	}
	return m.started, err
}

// startWithout starts where current names nothing: nothing has been taken in yet, or a link is there that leads nowhere.
func (s *Store) startWithout() (Started, error) {
	m := &mending{store: s}
	_, err := s.target(currentName)
	if isMissing(err) {
		m.started.Set, err = s.builtIn()
		return m.started, err
	}
	m.did("%v", err)
	err = m.fallBack(Set{})
	return m.started, err
}

// Failed is told the report of a service whose start with a set ended because of the definitions, although they had passed: what is to blame is set aside, and the set
// to start with instead is returned, by the rules of Start. Where another set has gone live meanwhile, that is returned.
func (s *Store) Failed(ctx context.Context, id string, report scan.Report) (Started, error) {
	if !againstDefinitions(report) {
		return Started{}, fmt.Errorf("the start ended at stage %s: %s: that is nothing that other definitions would mend", report.Stage, report.Error)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Started{}, err
	}
	defer unlock()
	set, err := s.Current()
	if err != nil {
		return Started{}, err
	}
	if set.ID != id {
		return Started{Set: set}, nil
	}
	if set.BuiltIn {
		return Started{Set: set}, fmt.Errorf("the built-in definitions of %s cannot be used: %s; install the package again", set.Dir, report.Error)
	}
	c := loadCheck(report)
	if f, ok := set.file(c.File); !ok || f.BuiltIn {
		c.File = ""
	}
	m := &mending{store: s}
	err = m.mend(ctx, set, []Check{c}, Rejected{Log: report.Error, Engine: report.Engine, Missed: true})
	return m.started, err
}

// usable is the best set that can be had without changing anything.
func (s *Store) usable() (Set, error) {
	for _, get := range []func() (Set, error){s.Current, s.Previous} {
		set, err := get()
		if err != nil {
			continue
		}
		if bad, err := s.whole(set); err == nil && len(bad) == 0 {
			return set, nil
		}
	}
	return s.builtIn()
}

// outdated reports whether the package has newer files of its own than a set.
func (s *Store) outdated(set Set) bool {
	own, err := s.builtIn()
	if err != nil {
		return false
	}
	var has []File
	for _, f := range set.Files {
		if f.BuiltIn {
			has = append(has, f)
		}
	}
	return idOf(has) != own.ID
}

// mending is one repair of the live set.
type mending struct {
	store   *Store
	started Started
}

func (m *mending) did(format string, args ...any) {
	m.started.Did = append(m.started.Did, fmt.Sprintf(format, args...))
}

// mend sets files of the live set aside and puts another set in its place. Records that cannot be written do not keep it from that.
func (m *mending) mend(ctx context.Context, set Set, bad []Check, r Rejected) error {
	s := m.store
	r.From = set.From
	var errs []error
	whole := false
	guilty := map[string]bool{}
	for _, c := range bad {
		r.Check = c
		var done Rejected
		var err error
		if c.File == "" {
			whole = true
			done, err = s.setSetAside(set, r)
		} else {
			guilty[c.File] = true
			done, err = m.setFileAside(set, c, r)
		}
		m.did("%s set aside: %s", set.ID, c)
		errs = append(errs, err)
		if done.Key != "" {
			m.started.SetAside = append(m.started.SetAside, done)
		}
	}
	reached("bad-set-aside")
	if !whole {
		done, err := m.remake(ctx, set, guilty)
		if done {
			return errors.Join(append(errs, err)...)
		}
		if err != nil {
			m.did("what is left of %s cannot be used: %v", set.ID, err)
		}
	}
	if err := m.fallBack(set); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// setFileAside sets a file of a live set aside, as it is now; one that is gone is only told.
func (m *mending) setFileAside(set Set, c Check, r Rejected) (Rejected, error) {
	files, _, err := readFiles(set.Dir)
	if err != nil {
		return Rejected{}, err
	}
	for _, f := range files {
		if f.Name == c.File {
			return m.store.setFileAside(set.Dir, f, r)
		}
	}
	return Rejected{}, nil
}

// remake makes a set of what is left of one and of what the previous one has of the rest, tries it, and makes it live. done reports whether that came about.
func (m *mending) remake(ctx context.Context, set Set, guilty map[string]bool) (done bool, err error) {
	s := m.store
	g, err := s.newStaging(s.path(stagingName), set.From)
	if err != nil {
		return false, err
	}
	defer g.remove()
	g.record = true
	for _, f := range set.Files {
		if f.BuiltIn {
			continue
		}
		same := false
		if !guilty[f.Name] {
			if same, err = g.copyProven(ctx, set.Dir, f); err != nil {
				return false, err
			}
		}
		if same {
			g.files = append(g.files, f)
		} else {
			g.drops = append(g.drops, drop{name: f.Name})
		}
	}
	if err := g.addBuiltIn(ctx); err != nil {
		return false, err
	}
	earlier, err := s.Previous()
	if err != nil {
		earlier = Set{}
	}
	t, err := g.prove(ctx, earlier, "")
	m.started.SetAside = append(m.started.SetAside, g.aside...)
	if err != nil || t.set.ID == "" {
		return false, err
	}
	if t.set.ID == s.targetOrNone(previousName) {
		return false, nil // nothing but the previous set: falling back to it is simpler
	}
	made, err := s.place(g, t.set)
	if err != nil {
		return false, err
	}
	if err := s.point(currentName, made.ID); err != nil {
		return false, err
	}
	reached("live")
	m.started.Set = made
	m.did("set %s is live: %d files of %s, %d of the previous set", made.ID, len(made.Files)-len(g.kept), set.ID, len(g.kept))
	return true, s.tidy()
}

// renew puts the package's files into the live set. Until that set is proven, the old one stays.
func (m *mending) renew(ctx context.Context, set Set) error {
	done, err := m.remake(ctx, set, nil)
	if !done {
		m.started.Set = set
	}
	return err
}

// fallBack makes the previous set live, or the built-in one where there is none that is whole; the set that was live is kept aside.
func (m *mending) fallBack(from Set) error {
	s := m.store
	previous, err := s.Previous()
	if err == nil && previous.ID != from.ID {
		if bad, err := s.whole(previous); err == nil && len(bad) == 0 {
			m.did("the previous set %s is live", previous.ID)
			m.started.Set = previous
			return errors.Join(s.renameLink(previousName, currentName), m.leave(from))
		}
		m.did("the previous set %s is not whole either", previous.ID)
	}
	own, err := s.builtIn()
	if err != nil {
		return err
	}
	m.did("the built-in definitions are live")
	m.started.Set = own
	return errors.Join(s.removeLink(currentName), m.leave(from))
}

// leave keeps the files of a set that is not live any more, so that nothing that a person put there is lost, and clears away the rest.
func (m *mending) leave(from Set) error {
	if from.ID == "" {
		return m.store.tidy()
	}
	files, _, err := readFiles(from.Dir)
	if err == nil && len(files) > 0 {
		kept := Set{ID: from.ID, Dir: from.Dir, Files: files}
		if _, known := m.store.refused(from.ID); !known {
			_, err = m.store.setSetAside(kept, Rejected{From: from.From, Check: Check{Step: StepWhole, Verdict: Failed, Read: "files of it were set aside, or could not be read", Expected: "a whole set"}})
		}
	}
	return errors.Join(err, m.store.tidy())
}
