package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"
)

// LedgerPath is where the daemon keeps the ledger.
const LedgerPath = "/var/lib/cisco/amp/faults.json"

// Ledger keeps the state of each fault in one JSON file. It decides nothing but when a condition has lasted long enough. Programs that
// update the same file take turns; each starts from what the one before it wrote.
type Ledger struct {
	Damage error // why the file that was found could not be used and was set aside; nil if it was sound or absent

	path   string
	mu     sync.Mutex
	state  Snapshot
	file   identity // of the file that state was read from or written to
	unsure bool     // state holds more than the file: the last write did not succeed
}

// OpenLedger opens the ledger at path. A missing file is an empty ledger. A file that is no ledger is set aside as
// path.corrupt-<unix seconds>, an empty ledger takes its place, and Damage says what was wrong.
func OpenLedger(path string) (*Ledger, error) {
	l := &Ledger{path: path}
	return l, l.load(time.Now())
}

// Snapshot is the ledger as of the last update. The caller must not change what its slices point to.
func (l *Ledger) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	s.Findings, s.History = slices.Clone(s.Findings), slices.Clone(s.History)
	return s
}

// Update records the findings of an evaluation. A condition is raised when it has lasted for the catalogue's ToRaise, and cleared
// when it has been gone for as long. The file is replaced when anything but the time of evaluation changed. The changes of
// state are returned also when writing did not succeed: the ledger goes on with them, and the next update writes again.
func (l *Ledger) Update(now time.Time, findings []Finding) ([]Change, error) {
	return l.update(now, findings, func(f Fault) time.Duration { return f.ToRaise })
}

// Settle records findings like Update, but lets them count at once, in both directions. It is for an evaluation that somebody asked for
// after doing something about the host, and for the first one after a start: there is no flapping to wait out then.
func (l *Ledger) Settle(now time.Time, findings []Finding) ([]Change, error) {
	return l.update(now, findings, func(Fault) time.Duration { return 0 })
}

// Due is the earliest moment at which an update with unchanged findings would raise or clear a fault; false if none would.
func (l *Ledger) Due() (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first time.Time
	for _, e := range l.state.Findings {
		f, _ := Lookup(e.ID)
		if at, ok := due(e, f.ToRaise); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, !first.IsZero()
}

func (l *Ledger) update(now time.Time, findings []Finding, dwell func(Fault) time.Duration) ([]Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now = now.UTC().Round(0) // as it will be read back
	unlock, lockErr := l.lockFile()
	defer unlock()
	if lockErr == nil {
		lockErr = l.reload(now)
	}
	old := l.state
	changes, err := l.apply(now, findings, dwell)
	if !l.unsure && reflect.DeepEqual(old.Findings, l.state.Findings) && len(changes) == 0 {
		return nil, errors.Join(err, lockErr)
	}
	l.state.Updated = now
	if lockErr == nil {
		lockErr = l.write()
	}
	l.unsure = lockErr != nil
	return changes, errors.Join(err, lockErr)
}

// apply makes the new state from the old one and the findings. Findings of faults that the catalogue does not have are left out and named in the error.
func (l *Ledger) apply(now time.Time, findings []Finding, dwell func(Fault) time.Duration) (changes []Change, err error) {
	entries := make([]Entry, 0, len(catalogue))
	for _, f := range catalogue {
		e := l.state.entry(f.ID)
		for _, finding := range findings {
			if finding.ID != f.ID {
				continue
			}
			n := next(e, bounded(finding), dwell(f), now)
			changes = appendChange(changes, e, n, now)
			e = n
		}
		if e.ID != 0 {
			entries = append(entries, e)
		}
	}
	for _, finding := range findings {
		if _, ok := Lookup(finding.ID); !ok {
			err = errors.Join(err, fmt.Errorf("fault %d is not in the catalogue: its finding is left out", finding.ID))
		}
	}
	history := append(slices.Clone(l.state.History), changes...)
	l.state.Findings, l.state.History = entries, history[max(0, len(history)-maxHistory):]
	return changes, err
}

// appendChange appends the change between two entries of one fault. The first finding of a fault is a change only if it raises it.
func appendChange(changes []Change, old, now Entry, at time.Time) []Change {
	from, to := old.Counts(), now.Counts()
	if from == to || to == "" || from == "" && to != Raised {
		return changes
	}
	return append(changes, Change{At: at, ID: now.ID, From: from, To: to, Reason: now.Reason})
}

// load reads the file, or sets it aside and starts empty. The error is one that keeps the file from being read or set aside.
func (l *Ledger) load(now time.Time) error {
	file, err := identify(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		l.state, l.file = Snapshot{}, identity{}
		return nil
	}
	if err != nil {
		return err
	}
	s, err := ReadLedger(l.path)
	if errors.Is(err, ErrDamaged) {
		l.Damage, l.state, l.file = err, Snapshot{}, identity{}
		return os.Rename(l.path, fmt.Sprintf("%s.corrupt-%d", l.path, now.Unix()))
	}
	if err != nil {
		return err
	}
	l.state, l.file = s, file
	return nil
}

// reload takes over what another program wrote since. A file that went away is written anew from what is known.
func (l *Ledger) reload(now time.Time) error {
	file, err := identify(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		l.unsure = l.unsure || l.file != identity{}
		return nil
	}
	if err != nil {
		return err
	}
	if file == l.file {
		return nil
	}
	known := l.state
	if err := l.load(now); err != nil {
		return err
	}
	if l.file == (identity{}) { // set aside: what this program knows is better than nothing
		l.state, l.unsure = known, true
	}
	return nil
}
