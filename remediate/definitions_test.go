package remediate

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
)

// realStore is a store with two sets that were taken in, whose engine refuses files with a word in them.
type realStore struct {
	*definitions.Store
	dir, incoming string
	refused       string
}

func runOne(t *testing.T, h *installer.Host, step installer.Step, dry bool) (installer.Result, error) {
	t.Helper()
	results, err := installer.Run(t.Context(), h, installer.Plan{Name: "test", Items: []installer.Item{{Step: step}}}, installer.Options{DryRun: dry})
	if len(results) != 1 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	return results[0], err
}

func newRealStore(t *testing.T) *realStore {
	t.Helper()
	dir := t.TempDir()
	r := &realStore{dir: filepath.Join(dir, "definitions"), incoming: filepath.Join(dir, "incoming")}
	own := filepath.Join(dir, "share")
	if err := errors.Join(os.CopyFS(own, definitions.BuiltIn()), os.MkdirAll(r.incoming, 0o755)); err != nil {
		t.Fatal(err)
	}
	r.Store = definitions.Open(definitions.Config{Dir: r.dir, BuiltIn: own, Program: "test", Unsigned: true, Prove: r.prove})
	return r
}

func (r *realStore) prove(_ context.Context, dir string) (scan.Report, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return scan.Report{}, err
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return scan.Report{}, err
		}
		if r.refused != "" && bytes.Contains(b, []byte(r.refused)) {
			return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, File: f.Name(), Error: "malformed database"}, nil
		}
	}
	return scan.Report{Stage: scan.StageReady, Engine: "1.4.6", Signatures: uint32(len(files))}, nil
}

// take makes a set with one signature of this name live.
func (r *realStore) take(t *testing.T, name string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.incoming, "site.ndb"), []byte(name+":0:0:4142434445\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := r.Import(t.Context(), r.incoming, false)
	if err != nil || out.Result != definitions.Live {
		t.Fatalf("%s: %+v, %v", name, out, err)
	}
	return out.Set.ID
}

func (r *realStore) host() *installer.Host {
	h := installer.NewHost(host.At(filepath.Dir(r.dir)), nil)
	h.Definitions = definitionStore{r.Store}
	return h
}

func (r *realStore) live(t *testing.T) string {
	t.Helper()
	set, err := r.Current()
	if err != nil {
		t.Fatal(err)
	}
	return set.ID
}

func TestStoredDefinitions(t *testing.T) {
	r := newRealStore(t)
	if current, err := r.host().Definitions.Current(t.Context()); current != "" || err != nil {
		t.Errorf("built-in: %q, %v", current, err)
	}
	first, second := r.take(t, "one"), r.take(t, "two")
	if res, err := runOne(t, r.host(), &installer.RestoreDefinitions{}, false); res.Outcome != installer.Skipped || err != nil {
		t.Errorf("sound: %+v, %v", res, err)
	}

	r.refused = "two" // as by a newer engine
	step := &installer.RestoreDefinitions{}
	if res, err := runOne(t, r.host(), step, true); res.Outcome != installer.Planned || err != nil || !strings.Contains(step.Title().EN, "site.ndb: trial load: read malformed database") || r.live(t) != second {
		t.Errorf("dry run: %+v, %v, %q", res, err, step.Title().EN)
	}
	if res, err := runOne(t, r.host(), step, false); res.Outcome != installer.Done || err != nil || r.live(t) == second {
		t.Errorf("%+v, %v; live is %s of %s, %s", res, err, r.live(t), first, second)
	}
	if kept, err := r.Rejected(); err != nil || !slices.ContainsFunc(kept, func(r definitions.Rejected) bool { return r.Missed && r.Name == "site.ndb" }) {
		t.Errorf("set aside: %+v, %v", kept, err)
	}
	if res, err := runOne(t, r.host(), &installer.RestoreDefinitions{}, false); res.Outcome != installer.Skipped || err != nil {
		t.Errorf("again: %+v, %v", res, err)
	}
}

// A file that was damaged on the disk.
func TestStoredDefinitionsThatWereDamaged(t *testing.T) {
	r := newRealStore(t)
	first, _ := r.take(t, "one"), r.take(t, "two")
	set, err := r.Current()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(set.Dir, "site.ndb")
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte("two:0"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if res, err := runOne(t, r.host(), &installer.RestoreDefinitions{}, false); res.Outcome != installer.Done || err != nil || r.live(t) != first {
		t.Errorf("%+v, %v; live is %s, expected %s", res, err, r.live(t), first)
	}
	if err := os.Remove(filepath.Join(r.dir, "current")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sets/none", filepath.Join(r.dir, "current")); err != nil {
		t.Fatal(err)
	}
	if res, err := runOne(t, r.host(), &installer.RestoreDefinitions{}, false); res.Outcome != installer.Done || err != nil {
		t.Errorf("a link that leads nowhere: %+v, %v", res, err)
	}
}

// What was dropped does not come back by dropping again.
func TestStoredDefinitionsAreDroppedOnce(t *testing.T) {
	r := newRealStore(t)
	first, second := r.take(t, "one"), r.take(t, "two")
	if res, err := runOne(t, r.host(), &installer.DropDefinitions{Version: second}, false); res.Outcome != installer.Done || err != nil || r.live(t) != first {
		t.Errorf("%+v, %v; live is %s", res, err, r.live(t))
	}
	if res, err := runOne(t, r.host(), &installer.DropDefinitions{Version: second}, false); res.Outcome != installer.Skipped || err != nil {
		t.Errorf("again: %+v, %v", res, err)
	}
	if res, err := runOne(t, r.host(), &installer.DropDefinitions{}, false); res.Outcome != installer.Failed || err == nil || !strings.Contains(err.Error(), second) || r.live(t) != first {
		t.Errorf("the one before was dropped: %+v, %v; live is %s", res, err, r.live(t))
	}
}

// Without an engine the files are compared with what they were, and more is not known.
func TestStoredDefinitionsWithoutAnEngine(t *testing.T) {
	r := newRealStore(t)
	r.take(t, "one")
	blind := definitions.Open(definitions.Config{Dir: r.dir, BuiltIn: filepath.Join(filepath.Dir(r.dir), "share"), Program: "test"})
	h := r.host()
	h.Definitions = definitionStore{blind}
	step := &installer.RestoreDefinitions{}
	if res, err := runOne(t, h, step, false); res.Outcome != installer.Skipped || err != nil || !strings.Contains(step.Remark().EN, "could not be tried") {
		t.Errorf("%+v, %v, %q", res, err, step.Remark().EN)
	}
}

// TestDefinitionsAreOnlyLookedAt: the store is there for every run, also one that changes nothing, and the log of the scan service is for trials.
func TestDefinitionsAreOnlyLookedAt(t *testing.T) {
	log := filepath.Join(t.TempDir(), "ampscansvc.log")
	if definitionsOf(host.At("/"), log) == nil {
		t.Fatal("the running host has no store")
	}
	if _, err := os.Lstat(log); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log was made: %v", err)
	}
}
