package definitions

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
)

// twoSets is a store with a previous and a live set.
func twoSets(t *testing.T) (s *Store, config Config, one, two files) {
	t.Helper()
	config = testConfig(t, t.TempDir())
	s = Open(config)
	one = files{"daily.cvd": string(container(1, "one")), "main.cvd": string(container(60, "main"))}
	two = files{"daily.cvd": string(container(2, "two")), "main.cvd": string(container(61, "main"))}
	mustImport(t, s, one.replace(t, s.IncomingDir()), Live, one)
	mustImport(t, s, two.replace(t, s.IncomingDir()), Live, two)
	return s, config, one, two
}

func TestStart(t *testing.T) {
	mixed := func(one, two files) files {
		return files{"daily.cvd": one["daily.cvd"], "main.cvd": two["main.cvd"]}
	}
	first := func(one, _ files) files { return one }
	second := func(_, two files) files { return two }
	none := func(files, files) files { return files{} }
	for _, tt := range []struct {
		name    string
		harm    func(s *Store, live, previous string)
		live    func(one, two files) files
		aside   int
		blind   bool // no engine can be asked
		nothing bool // nothing had to be done
	}{
		{"nothing wrong", func(*Store, string, string) {}, second, 0, false, true},
		{"truncated file", func(_ *Store, live, _ string) { os.Truncate(live+"/daily.cvd", 600) }, mixed, 1, false, false},
		{"file gone", func(_ *Store, live, _ string) { os.Remove(live + "/daily.cvd") }, mixed, 0, false, false},
		{"file added", func(_ *Store, live, _ string) { os.WriteFile(live+"/more.ndb", []byte(entry), 0o644) }, second, 1, false, false},
		{"link in its place", func(_ *Store, live, _ string) {
			os.Remove(live + "/daily.cvd")
			os.Symlink("/etc/passwd", live+"/daily.cvd")
		}, mixed, 0, false, false},
		{"the product's own file", func(_ *Store, live, _ string) { os.Truncate(live+"/amp-builtin.ndb", 0) }, second, 0, false, false},
		{"truncated, and no engine", func(_ *Store, live, _ string) { os.Truncate(live+"/daily.cvd", 600) }, first, 2, true, false},
		{"both sets truncated, no engine", func(_ *Store, live, previous string) {
			os.Truncate(live+"/daily.cvd", 600)
			os.Truncate(previous+"/daily.cvd", 600)
		}, none, 2, true, false},
		{"both sets truncated", func(_ *Store, live, previous string) {
			os.Truncate(live+"/daily.cvd", 600)
			os.Truncate(previous+"/daily.cvd", 600)
		}, func(_, two files) files { return files{"main.cvd": two["main.cvd"]} }, 1, false, false},
		{"live set gone", func(_ *Store, live, _ string) { os.RemoveAll(live) }, first, 0, false, false},
		{"file instead of the set", func(_ *Store, live, _ string) { os.RemoveAll(live); os.WriteFile(live, nil, 0o644) }, first, 0, false, false},
		{"link to elsewhere", func(s *Store, _, _ string) {
			os.Remove(s.path(currentName))
			os.Symlink("/tmp", s.path(currentName))
		}, first, 0, false, false},
		{"link out of the store", func(s *Store, live, _ string) {
			os.Rename(live, s.path("elsewhere"))
			os.Remove(s.path(currentName))
			os.Symlink(setsName+"/../elsewhere", s.path(currentName))
		}, first, 0, false, false},
		{"file instead of the link", func(s *Store, _, _ string) {
			os.Remove(s.path(currentName))
			os.WriteFile(s.path(currentName), nil, 0o644)
		}, first, 0, false, false},
		{"sets gone", func(s *Store, _, _ string) { os.RemoveAll(s.sets()) }, none, 0, false, false},
		{"manifest gone", func(_ *Store, live, _ string) { os.Remove(live + ".json") }, second, 0, false, true},
		{"manifest lies", func(_ *Store, live, _ string) {
			os.WriteFile(live+".json", []byte(`{"files":[{"name":"x.ndb","sha256":"00"}]}`), 0o644)
		}, second, 0, false, true},
		{"manifest gone and truncated", func(_ *Store, live, _ string) {
			os.Remove(live + ".json")
			os.Truncate(live+"/daily.cvd", 600)
		}, first, 1, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, config, one, two := twoSets(t)
			current, _ := s.Current()
			previous, _ := s.Previous()
			tt.harm(s, current.Dir, previous.Dir)
			if tt.blind {
				config.Prove = nil
				s = Open(config)
			}
			started, err := s.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := tt.live(one, two)
			if got := held(t, started.Set); !got.equal(want) {
				t.Fatalf("started with %q, expected %q; did %q", got, want, started.Did)
			}
			expectLive(t, s, want)
			if (len(started.Did) == 0) != tt.nothing {
				t.Errorf("did %q", started.Did)
			}
			all, err := s.Rejected()
			if err != nil || len(all) != tt.aside {
				t.Errorf("set aside: %+v, %v; expected %d", all, err, tt.aside)
			}
			if again, err := s.Start(t.Context()); err != nil || len(again.Did) > 0 || again.Set.ID != started.Set.ID {
				t.Errorf("the second start: %q, %v", again.Did, err)
			}
		})
	}
}

