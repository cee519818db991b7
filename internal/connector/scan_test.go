package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// recordedScanner scans nothing.
type recordedScanner struct {
	with ScanSurroundings

	mu       sync.Mutex
	applied  []ScanSettings
	events   int
	state    control.Scan
	restarts int
	held     bool
	holds    int

	unsettled int
	err       error
	closed    bool
}

func (s *recordedScanner) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *recordedScanner) Apply(settings ScanSettings) {
	s.locked(func() { s.applied = append(s.applied, settings) })
}

// Settle has waited for something as often as the test says.
func (s *recordedScanner) Settle(context.Context) (waited bool) {
	s.locked(func() {
		waited = s.unsettled > 0
		s.unsettled = max(0, s.unsettled-1)
	})
	return waited
}

// Hold is over when the last one's time is.
func (s *recordedScanner) Hold(most time.Duration) {
	s.locked(func() {
		s.held, s.holds = true, s.holds+1
		hold := s.holds
		time.AfterFunc(most, func() { s.locked(func() { s.held = s.held && s.holds != hold }) })
	})
}
func (s *recordedScanner) Resume() { s.locked(func() { s.held = false }) }

func (s *recordedScanner) Event(*monitor.Event) { s.locked(func() { s.events++ }) }
func (s *recordedScanner) State() (state control.Scan) {
	s.locked(func() { state = s.state })
	return state
}
func (s *recordedScanner) Close() error { s.locked(func() { s.closed = true }); return nil }
func (s *recordedScanner) Restart(context.Context) error {
	s.locked(func() { s.restarts++ })
	return s.err
}

func (s *recordedScanner) Scan(r control.ScanRequest) (control.ScanRun, error) {
	return control.ScanRun{ID: 7, Current: r.Paths[0]}, s.err
}

func (s *recordedScanner) Follow(r control.ScanRequest) (control.ScanRun, error) {
	return control.ScanRun{ID: r.ID}, s.err
}

func (s *recordedScanner) Stop(r control.ScanRequest) (control.ScanRun, error) {
	return control.ScanRun{ID: r.ID, Done: true}, s.err
}

func TestScannerIsToldAndAsked(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		s := w.scanner
		if len(s.applied) == 0 || s.events != canaryEvents {
			t.Errorf("settings %+v and %d events, expected them with the evaluation, and those of the canary", s.applied, s.events)
		}
		s.locked(func() { s.state = control.Scan{State: control.ScanFailed} })
		before := w.evaluated()
		s.with.Changed()
		pass(time.Second)
		if w.evaluated() != before+1 {
			t.Errorf("%d evaluations after the scan service changed, expected one", w.evaluated()-before)
		}
		if got := c.status().Scan.State; got != control.ScanFailed {
			t.Errorf("status says %s", got)
		}
		logged := w.events()
		s.with.Found(&monitor.Event{Kind: monitor.Detection, Name: "Eicar", Process: &monitor.Process{}})
		if w.events() != logged+2 {
			t.Errorf("%d events more in the logs, expected one in each", w.events()-logged)
		}
	})
	if !w.scanner.closed {
		t.Error("the scanner was left open")
	}
}

// Scans wait for a source that is opened, and for no longer: whether it could be opened or not, and was proved or not.
func TestScansWaitForTheSource(t *testing.T) {
	for name, w := range map[string]*world{"opened": {monitored: true}, "refused": {monitored: true, openErr: errors.New("no memory")}} {
		w.opening = func() {
			if !w.scanner.held {
				t.Errorf("%s: scans go on while a source is opened", name)
			}
		}
		inWorld(t, w, func(t *testing.T, _ *core) {
			pass(time.Second)
			w.scanner.locked(func() {
				if w.scanner.held || w.scanner.holds == 0 {
					t.Errorf("%s: held %v after %d times; expected once or more, and that it is over", name, w.scanner.held, w.scanner.holds)
				}
			})
		})
	}
}

func TestScanVerbs(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		ask := func(v control.Verb, r control.ScanRequest) control.Answer {
			return c.handle(t.Context(), control.Request{Verb: v, Scan: &r})
		}
		if a := ask(control.StartScan, control.ScanRequest{Paths: []string{"/srv"}}); a.Scan == nil || a.Scan.Current != "/srv" {
			t.Errorf("%+v", a)
		}
		if a := ask(control.StopScan, control.ScanRequest{ID: 9}); a.Scan == nil || a.Scan.ID != 9 || !a.Scan.Done {
			t.Errorf("%+v", a)
		}
		for err, code := range map[error]control.Code{control.ErrNoScan: control.NoScan, control.ErrBusy: control.Busy, errors.New("x"): control.Incomplete} {
			w.scanner.locked(func() { w.scanner.err = fmt.Errorf("why: %w", err) })
			if a := ask(control.FollowScan, control.ScanRequest{ID: 9}); a.Code != code {
				t.Errorf("%v: %+v, expected %s", err, a, code)
			}
		}
		w.scanner.locked(func() { w.scanner.err = nil })
		before := w.evaluated()
		if a := c.handle(t.Context(), control.Request{Verb: control.RestartScan}); a.Code != "" || w.scanner.restarts != 1 || w.evaluated() != before+2 {
			t.Errorf("%+v, %d restarts, %d evaluations; expected one, and an evaluation before and after it", a, w.scanner.restarts, w.evaluated()-before)
		}
	})
}

