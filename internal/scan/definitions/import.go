package definitions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/scan"
)

// Errors of Import.
var (
	ErrNothing = errors.New("there is no definition file to take in")
)

// Result is what came of a change.
type Result string

const (
	Live      Result = "live"      // another set is live
	Unchanged Result = "unchanged" // what was taken in is live already
	Kept      Result = "kept"      // it did not pass; the set that was live is still
)

// Outcome is what an import or a rollback has done.
type Outcome struct {
	Result   Result      `json:"result"`
	Set      Set         `json:"set"`                 // that is live now
	Before   string      `json:"before,omitempty"`    // ID of the one that was
	Reason   string      `json:"reason,omitempty"`    // why nothing went live
	Checks   []Check     `json:"checks,omitempty"`    // of all files, then of the set
	SetAside []Rejected  `json:"set_aside,omitempty"` // what failed by its content
	Earlier  []string    `json:"earlier,omitempty"`   // files that the set before had, in the place of those that failed
	Other    []string    `json:"other,omitempty"`     // names in the directory that are no definitions, or belong to none
	Report   scan.Report `json:"-"`
}

// Import takes the definitions of a directory in: copies, checks and tries them, and makes them live. The directory is not changed. Files that fail are left
// out; where the live set has the same database, its version is taken instead. force tries what was set aside before once more.
//
// Errors: ErrNothing, ErrUnsettled, ErrNotProven (then Outcome has the engine's report), ErrLocked, and those of the file system. With each of them the set that was
// live still is.
func (s *Store) Import(ctx context.Context, dir string, force bool) (Outcome, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer unlock()
	src, err := openSource(dir)
	if err != nil {
		return Outcome{}, err
	}
	defer src.Close()
	if len(src.names) == 0 {
		return Outcome{}, fmt.Errorf("%s: %w", dir, ErrNothing)
	}
	sighting, err := src.sight()
	if err != nil {
		return Outcome{}, err
	}
	out, err := s.importFrom(ctx, src, dir, force)
	if err == nil && filepath.Clean(dir) == filepath.Clean(s.IncomingDir()) {
		err = s.noteSeen(sighting)
	}
	return out, err
}

func (s *Store) importFrom(ctx context.Context, src *source, dir string, force bool) (Outcome, error) {
	g, err := s.newStaging(s.path(stagingName), dir)
	if err != nil {
		return Outcome{}, err
	}
	defer g.remove()
	g.force, g.record = force, true
	if err := g.take(ctx, src); err != nil {
		return Outcome{}, err
	}
	reached("staged")
	if err := g.addBuiltIn(ctx); err != nil {
		return Outcome{}, err
	}
	before, whole, err := s.wholeCurrent()
	if err != nil {
		return Outcome{}, err
	}
	live := before.ID
	if !whole { // importing the same again mends it
		live = ""
	}
	t, err := g.prove(ctx, before, live)
	out := Outcome{Before: before.ID, Set: before, Result: Kept, Reason: t.reason, Checks: g.checks, SetAside: g.aside, Earlier: g.kept, Other: g.other, Report: t.report}
	switch {
	case err != nil:
		return out, err
	case t.same && len(g.drops) == 0:
		out.Result = Unchanged
		return out, nil
	case t.same:
		out.Reason = "without the files that failed nothing is new"
		return out, nil
	case t.set.ID == "":
		return out, nil
	}
	out.Set, err = s.publish(g, t.set, whole)
	if err == nil {
		out.Result = Live
	}
	return out, err
}

// wholeCurrent is the live set, and whether it is what it was when it was proven.
func (s *Store) wholeCurrent() (set Set, whole bool, err error) {
	set, err = s.Current()
	if err != nil {
		return Set{}, false, nil //nolint:nilerr // Start tells what is wrong with it; here, there is nothing that can be taken from it
	}
	bad, err := s.whole(set)
	return set, err == nil && len(bad) == 0, err
}

