package definitions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/durable/killsweep"
)

func TestMain(m *testing.M) {
	killsweep.Main(m, &reached, func(what, dir string) error { return deeds[what].do(Open(sweepConfig(dir))) })
}

func sweepConfig(dir string) Config {
	c := Config{Dir: filepath.Join(dir, "definitions"), BuiltIn: filepath.Join(dir, "share"), Program: "sweep", Prove: fakeProve, Unsigned: true}
	return c
}

var (
	sweepOne   = files{"daily.cvd": string(container(1, "one")), "a.ndb": entry}
	sweepTwo   = files{"daily.cvd": string(container(2, "two")), "a.ndb": entry + entry}
	sweepThree = files{"daily.cvd": string(container(3, "three")), "a.ndb": entry + entry + entry}
	sweepBad   = files{"daily.cvd": string(container(4, "REFUSED")), "a.ndb": "x.z:0:0:4142434449\n"}
	sweepMixed = files{"daily.cvd": sweepTwo["daily.cvd"], "a.ndb": sweepBad["a.ndb"]}
)

// done takes an outcome for an error only; what is live is looked at from outside.
func done(_ Outcome, err error) error { return err }

// deed is what the sweep interrupts. The host has sweepOne as its previous and sweepTwo as its live set.
type deed struct {
	incoming files
	prepare  func(s *Store) error
	do       func(s *Store) error
	live     []files // what may be live after a kill; the last one is what is live after the deed
}

var deeds = map[string]deed{
	"import": {incoming: sweepThree, live: []files{sweepTwo, sweepThree}, do: func(s *Store) error {
		return done(s.Import(context.Background(), s.IncomingDir(), false))
	}},
	"import of a bad file": {incoming: sweepBad, live: []files{sweepTwo, sweepMixed}, do: func(s *Store) error {
		return done(s.Import(context.Background(), s.IncomingDir(), false))
	}},
	"import of the previous set": {incoming: sweepOne, live: []files{sweepTwo, sweepOne}, do: func(s *Store) error {
		return done(s.Import(context.Background(), s.IncomingDir(), false))
	}},
	"rollback": {incoming: sweepTwo, live: []files{sweepTwo, sweepOne}, do: func(s *Store) error {
		set, err := s.Current()
		if f, _ := set.file("a.ndb"); err != nil || f.Size == int64(len(sweepOne["a.ndb"])) {
			return err // it had been done when it was killed
		}
		return done(s.Rollback(context.Background()))
	}},
	"start with a bad file": {incoming: sweepTwo, live: []files{nil, {"daily.cvd": sweepOne["daily.cvd"], "a.ndb": sweepTwo["a.ndb"]}}, prepare: func(s *Store) error {
		set, err := s.Current()
		return errors.Join(err, os.Truncate(filepath.Join(set.Dir, "daily.cvd"), 530))
	}, do: func(s *Store) error {
		_, err := s.Start(context.Background())
		return err
	}},
}

// sweepHost makes the host of a deed.
func sweepHost(t *testing.T, d deed) (dir string, s *Store) {
	t.Helper()
	dir = t.TempDir()
	testConfig(t, dir)
	s = Open(sweepConfig(dir))
	mustImport(t, s, sweepOne.replace(t, s.IncomingDir()), Live, sweepOne)
	mustImport(t, s, sweepTwo.replace(t, s.IncomingDir()), Live, sweepTwo)
	d.incoming.replace(t, s.IncomingDir())
	if d.prepare != nil {
		if err := d.prepare(s); err != nil {
			t.Fatal(err)
		}
	}
	return dir, s
}

// mayBeLive looks at the host after a kill: the live set is one of those that may be, whole, and nothing of the incoming directory has changed.
func mayBeLive(t *testing.T, s *Store, d deed) {
	t.Helper()
	set, err := s.Current()
	if err != nil {
		t.Fatalf("current: %v", err)
	}
	bad, err := s.whole(set)
	if err != nil {
		t.Fatal(err)
	}
	ok := false
	for _, want := range d.live {
		if want == nil { // it is damaged from the beginning
			return
		}
		ok = ok || held(t, set).equal(want)
	}
	if !ok || len(bad) > 0 {
		t.Errorf("live is %q, %v; expected one of %q", held(t, set), bad, d.live)
	}
	previous, err := s.Previous()
	if err != nil {
		t.Fatalf("previous: %v", err)
	}
	if bad, err := s.whole(previous); err != nil || len(bad) > 0 {
		t.Errorf("the previous set is not whole: %v, %v", bad, err)
	}
}

func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("the sweep starts two programs for each kill point: not with -short")
	}
	for what, d := range deeds {
		t.Run(what, func(t *testing.T) {
			dir, s := sweepHost(t, d)
			points := killsweep.Run(t, what, dir, "")
			expectLive(t, s, d.live[len(d.live)-1])
			if len(points) < 5 {
				t.Fatalf("points: %q", points)
			}
			t.Logf("%d kill points: %s", len(points), strings.Join(points, " "))
			for _, point := range points {
				t.Run(point, func(t *testing.T) { killedAt(t, what, d, point) })
			}
		})
	}
}

// killedAt kills a deed at one point, looks at the host, and lets the deed be done again.
func killedAt(t *testing.T, what string, d deed, point string) {
	dir, s := sweepHost(t, d)
	killsweep.Run(t, what, dir, point)
	mayBeLive(t, s, d)
	for name, content := range d.incoming {
		if b, err := os.ReadFile(filepath.Join(s.IncomingDir(), name)); err != nil || string(b) != content {
			t.Errorf("incoming %s: %v", name, err)
		}
	}
	killsweep.Run(t, what, dir, "")
	expectLive(t, s, d.live[len(d.live)-1])
	if started, err := s.Start(t.Context()); err != nil || len(started.Did) > 0 {
		t.Errorf("start: %q, %v", started.Did, err)
	}
	entries, err := os.ReadDir(s.config.Dir)
	for _, e := range entries {
		if strings.Contains(e.Name(), durable.NewSuffix) || e.Name() == stagingName {
			t.Errorf("%s is left", e.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}
