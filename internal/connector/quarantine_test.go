package connector

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/capability"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/quarantine"
	"github.com/ampconnector/amp/internal/scan/queue"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// ownedBy says who has brought a file.
func ownedBy(pkg string, err error) func(context.Context, string) host.Reading[host.PackageOwner] {
	return func(_ context.Context, path string) host.Reading[host.PackageOwner] {
		if err != nil {
			return host.NotKnown[host.PackageOwner](path, err)
		}
		return host.Read(host.PackageOwner{Package: pkg}, path)
	}
}

func TestQuarantine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the quarantine is root's")
	}
	for _, tt := range []struct {
		name  string
		asked policy.Quarantine
		owner string
		err   error
		view  bool // the file is in a process's own view alone
		taken bool
		left  string
	}{
		{name: "off", asked: policy.QuarantineOff},
		{name: "no policy"},
		{name: "of no package", asked: policy.QuarantineUnowned, taken: true},
		{name: "of a package", asked: policy.QuarantineUnowned, owner: "coreutils", left: "coreutils"},
		{name: "not known", asked: policy.QuarantineUnowned, err: errors.New("no database"), left: "it cannot be told whether a package has brought it: no database"},
		{name: "all", asked: policy.QuarantineAll, owner: "coreutils", taken: true},
		{name: "another view", asked: policy.QuarantineUnowned, view: true, left: "it is in the view of container c1"},
		{name: "another view, all", asked: policy.QuarantineAll, view: true, taken: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := &scanner{log: slog.New(slog.DiscardHandler), places: scanPlaces{quarantine: quarantine.Store{Dir: filepath.Join(dir, "store")}, owner: ownedBy(tt.owner, tt.err)}}
			s.settings.Store(&ScanSettings{Scan: policy.Scan{Quarantine: tt.asked}})
			path := filepath.Join(dir, "bad")
			if err := os.WriteFile(path, []byte("x"), 0o755); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			id, err := verdicts.Identify(f)
			if err != nil {
				t.Fatal(err)
			}
			finding := queue.Finding{Path: path, Identity: id, File: f, Answer: scan.Answer{Name: "Test.A"}, Event: monitor.Event{
				Kind: monitor.FileWrite, Process: &monitor.Process{PID: uint32(os.Getpid()), Comm: "cp", Container: "c1", UID: 7},
			}}
			if tt.view {
				s.places.quarantine.Roots = []string{filepath.Join(dir, "none")} // the host's own does not have it
			}
			e, done := s.quarantine(&finding, &monitor.Found{Engine: "1", Definitions: "2"})
			if (done.Quarantined != "") != tt.taken || (done.LeftAlone != "") != (tt.left != "") || !strings.Contains(done.LeftAlone, tt.left) {
				t.Errorf("%+v", done)
			}
			if _, err := os.Lstat(path); (err != nil) != tt.taken {
				t.Errorf("%v", err)
			}
			if want := (quarantine.Why{Name: "Test.A", Engine: "1", Definitions: "2", Event: "write", PID: uint32(os.Getpid()), Process: "cp", UID: 7}); tt.taken && (e.Why != want || (e.View == "container c1") != tt.view) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestOwnFilesAreLeftAlone(t *testing.T) {
	s := &scanner{places: scanPlaces{owner: ownedBy("", nil)}}
	if err := s.permit(t.Context(), policy.QuarantineAll, quarantine.Root{}, "/opt/cisco/amp/bin/ampscansvc"); !errors.Is(err, errOwn) {
		t.Error(err)
	}
}

// What is found in a file makes another service no more than it makes other definitions.
func TestQuarantineIsNotTheServices(t *testing.T) {
	a, b := policy.Default().Scan, policy.Default().Scan
	b.Quarantine = policy.QuarantineAll
	if !sameService(a, b) {
		t.Error("the service is started anew for the quarantine")
	}
	if b.Workers++; sameService(a, b) {
		t.Error("the service goes on with other workers")
	}
}

// The rights are those of one thread, and of no other after.
func TestRightsAreForOneThing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others have no capabilities")
	}
	effective := func() uint64 {
		sets, err := capability.Get()
		if err != nil {
			t.Error(err)
		}
		return sets.Effective
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and lost with the goroutine
		sets, err := capability.Get()
		sets.Effective &^= quarantineRights
		if err := errors.Join(err, sets.Set()); err != nil {
			t.Error(err)
			return
		}
		raise()
		if got := effective(); got&quarantineRights != quarantineRights&sets.Permitted {
			t.Errorf("%#x in effect", got)
		}
	}()
	<-ended
	want := errors.New("x")
	if err := withRights(func() error { return want }); !errors.Is(err, want) {
		t.Error(err)
	}
}