// publish gives a proven set its name and makes it live. The set that was live becomes the previous one first, if it is whole: whenever the program is
// killed, both names are those of whole and proven sets, and the next import does the rest.
func (s *Store) publish(g *staging, set Set, whole bool) (Set, error) {
	set, err := s.place(g, set)
	if err != nil {
		return Set{}, err
	}
	switch before := s.targetOrNone(currentName); {
	case !whole || before == set.ID:
		err = s.point(currentName, set.ID)
	case before == "": // the built-in set was live
		err = errors.Join(s.removeLink(previousName), s.point(currentName, set.ID))
	case s.targetOrNone(previousName) == set.ID:
		err = s.swapLinks()
	default:
		if err = s.point(previousName, before); err == nil {
			err = s.point(currentName, set.ID)
		}
	}
	if err != nil {
		return Set{}, err
	}
	reached("live")
	// It passed, so what a person or an earlier engine had against it is over.
	err = s.forget(set.ID)
	return set, errors.Join(err, s.tidy())
}

// place moves the staging directory to the set's name below sets/.
func (s *Store) place(g *staging, set Set) (Set, error) {
	if err := durable.SyncDirectory(g.dir); err != nil {
		return Set{}, err
	}
	set.Dir = filepath.Join(s.sets(), set.ID)
	if _, err := os.Lstat(set.Dir); err == nil {
		if bad, err := s.whole(set); err == nil && len(bad) == 0 {
			return set, s.writeManifest(set) // the previous set once more
		}
		if err := os.Rename(set.Dir, s.path(stagingName+durable.NewSuffix)); err != nil {
			return Set{}, err
		}
		reached("set-moved-away")
	}
	if err := s.writeManifest(set); err != nil {
		return Set{}, err
	}
	if err := os.Rename(g.dir, set.Dir); err != nil {
		return Set{}, err
	}
	reached("set-placed")
	return set, durable.SyncDirectory(s.sets())
}

// tidy removes what no name leads to any more: sets, their manifests, what a killed program was making.
func (s *Store) tidy() error {
	for _, name := range []string{stagingName, stagingName + durable.NewSuffix, verifyName, currentName + durable.NewSuffix, previousName + durable.NewSuffix, seenName + durable.NewSuffix} {
		if err := os.RemoveAll(s.path(name)); err != nil {
			return err
		}
	}
	named := map[string]bool{}
	for _, name := range []string{currentName, previousName} {
		id, err := s.target(name)
		if err != nil && !isMissing(err) {
			return nil // what it names is not known, so nothing can be taken for left over; who reads the link tells it
		}
		named[id] = true
	}
	entries, err := os.ReadDir(s.sets())
	if err != nil {
		return err
	}
	for _, e := range entries {
		id := e.Name()
		if filepath.Ext(id) == manifestSuffix {
			id = id[:len(id)-len(manifestSuffix)]
		}
		if named[id] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.sets(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// note is what the incoming directory looked like when it was taken in, and what it was judged by.
type note struct {
	Sighting

	Unsigned bool `json:"unsigned"`
}

// noteSeen remembers what has been taken in, whether it went live or not.
func (s *Store) noteSeen(seen Sighting) error {
	b, err := json.Marshal(note{seen, s.config.Unsigned})
	if err != nil {
		return err
	}
	return durable.Write(s.path(seenName), append(b, '\n'), 0o644, reached)
}

// seen reports whether the incoming directory was taken in as it is, under the same policy.
func (s *Store) seen(sight Sighting) bool {
	b, err := readBounded(s.path(seenName), maxManifest)
	if err != nil {
		return false
	}
	var was note
	return json.Unmarshal(b, &was) == nil && was.Fingerprint == sight.Fingerprint && was.Unsigned == s.config.Unsigned
}

// News looks at the incoming directory and reports whether it holds something that has not been taken in and that its updater has finished. Where there is
// something that is not finished, the sighting is not Settled: look again after Quiet. It costs one stat(2) a file.
func (s *Store) News() (fresh bool, sight Sighting, err error) {
	sight, err = Incoming(s.IncomingDir())
	if isMissing(err) {
		return false, Sighting{}, nil
	}
	if err != nil || sight.Fingerprint == "" || s.seen(sight) {
		return false, sight, err
	}
	return sight.Settled(s.config.Now()), sight, nil
}
