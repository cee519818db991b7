package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Bounds of the ledger file. What is larger or longer is damage when read, and is never written.
const (
	maxLedgerBytes = 1 << 20
	maxHistory     = 200
	maxEntries     = 64
)

// Snapshot is what the ledger file says at one moment.
type Snapshot struct {
	Updated  time.Time `json:"updated"`  // when the content last changed; an evaluation that changed nothing does not move it
	Findings []Entry   `json:"findings"` // in order of ID
	History  []Change  `json:"history"`  // oldest first, the last 200
}

// Entry is the last finding of one fault, with what time has made of it.
type Entry struct {
	Finding
	Since   time.Time `json:"since"`             // since when the condition, or its absence, lasts
	Raised  time.Time `json:"raised,omitzero"`   // when the fault was raised; zero if it is not
	Pending bool      `json:"pending,omitempty"` // the condition is there, but not yet for as long as the catalogue asks
	Before  State     `json:"before,omitempty"`  // of a pending entry: the state that still counts
	Gone    time.Time `json:"gone,omitzero"`     // since when the condition of a raised or pending entry was not seen; the entry clears when that has lasted
	Doubt   Text      `json:"doubt,omitzero"`    // why the last evaluation could not tell whether a raised fault is still there
}

// Counts is the state that counts for a reader: a pending condition does not count yet, and a raised fault that can no longer be
// evaluated, or whose condition went away a moment ago, still counts as raised.
func (e Entry) Counts() State {
	switch {
	case !e.Raised.IsZero():
		return Raised
	case e.Pending:
		return e.Before
	}
	return e.State
}

// Change is one entry of the history: a fault went from one state to another.
type Change struct {
	At     time.Time `json:"at"`
	ID     ID        `json:"id"`
	From   State     `json:"from"` // empty when the fault had not been evaluated before
	To     State     `json:"to"`
	Reason Text      `json:"reason"`
}

// Raised lists the entries of raised faults, in order of ID.
func (s Snapshot) Raised() []Entry {
	var raised []Entry
	for _, e := range s.Findings {
		if e.Counts() == Raised {
			raised = append(raised, e)
		}
	}
	return raised
}

// entry is the zero Entry where the fault has none.
func (s Snapshot) entry(id ID) Entry {
	for _, e := range s.Findings {
		if e.ID == id {
			return e
		}
	}
	return Entry{}
}

// ErrDamaged is in the chain of the error of ReadLedger when the file is there and is not a ledger.
var ErrDamaged = errors.New("the fault ledger is damaged")

// ReadLedger reads the ledger file at path without changing anything. Any program may do so at any time: the file is only ever
// replaced as a whole. A missing file is an fs.ErrNotExist, a file that is no ledger an ErrDamaged.
func ReadLedger(path string) (Snapshot, error) {
	b, err := readLedgerBytes(path)
	if err != nil {
		return Snapshot{}, err
	}
	s, err := parseLedger(b)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// readLedgerBytes reads at most one byte more than a ledger may have. O_NONBLOCK keeps a FIFO from hanging the reader.
func readLedgerBytes(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: expected a regular file, found %s", path, ErrDamaged, st.Mode().Type())
	}
	return io.ReadAll(io.LimitReader(f, maxLedgerBytes+1))
}

func parseLedger(b []byte) (Snapshot, error) {
	if len(b) > maxLedgerBytes {
		return Snapshot{}, fmt.Errorf("%w: larger than %d bytes", ErrDamaged, maxLedgerBytes)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	var s Snapshot
	if err := d.Decode(&s); err != nil {
		return Snapshot{}, fmt.Errorf("%w: byte %d: %w", ErrDamaged, d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Snapshot{}, fmt.Errorf("%w: byte %d: expected the end of the file", ErrDamaged, d.InputOffset())
	}
	if err := s.check(); err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, nil
}

var states = map[State]bool{Raised: true, Clear: true, Unknown: true, NotApplicable: true}

// check refuses what no program of ours writes, and drops history beyond its bound.
func (s *Snapshot) check() error {
	if len(s.Findings) > maxEntries {
		return fmt.Errorf("%d findings, expected at most %d", len(s.Findings), maxEntries)
	}
	for i, e := range s.Findings {
		if !states[e.State] || e.Before != "" && !states[e.Before] {
			return fmt.Errorf("finding %d: state %q, expected raised, clear, unknown or not-applicable", i, e.State)
		}
		if i > 0 && s.Findings[i-1].ID >= e.ID {
			return fmt.Errorf("finding %d: fault %d after fault %d, expected order of number", i, e.ID, s.Findings[i-1].ID)
		}
	}
	if len(s.History) > maxHistory {
		s.History = s.History[len(s.History)-maxHistory:]
	}
	return nil
}