// Whoever asks for an evaluation is told of the service as it is after it, and not of one that is being replaced.
func TestAnEvaluationWaitsForTheScanService(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		for unsettled, want := range []int{1, 2} {
			w.scanner.locked(func() { w.scanner.unsettled = unsettled })
			before := w.evaluated()
			if a := c.handle(t.Context(), control.Request{Verb: control.Evaluate}); a.Code != "" || w.evaluated() != before+want {
				t.Errorf("unsettled %d: %+v, %d evaluations, expected %d", unsettled, a, w.evaluated()-before, want)
			}
		}
	})
}

func TestScanSettings(t *testing.T) {
	account := func(uid, gid uint32) host.AccountFacts {
		return host.AccountFacts{User: host.Read(&host.Account{UID: uid}, "p"), Group: host.Read(&host.Group{GID: gid}, "g")}
	}
	for _, tt := range []struct {
		name    string
		account host.AccountFacts
		asRoot  string
	}{
		{"as it should be", account(990, 980), ""},
		{"no user", host.AccountFacts{User: host.Read[*host.Account](nil, "p"), Group: account(1, 2).Group}, "user cisco-amp-scan-svc does not exist"},
		{"no group", host.AccountFacts{User: account(1, 2).User, Group: host.Read[*host.Group](nil, "g")}, "group cisco-amp-scan-svc does not exist"},
		{"uid 0", account(0, 980), "user cisco-amp-scan-svc has uid 0"},
		{"gid 0", account(990, 0), "group cisco-amp-scan-svc has gid 0"},
		{"unreadable", host.AccountFacts{User: host.NotKnown[*host.Account]("p", errors.New("p: denied"))}, "p: denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &health.Facts{Connector: host.Connectors[0]}
			f.Host.Account = tt.account
			f.Policy = host.Read(policy.Policy{Exclusions: policy.Exclusions{Paths: []string{"/a/"}}, Scan: policy.Scan{Enabled: true}}, "x")
			f.Exclusions = host.Read(policy.Exclusions{Paths: []string{"/b/"}}, "y")
			s := scanSettings(f)
			if s.AsRoot != tt.asRoot || !s.Enabled || !slices.Equal(s.Excluded, []string{"/a/", "/b/"}) {
				t.Errorf("%+v, expected as root: %q", s, tt.asRoot)
			}
			if tt.asRoot == "" && (s.UID != 990 || s.GID != 980) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A directory service that is down takes nobody's ids away; an account that is gone or changed does.
func TestScanUserIsKeptWhileItIsNotKnown(t *testing.T) {
	known := func(uid uint32) host.AccountFacts {
		return host.AccountFacts{User: host.Read(&host.Account{UID: uid, GID: 980}, "p"), Group: host.Read(&host.Group{GID: 980}, "g")}
	}
	down := host.ErrNoAnswer
	userUnknown := host.AccountFacts{User: host.NotKnown[*host.Account]("p", down), Group: known(1).Group}
	groupUnknown := host.AccountFacts{User: known(990).User, Group: host.NotKnown[*host.Group]("g", down)}
	rootUnknown := host.AccountFacts{User: known(0).User, Group: groupUnknown.Group}
	gone := host.AccountFacts{User: host.Read[*host.Account](nil, "p"), Group: known(1).Group}
	for _, tt := range []struct {
		name  string
		facts []host.AccountFacts
		uid   uint32
		root  bool
	}{
		{"known", []host.AccountFacts{known(990)}, 990, false},
		{"never known", []host.AccountFacts{userUnknown}, 0, true},
		{"user not known any more", []host.AccountFacts{known(990), userUnknown, userUnknown}, 990, false},
		{"group not known any more", []host.AccountFacts{known(990), groupUnknown}, 990, false},
		{"gone", []host.AccountFacts{known(990), gone}, 0, true},
		{"root now", []host.AccountFacts{known(990), rootUnknown}, 0, true},
		{"another one", []host.AccountFacts{known(990), userUnknown, known(991)}, 991, false},
	} {
		var u scanUser
		var s ScanSettings
		for _, a := range tt.facts {
			f := &health.Facts{Connector: host.Connectors[0]}
			f.Host.Account = a
			s = u.keep(scanSettings(f), a)
		}
		if s.UID != tt.uid || (s.AsRoot != "") != tt.root {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}