func TestLinksThatNameNoSet(t *testing.T) {
	s, _, _, _ := twoSets(t)
	live, _ := s.Current()
	os.Rename(live.Dir, s.path("elsewhere"))
	for _, to := range []string{"/tmp", setsName, setsName + "/", setsName + "/../elsewhere", setsName + "/" + live.ID, s.sets() + "/" + live.ID} {
		os.Remove(s.path(currentName))
		os.Symlink(to, s.path(currentName))
		if set, err := s.Current(); err == nil {
			t.Errorf("link to %s leads to %+v", to, set)
		}
	}
}

func TestUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	config := testConfig(t, t.TempDir())
	s := Open(config)
	one := files{"a.ndb": entry}
	out := mustImport(t, s, one.write(t, t.TempDir()), Live, one)
	for path, want := range map[string]os.FileMode{config.Dir: 0o755, s.sets(): 0o755, out.Set.Dir: 0o755, out.Set.Dir + "/a.ndb": 0o644, out.Set.Dir + ".json": 0o644} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; the scan user has to read it", path, st.Mode(), err)
		}
	}
}

func TestWhatIsLeftMayBeThePreviousSet(t *testing.T) {
	s := Open(testConfig(t, t.TempDir()))
	one, two := files{"a.ndb": entry}, files{"a.ndb": entry, "b.ndb": entry}
	mustImport(t, s, one.replace(t, s.IncomingDir()), Live, one)
	mustImport(t, s, two.replace(t, s.IncomingDir()), Live, two)
	live, _ := s.Current()
	os.Truncate(filepath.Join(live.Dir, "b.ndb"), 3)
	if started, err := s.Start(t.Context()); err != nil || !held(t, started.Set).equal(one) {
		t.Errorf("%+v, %v", started, err)
	}
	expectLive(t, s, one)
	if previous, err := s.Previous(); err == nil {
		t.Errorf("%s is live and the previous set", previous.ID)
	}
}

func TestStartPutsThePackagesNewFilesIn(t *testing.T) {
	s, config, _, two := twoSets(t)
	files{"amp-builtin.hsb": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:0:Amp.Test.New\n"}.write(t, config.BuiltIn)
	before, _ := s.Current()
	config.Prove = nil
	if started, err := Open(config).Start(t.Context()); err == nil || started.Set.ID != before.ID {
		t.Errorf("without an engine: %+v, %v; expected the set as it was, and why", started, err)
	}
	started, err := s.Start(t.Context())
	if err != nil || started.Set.ID == before.ID || len(started.SetAside) > 0 {
		t.Fatalf("%+v, %v", started, err)
	}
	expectLive(t, s, two)
	b, _ := os.ReadFile(filepath.Join(started.Set.Dir, "amp-builtin.hsb"))
	if !strings.Contains(string(b), "Amp.Test.New") {
		t.Errorf("%q", b)
	}
	if again, err := s.Start(t.Context()); err != nil || len(again.Did) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestFailedBlamesWhatTheChecksMissed(t *testing.T) {
	s, _, one, two := twoSets(t)
	current, _ := s.Current()
	report := scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, File: "daily.cvd", Error: "daily.cvd: bytecode crashed", Engine: "2"}
	started, err := s.Failed(t.Context(), current.ID, report)
	want := files{"daily.cvd": one["daily.cvd"], "main.cvd": two["main.cvd"]}
	if err != nil || !held(t, started.Set).equal(want) {
		t.Fatalf("%+v, %v", started, err)
	}
	expectLive(t, s, want)
	r := started.SetAside[0]
	if !r.Missed || r.Name != "daily.cvd" || r.Log != report.Error || r.Engine != "2" || r.Kept == "" {
		t.Errorf("%+v", r)
	}
	// The updater still has it; it does not come in again.
	mustImport(t, s, s.IncomingDir(), Kept, want)
	if again, err := s.Failed(t.Context(), current.ID, report); err != nil || again.Set.ID != started.Set.ID || len(again.Did) > 0 {
		t.Errorf("told late: %+v, %v", again, err)
	}
	// No file is named: the whole set.
	report.File = ""
	started, err = s.Failed(t.Context(), started.Set.ID, report)
	if err != nil || !held(t, started.Set).equal(one) {
		t.Fatalf("%+v, %v", started, err)
	}
	started, err = s.Failed(t.Context(), started.Set.ID, report)
	if err != nil || !started.Set.BuiltIn {
		t.Fatalf("%+v, %v", started, err)
	}
	if _, err := s.Failed(t.Context(), started.Set.ID, report); err == nil || !strings.Contains(err.Error(), "install the package again") {
		t.Errorf("the built-in set: %v", err)
	}
	if _, err := s.Failed(t.Context(), started.Set.ID, scan.Report{Cause: scan.MemoryShort}); err == nil {
		t.Error("memory was blamed on the definitions")
	}
}

func TestBuiltInSetMissing(t *testing.T) {
	config := testConfig(t, t.TempDir())
	os.RemoveAll(config.BuiltIn)
	if _, err := Open(config).Start(t.Context()); !errors.Is(err, ErrBuiltIn) || !strings.Contains(err.Error(), config.BuiltIn) {
		t.Errorf("%v", err)
	}
}
