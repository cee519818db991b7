package fault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func finding(id ID, s State) Finding {
	f := Finding{ID: id, State: s, Severity: Critical, Reason: Text{EN: "reason: " + string(s), JA: "理由"}, Evidence: []Evidence{}}
	if s == Raised {
		f.Evidence = []Evidence{{What: "rule", Read: "denied", From: "/sys/fs/selinux/access", Expected: "allowed"}}
	}
	return f
}

// TestTransitions follows fault 19 (dwell 5 s) through the findings of a host, one letter a second:
// r raised, c clear, u unknown, n not applicable, - no evaluation; and what counts after each:
// R raised, p pending (not yet raised), . anything else.
func TestTransitions(t *testing.T) {
	for _, c := range []struct {
		name, seen, counts string
		changes            int
	}{
		{"steady condition is raised after the dwell", "rrrrrrr", "pppppRR", 1},
		{"short condition is not raised", "crrccccccc", ".ppppppp..", 0},
		{"gone for the dwell clears", "rrrrrrcccccc", "pppppRRRRRR.", 2},
		{"flapping is raised once and stays", "rcrcrcrcrcrcrcrc", "ppppppRRRRRRRRRR", 1},
		{"unknown does not clear", "rrrrrruuuuuuuuuu", "pppppRRRRRRRRRRR", 1},
		{"unknown starts the absence anew", "rrrrrrccccucccccc", "pppppRRRRRRRRRRR.", 2},
		{"unknown ends a pending condition", "rrrurrr", "ppp.ppp", 0},
		{"not applicable clears like clear", "rrrrrrnnnnnn", "pppppRRRRRR.", 2},
		{"unknown alone raises nothing", "uuuuuuuu", "........", 0},
		{"no evaluation for long, still there: raised", "r------r", "p------R", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := OpenLedger(filepath.Join(t.TempDir(), "faults.json"))
			if err != nil {
				t.Fatal(err)
			}
			got, changes := follow(t, l, c.seen)
			if got != c.counts || changes != c.changes {
				t.Errorf("seen   %s\ngot    %s, %d changes\nwanted %s, %d changes", c.seen, got, changes, c.counts, c.changes)
			}
		})
	}
}

func follow(t *testing.T, l *Ledger, seen string) (counts string, changes int) {
	states := map[rune]State{'r': Raised, 'c': Clear, 'u': Unknown, 'n': NotApplicable}
	for i, r := range seen {
		if r == '-' {
			counts += "-"
			continue
		}
		done, err := l.Update(start.Add(time.Duration(i)*time.Second), []Finding{finding(19, states[r])})
		if err != nil {
			t.Fatal(err)
		}
		changes += len(done)
		e := l.Snapshot().entry(19)
		switch {
		case e.Counts() == Raised:
			counts += "R"
		case e.Pending:
			counts += "p"
		default:
			counts += "."
		}
	}
	return counts, changes
}

func TestSettleCountsAtOnce(t *testing.T) {
	l, _ := OpenLedger(filepath.Join(t.TempDir(), "faults.json"))
	for i, want := range []State{Raised, Clear, Raised} {
		changes, err := l.Settle(start.Add(time.Duration(i)), []Finding{finding(19, want)})
		if err != nil || len(changes) != 1 || changes[0].To != want {
			t.Errorf("%d: %v, %v; expected a change to %s", i, changes, err, want)
		}
	}
}

func TestUnknownMarksARaisedFaultWithItsReason(t *testing.T) {
	l, _ := OpenLedger(filepath.Join(t.TempDir(), "faults.json"))
	l.Settle(start, []Finding{finding(19, Raised)})
	l.Settle(start.Add(time.Minute), []Finding{finding(19, Unknown)})
	e := l.Snapshot().entry(19)
	if e.State != Raised || e.Doubt.EN != "reason: unknown" || len(e.Evidence) != 1 || !e.Raised.Equal(start) {
		t.Errorf("entry %+v; expected it raised since the start, with the reason of doubt", e)
	}
}

func TestDue(t *testing.T) {
	l, _ := OpenLedger(filepath.Join(t.TempDir(), "faults.json"))
	if at, ok := l.Due(); ok {
		t.Errorf("an empty ledger is due at %v", at)
	}
	l.Update(start, []Finding{finding(19, Raised)})
	if at, ok := l.Due(); !ok || !at.Equal(start.Add(policySettles)) {
		t.Errorf("pending: due %v, %v; expected after the dwell", at, ok)
	}
	l.Update(start.Add(policySettles), []Finding{finding(19, Raised)})
	if at, ok := l.Due(); ok {
		t.Errorf("raised: due at %v", at)
	}
	l.Update(start.Add(time.Minute), []Finding{finding(19, Clear)})
	if at, ok := l.Due(); !ok || !at.Equal(start.Add(time.Minute+policySettles)) {
		t.Errorf("gone: due %v, %v; expected after the dwell", at, ok)
	}
}

