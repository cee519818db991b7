package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// jotting is a step that writes a file, and can be made to fail.
type jotting struct {
	File      string
	Text      string
	FailApply bool
	FailUndo  bool
}

func init() { register(func() Step { return &jotting{} }) }

func (s *jotting) Kind() string                         { return "test-note" }
func (s *jotting) Title() fault.Text                    { return fault.Verbatim("note " + s.File) }
func (s *jotting) Commands() []string                   { return nil }
func (s *jotting) Prepare(context.Context, *Host) error { return nil }
func (s *jotting) path(h *Host) string                  { return filepath.Join(h.Root.Dir(), s.File) }
func (s *jotting) Needed(_ context.Context, h *Host) (bool, error) {
	_, err := os.Stat(s.path(h))
	return err != nil, nil
}

func (s *jotting) Apply(_ context.Context, h *Host) error {
	if err := os.WriteFile(s.path(h), []byte(s.Text), 0o644); err != nil {
		return err
	}
	if s.FailApply {
		return errors.New("apply fails")
	}
	return nil
}

func (s *jotting) Undo(_ context.Context, h *Host) error {
	if s.FailUndo {
		return errors.New("undo fails")
	}
	return ignoreNotExist(os.Remove(s.path(h)))
}

func outcomes(rs []Result) []Outcome {
	var o []Outcome
	for _, r := range rs {
		o = append(o, r.Outcome)
	}
	return o
}

// tree lists all that is below dir: name, mode, content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		desc := fmt.Sprintf("%v %d:%d %d", fi.Mode(), st.Uid, st.Gid, st.Ino)
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			desc += " " + string(b)
		}
		all[path] = desc
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mustRemove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func notePlan(notes ...*jotting) Plan {
	p := Plan{Name: "notes"}
	for _, n := range notes {
		p.Items = append(p.Items, Item{Step: n})
	}
	return p
}

func TestRunOutcomes(t *testing.T) {
	h := NewHost(host.At(t.TempDir()), nil)
	p := notePlan(&jotting{File: "a"}, &jotting{File: "b", FailApply: true}, &jotting{File: "c"})
	p.Items = append(p.Items, Item{Manual: fault.Verbatim("reboot")})
	p.Items[1].Optional = true
	var begun, ended []int
	res, err := Run(context.Background(), h, p, Options{
		Progress: func(n, of int, _ Item) { begun = append(begun, n) },
		Finished: func(n, of int, _ Result) { ended = append(ended, n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Outcome{Done, Failed, Done, Manual}, outcomes(res)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]int{{0, 1, 2, 3}, {0, 1, 2, 3}}, [][]int{begun, ended}); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(h.Root.Dir(), "b")); err == nil {
		t.Error("the failed step was not undone")
	}
	if err := leftovers(h.Root.Dir()); err != nil {
		t.Error(err)
	}
	res, err = Run(context.Background(), h, p, Options{DryRun: true})
	if diff := cmp.Diff([]Outcome{Skipped, Planned, Skipped, Manual}, outcomes(res)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestRunStopsAtAFailure(t *testing.T) {
	h := NewHost(host.At(t.TempDir()), nil)
	res, err := Run(context.Background(), h, notePlan(&jotting{File: "a", FailApply: true}, &jotting{File: "b"}), Options{})
	if err == nil || !strings.Contains(err.Error(), "note a: apply fails") || len(res) != 1 {
		t.Errorf("%v, %v", res, err)
	}
}

func TestRunThatCannotUndoKeepsItsJournal(t *testing.T) {
	h := NewHost(host.At(t.TempDir()), nil)
	p := notePlan(&jotting{File: "a", FailApply: true, FailUndo: true}, &jotting{File: "b"})
	p.Items[0].Optional = true
	if res, err := Run(context.Background(), h, p, Options{}); err == nil || len(res) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	if _, err := Run(context.Background(), h, notePlan(&jotting{File: "c"}), Options{}); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), "undo fails") {
		t.Errorf("the next run: %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.Root.Dir(), "c")); err == nil {
		t.Error("the next run went on over a half changed host")
	}
}

func TestRunWithoutAJournalChangesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "var/lib/cisco"), 0o755); err != nil {
		t.Fatal(err)
	}
	// A file where the journal's folder should be.
	if err := os.WriteFile(filepath.Join(dir, "var/lib/cisco/amp"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Run(context.Background(), NewHost(host.At(dir), nil), notePlan(&jotting{File: "a"}), Options{})
	if err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("applied without a journal")
	}
}

func TestRunCanceled(t *testing.T) {
	h := NewHost(host.At(t.TempDir()), nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, h, notePlan(&jotting{File: "a"}), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRecover(t *testing.T) {
	journalOf := func(kind, ph, step string) string {
		return fmt.Sprintf(`{"version":1,"plan":"p","index":0,"kind":%q,"title":"a title","phase":%q,"at":"2026-01-01T00:00:00Z","step":%s}`, kind, ph, step)
	}
	table := []struct {
		name, journal string
		undone        []fault.Text
		err           string
		stays         bool // the journal
		fileStays     bool
	}{
		{"applying", journalOf("test-note", "applying", `{"File":"a"}`), []fault.Text{fault.Verbatim("note a")}, "", false, false},
		{"done", journalOf("test-note", "done", `{"File":"a"}`), nil, "", false, true},
		{"unknown kind", journalOf("teleport", "applying", `{}`), nil, `kind of step "teleport" (a title) is not known to this version`, true, true},
		{"unknown field", journalOf("test-note", "applying", `{"File":"a","Color":1}`), nil, `unknown field "Color"`, true, true},
		{"newer format", `{"version":2}`, nil, "format 2, at most 1 expected", true, true},
		{"half", `{"version":1,"pl`, nil, "journal.json: corrupt: ", false, true},
		{"empty", ``, nil, "journal.json: corrupt: ", false, true},
		{"no phase", journalOf("test-note", "", `{}`), nil, `phase ""`, false, true},
		{"undo fails", journalOf("test-note", "applying", `{"File":"a","FailUndo":true}`), nil, "undo fails", true, true},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, JournalPath)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(row.journal), 0o600), os.WriteFile(filepath.Join(dir, "a"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			undone, err := Recover(context.Background(), NewHost(host.At(dir), nil))
			if diff := cmp.Diff(row.undone, undone); diff != "" {
				t.Error(diff)
			}
			if (err != nil) != (row.err != "") || err != nil && (!strings.Contains(err.Error(), row.err) || !errors.Is(err, ErrJournal)) {
				t.Errorf("error %v, %q expected", err, row.err)
			}
			if _, err := os.Stat(path); (err == nil) != row.stays {
				t.Errorf("journal: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "a")); (err == nil) != row.fileStays {
				t.Errorf("file: %v", err)
			}
			if strings.Contains(row.err, "corrupt") {
				if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) != 1 {
					t.Error("not set aside")
				}
			}
		})
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"plan":"p","index":0,"kind":"test-note","title":"t","phase":"done","at":"2026-01-01T00:00:00Z","step":{}}`))
	f.Add([]byte(`{"version":1,"kind":"user","phase":"applying","step":{"Toggle":{"Inode":1}}}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, s, err := parseJournal(b)
		if (err == nil) != (j != nil && s != nil) {
			t.Errorf("%v, %v, %v", j, s, err)
		}
		if err != nil && !errors.Is(err, errCorrupt) && !errors.Is(err, ErrJournal) {
			t.Error(err)
		}
	})
}
