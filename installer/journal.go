package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// JournalPath is where the journal is, below the root. It exists only while a plan is being applied, or after that was interrupted.
const JournalPath = "/var/lib/cisco/amp/journal.json"

// journalVersion is the format that this program writes, and the newest that it reads.
const journalVersion = 1

// maxJournal bounds a journal, in bytes.
const maxJournal = 1 << 20

// ErrJournal is in the chain of errors about a journal that could not be used.
var ErrJournal = errors.New("journal of an interrupted run")

// phase is how far the step of a journal has come.
type phase string

const (
	applying phase = "applying" // about to be applied, or being applied or undone
	done     phase = "done"
)

// journal is the record of the step that a plan is at.
type journal struct {
	Version int             `json:"version"`
	Plan    string          `json:"plan"`
	Index   int             `json:"index"` // of the step's item in the plan, from 0
	Kind    string          `json:"kind"`
	Title   string          `json:"title"` // in English, for a person who reads the file
	Phase   phase           `json:"phase"`
	At      time.Time       `json:"at"`
	Step    json.RawMessage `json:"step"` // the step's exported fields
}

// writeJournal writes the journal. Its folder is made if need be, since the plan may be the one that makes it.
func writeJournal(h *Host, plan string, index int, s Step, ph phase) error {
	fields, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("journal of step %q: %w", s.Kind(), err)
	}
	b, err := json.MarshalIndent(journal{journalVersion, plan, index, s.Kind(), s.Title().EN, ph, h.Now().UTC(), fields}, "", "\t")
	if err != nil {
		return err
	}
	if len(b) >= maxJournal {
		return fmt.Errorf("journal of step %q: %d bytes, at most %d expected", s.Kind(), len(b), maxJournal)
	}
	path, err := h.Root.Path(JournalPath)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := durable.Write(path, append(b, '\n'), 0o600, killpoint); err != nil {
		return err
	}
	killpoint("journal-" + string(ph))
	return nil
}

// removeJournal ends a plan. Removing needs no room on the disk.
func removeJournal(h *Host) error {
	path, err := h.Root.Path(JournalPath)
	if err != nil {
		return err
	}
	if err := ignoreNotExist(os.Remove(path + durable.NewSuffix)); err != nil && !errors.Is(err, syscall.EROFS) { // of an interrupted write
		return err
	}
	removed, err := durable.Remove(path)
	if removed {
		killpoint("journal-removed")
	}
	return err
}

// readJournal returns the journal, nil if there is none. One that cannot be read as a journal is set aside, so that it blocks
// nobody and is not lost.
func readJournal(h *Host) (*journal, Step, error) {
	b, err := h.Root.ReadFile(JournalPath, maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrJournal, err)
	}
	j, s, err := parseJournal(b)
	if errors.Is(err, errCorrupt) {
		return nil, nil, setAside(h, err)
	}
	return j, s, err
}

// errCorrupt is in the chain of errors about a journal that is none.
var errCorrupt = errors.New("corrupt")

func parseJournal(b []byte) (*journal, Step, error) {
	var j journal
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	if j.Version > journalVersion {
		return nil, nil, fmt.Errorf("%w: %s: format %d, at most %d expected: a newer version of the connector wrote it; run that one", ErrJournal, JournalPath, j.Version, journalVersion)
	}
	if j.Version < 1 || j.Kind == "" || j.Phase != applying && j.Phase != done {
		return nil, nil, fmt.Errorf("%w: version %d, kind %q, phase %q", errCorrupt, j.Version, j.Kind, j.Phase)
	}
	s, err := stepOf(j)
	if err != nil {
		return nil, nil, err
	}
	return &j, s, nil
}

// stepOf makes the step that a journal records. A kind or field that this program does not know is a newer program's: undoing by
// half would lose something.
func stepOf(j journal) (Step, error) {
	newStep := kinds[j.Kind]
	if newStep == nil {
		return nil, fmt.Errorf("%w: %s: kind of step %q (%s) is not known to this version: run the version that began it", ErrJournal, JournalPath, j.Kind, j.Title)
	}
	s := newStep()
	d := json.NewDecoder(bytes.NewReader(j.Step))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%w: %s: step %q (%s): %w: run the version that began it", ErrJournal, JournalPath, j.Kind, j.Title, err)
	}
	return s, nil
}

func setAside(h *Host, why error) error {
	path, err := h.Root.Path(JournalPath)
	if err != nil {
		return err
	}
	aside := fmt.Sprintf("%s.corrupt-%d", path, h.Now().Unix())
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%w: %s: %w; it cannot be set aside: %w", ErrJournal, path, why, err)
	}
	return errors.Join(fmt.Errorf("%w: %s: %w; set aside as %s; an interrupted step may not have been undone", ErrJournal, path, why, aside),
		durable.SyncDirectory(filepath.Dir(path)))
}
