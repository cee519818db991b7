package fault

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// identity tells whether a path still names the file that was read: each write makes a new inode.
type identity struct {
	dev, ino uint64
	size     int64
	modified time.Time
}

func identify(path string) (identity, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return identity{}, err
	}
	sys := st.Sys().(*syscall.Stat_t)
	return identity{uint64(sys.Dev), sys.Ino, st.Size(), st.ModTime()}, nil
}

// lockSuffix ends the name of the file that the lock is on.
const lockSuffix = ".lock"

// lockFile makes programs that update the ledger take turns (flock(2)). The lock is on a file of its own, because the ledger is replaced each time. It
// is one that others cannot open: whoever can open a file, or the folder, can lock it for as long as he likes, and would keep all faults from being
// judged. The lock is held for one read and one write, so waiting for it is short; the kernel drops it when its holder dies.
func (l *Ledger) lockFile() (unlock func(), err error) {
	path := l.path + lockSuffix
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return func() {}, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return func() {}, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return func() {}, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return func() { f.Close() }, nil
}

// write replaces the file: a reader sees the old or the new one, and after a power loss one of them is there.
func (l *Ledger) write() error {
	b, err := encode(l.state)
	if err != nil {
		return err
	}
	if err := durable.Write(l.path, b, 0o644, nil); err != nil { // every admin may read it
		return err
	}
	l.file, err = identify(l.path)
	return err
}

// What stands in the place of evidence that the ledger does not take.
var (
	moreWords = Text{EN: "further evidence", JA: "その他の根拠"}
	tooLarge  = Text{EN: "%d values, too large for the ledger", JA: "%d 件 (台帳に収まらないため省略)"}
	leftOut   = Text{EN: "%d values left out", JA: "%d 件を省略"}
)

// encode makes the file's bytes. Should they outgrow the bound that readers keep, evidence goes first, then history.
func encode(s Snapshot) ([]byte, error) {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil || len(b) <= maxLedgerBytes {
		return b, err
	}
	entries := make([]Entry, len(s.Findings))
	for i, e := range s.Findings {
		e.Evidence = []Evidence{NewEvidence(moreWords, tooLarge.With(len(e.Evidence)), "the evaluation", Text{})}
		e.Causes = nil
		entries[i] = e
	}
	s.Findings, s.History = entries, s.History[max(0, len(s.History)-20):]
	return json.MarshalIndent(s, "", " ")
}

// Bounds of one finding in the ledger, in bytes and in pieces of evidence.
const (
	maxText     = 1024
	maxEvidence = 32
)

// bounded is a finding cut to what the ledger takes. What a host was made to say cannot make the ledger unreadable.
func bounded(f Finding) Finding {
	f.Reason = Text{clip(f.Reason.EN), clip(f.Reason.JA)}
	evidence := f.Evidence
	if more := len(evidence) - maxEvidence; more > 0 {
		evidence = append(evidence[:maxEvidence:maxEvidence], NewEvidence(moreWords, leftOut.With(more), "the evaluation", Text{}))
	}
	f.Evidence = make([]Evidence, len(evidence))
	for i, e := range evidence {
		f.Evidence[i] = Evidence{clip(e.What), clip(e.Read), clip(e.From), clip(e.Expected), EvidenceWords{clip(e.JA.What), clip(e.JA.Read), clip(e.JA.Expected)}}
	}
	f.Causes = append([]string{}, f.Causes[:min(len(f.Causes), maxEvidence)]...)
	for i, c := range f.Causes {
		f.Causes[i] = clip(c)
	}
	if len(f.Causes) == 0 {
		f.Causes = nil // as it is read back
	}
	return f
}