func TestClockSetBackDoesNotStretchTheDwell(t *testing.T) {
	l, _ := OpenLedger(filepath.Join(t.TempDir(), "faults.json"))
	l.Update(start, []Finding{finding(19, Raised)})
	early := start.Add(-24 * time.Hour)
	l.Update(early, []Finding{finding(19, Raised)})
	l.Update(early.Add(policySettles), []Finding{finding(19, Raised)})
	if got := l.Snapshot().Raised(); len(got) != 1 {
		t.Errorf("raised: %v; expected fault 19", got)
	}
}

func TestFileIsReadBackAndOnlyWrittenOnChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "faults.json")
	l, err := OpenLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLedger(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first update: %v, expected fs.ErrNotExist", err)
	}
	all := []Finding{finding(5, Clear), finding(19, Raised), finding(16, Unknown)}
	l.Settle(start, all)
	got, err := ReadLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(l.Snapshot(), got); d != "" {
		t.Errorf("the file differs from the ledger:\n%s", d)
	}
	before, _ := identify(path)
	l.Settle(start.Add(time.Minute), all)
	if after, _ := identify(path); after != before {
		t.Error("the file was written although nothing changed")
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, expected 0644", st.Mode())
	}
	leftovers, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if !slices.Equal(leftovers, []string{path, path + lockSuffix}) {
		t.Errorf("files left: %v, expected the ledger and its lock", leftovers)
	}
}

func TestTwoWritersTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.json")
	daemon, _ := OpenLedger(path)
	daemon.Settle(start, []Finding{finding(19, Raised)})
	hook, _ := OpenLedger(path)
	hook.Settle(start, []Finding{finding(5, Raised)})
	daemon.Settle(start.Add(time.Minute), []Finding{finding(16, Unknown)})
	s, err := ReadLedger(path)
	if err != nil || len(s.Raised()) != 2 || len(s.Findings) != 3 {
		t.Errorf("%+v, %v; expected 5 and 19 raised, 16 unknown", s.Findings, err)
	}
}

// Who may only read the folder cannot keep the ledger from being updated: a lock is to be had of all that can be opened.
func TestReadersCannotLockTheLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.json")
	l, _ := OpenLedger(path)
	l.Settle(start, []Finding{finding(19, Raised)})
	for _, name := range []string{filepath.Dir(path), path} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			t.Fatal(err)
		}
	}
	updated := make(chan error, 1)
	go func() {
		_, err := l.Settle(start.Add(time.Minute), []Finding{finding(19, Clear)})
		updated <- err
	}()
	select {
	case err := <-updated:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("whoever can read the folder keeps the ledger from being updated")
	}
	if fi, err := os.Lstat(path + lockSuffix); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the file of the lock: %v, %v; expected mode 0600", fi, err)
	}
}

func TestLedgerThatWasRemovedIsWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.json")
	l, _ := OpenLedger(path)
	l.Settle(start, []Finding{finding(19, Raised)})
	os.Remove(path)
	l.Settle(start.Add(time.Minute), []Finding{finding(19, Raised)})
	if s, err := ReadLedger(path); err != nil || len(s.Raised()) != 1 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestDamagedLedgerIsSetAside(t *testing.T) {
	for name, content := range map[string]string{
		"empty":         "",
		"random":        "\x00\xff\x13{{",
		"torn":          `{"updated":"2025-06-01T12:00:00Z","findings":[{"id":1`,
		"trailing":      `{"findings":[]} {"findings":[]}`,
		"too large":     `{"findings":[]` + strings.Repeat(" ", maxLedgerBytes) + "}",
		"unknown state": `{"findings":[{"id":19,"state":"fine"}]}`,
		"wrong order":   `{"findings":[{"id":19,"state":"clear"},{"id":5,"state":"clear"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "faults.json")
			os.WriteFile(path, []byte(content), 0o644)
			if _, err := ReadLedger(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("ReadLedger: %v, expected ErrDamaged that names the file", err)
			}
			l, err := OpenLedger(path)
			if err != nil || !errors.Is(l.Damage, ErrDamaged) {
				t.Fatalf("OpenLedger: %v, damage %v", err, l.Damage)
			}
			aside, _ := filepath.Glob(path + ".corrupt-*")
			if len(aside) != 1 {
				t.Fatalf("set aside: %v", aside)
			}
			if b, _ := os.ReadFile(aside[0]); string(b) != content {
				t.Error("the file that was set aside is not the one that was found")
			}
			if _, err := l.Settle(start, []Finding{finding(19, Raised)}); err != nil {
				t.Error(err)
			}
			if s, err := ReadLedger(path); err != nil || len(s.Raised()) != 1 {
				t.Errorf("afterwards: %v, %v", s, err)
			}
		})
	}
}

func TestLedgerDamagedWhileOpenKeepsWhatIsKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.json")
	l, _ := OpenLedger(path)
	l.Settle(start, []Finding{finding(19, Raised), finding(5, Raised)})
	os.WriteFile(path, []byte("garbage"), 0o644)
	if _, err := l.Update(start.Add(time.Second), []Finding{finding(19, Raised)}); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadLedger(path); err != nil || len(s.Raised()) != 2 {
		t.Errorf("%v, %v", s.Findings, err)
	}
}

func TestFolderOrPipeInPlaceOfTheLedger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "faults.json")
	os.Mkdir(dir, 0o755)
	if _, err := ReadLedger(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("folder: %v", err)
	}
	if l, err := OpenLedger(dir); err != nil || l.Damage == nil {
		t.Errorf("folder: %v, damage %v", err, l.Damage)
	}
}

func TestWriteErrorIsReportedAndMadeGoodLater(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "faults.json")
	l, _ := OpenLedger(path)
	os.Mkdir(path+".new", 0o755) // in the way of the temporary file
	os.WriteFile(filepath.Join(path+".new", "x"), nil, 0o644)
	changes, err := l.Settle(start, []Finding{finding(19, Raised)})
	if err == nil || len(changes) != 1 {
		t.Errorf("%v, %v; expected the change and an error", changes, err)
	}
	os.RemoveAll(path + ".new")
	if changes, err := l.Settle(start.Add(time.Minute), []Finding{finding(19, Raised)}); err != nil || len(changes) != 0 {
		t.Errorf("afterwards %v, %v", changes, err)
	}
	if s, err := ReadLedger(path); err != nil || len(s.Raised()) != 1 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestHistoryAndEvidenceAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faults.json")
	l, _ := OpenLedger(path)
	big := finding(19, Raised)
	big.Evidence = make([]Evidence, 1000)
	for i := range big.Evidence {
		big.Evidence[i] = Evidence{strings.Repeat("\x01", 5000), strings.Repeat("\xff", 5000), "ファイル" + strings.Repeat("あ", 2000), "x", EvidenceWords{What: strings.Repeat("あ", 2000)}}
	}
	for i := range 300 {
		f := big
		if i%2 == 0 {
			f = finding(19, Clear)
		}
		f.Reason.EN = strings.Repeat("<", 4000)
		l.apply(start.Add(time.Duration(i)*time.Second), []Finding{f}, func(Fault) time.Duration { return 0 })
	}
	if _, err := l.Settle(start.Add(time.Hour), []Finding{finding(5, Clear)}); err != nil {
		t.Fatal(err)
	}
	s, err := ReadLedger(path)
	if err != nil || len(s.Raised()) != 1 {
		t.Fatalf("%d raised, %v", len(s.Raised()), err)
	}
	if len(l.Snapshot().History) != maxHistory {
		t.Errorf("history has %d changes, expected %d", len(l.Snapshot().History), maxHistory)
	}
}

func TestFindingOutsideTheCatalogueIsNamed(t *testing.T) {
	l, _ := OpenLedger(filepath.Join(t.TempDir(), "faults.json"))
	changes, err := l.Settle(start, []Finding{finding(42, Raised), finding(19, Raised)})
	if err == nil || !strings.Contains(err.Error(), "42") || len(changes) != 1 {
		t.Errorf("%v, %v; expected an error about 42 and the change of 19", changes, err)
	}
}

func FuzzReadLedger(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.json")
	l, _ := OpenLedger(path)
	l.Settle(start, []Finding{finding(5, Clear), finding(19, Raised)})
	l.Update(start.Add(time.Second), []Finding{finding(5, Raised), finding(19, Unknown)})
	seed, _ := os.ReadFile(path)
	f.Add(seed)
	f.Add([]byte(`{"findings":[{"id":19,"state":"raised","pending":true,"before":"clear"}],"history":[{"at":"2025-06-01T12:00:00Z"}]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseLedger(b)
		if (err == nil) == errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		l := &Ledger{state: s}
		l.apply(start, []Finding{finding(5, Unknown), finding(19, Raised)}, func(f Fault) time.Duration { return f.ToRaise })
		written, err := encode(l.state)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseLedger(written); err != nil {
			t.Fatal(err)
		}
	})
}
