package installer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// sets is a store of definitions in files below a directory: the version in use, and that before.
type sets struct{ dir string }

func (s sets) path(name string) string {
	return filepath.Join(s.dir, "var/lib/cisco/amp/definitions", name)
}

func (s sets) Current(context.Context) (string, error) {
	b, err := os.ReadFile(s.path("current"))
	return strings.TrimSpace(string(b)), err
}

// Verify finds versions that begin with "bad".
func (s sets) Verify(ctx context.Context) ([]BadDefinition, error) {
	current, err := s.Current(ctx)
	if err == nil && strings.HasPrefix(current, "bad") {
		return []BadDefinition{{"daily.cvd", "its MD5 does not fit"}}, nil
	}
	return nil, err
}

func (s sets) Restore(ctx context.Context) error {
	bad, err := s.Verify(ctx)
	if err != nil || len(bad) == 0 {
		return err
	}
	return s.Rollback(ctx)
}

func (s sets) Rollback(context.Context) error {
	if err := os.Rename(s.path("previous"), s.path("current")); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(s.path("current")))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// plant makes a root with a set in use and one before it.
func (s sets) plant(t *testing.T, current, previous string) {
	t.Helper()
	for name, text := range map[string]string{"current": current, "previous": previous} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(s.path(name)), 0o755), os.WriteFile(s.path(name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func (s sets) host() *Host {
	h := NewHost(host.At(s.dir), nil)
	h.Definitions = s
	return h
}

func runOne(t *testing.T, h *Host, step Step, dry bool) (Result, error) {
	t.Helper()
	results, err := Run(t.Context(), h, Plan{Name: "test", Items: []Item{{Step: step}}}, Options{DryRun: dry})
	if len(results) != 1 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	return results[0], err
}

func TestRestoreDefinitions(t *testing.T) {
	s := sets{t.TempDir()}
	s.plant(t, "bad 2", "good 1")
	step := &RestoreDefinitions{}
	if r, err := runOne(t, s.host(), step, true); r.Outcome != Planned || err != nil || !strings.Contains(step.Title().EN, "set aside daily.cvd: its MD5 does not fit and") {
		t.Errorf("dry run: %+v, %v, %q", r, err, step.Title().EN)
	}
	if current, _ := s.Current(t.Context()); current != "bad 2" {
		t.Errorf("a dry run left %q", current)
	}
	if r, err := runOne(t, s.host(), step, false); r.Outcome != Done || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if current, _ := s.Current(t.Context()); current != "good 1" {
		t.Errorf("in use: %q", current)
	}
	if r, err := runOne(t, s.host(), &RestoreDefinitions{}, false); r.Outcome != Skipped || err != nil {
		t.Errorf("again: %+v, %v", r, err)
	}
	s.plant(t, "bad 2", "bad 1")
	if r, err := runOne(t, s.host(), &RestoreDefinitions{}, false); r.Outcome != Failed || err == nil || !strings.Contains(err.Error(), "still in use: daily.cvd") {
		t.Errorf("no set that works: %+v, %v", r, err)
	}
}

// What cannot be checked does not stop the steps behind it, and is said.
func TestRestoreDefinitionsWithoutAStore(t *testing.T) {
	unreadable := sets{t.TempDir()}
	for name, h := range map[string]*Host{"no store": NewHost(host.At(t.TempDir()), nil), "unreadable": unreadable.host()} {
		step := &RestoreDefinitions{}
		r, err := runOne(t, h, step, false)
		if left := step.Remark(); r.Outcome != Skipped || err != nil || !strings.Contains(left.EN, "were not checked") || !strings.Contains(left.JA, "検査できません") {
			t.Errorf("%s: %+v, %v, %+v", name, r, err, left)
		}
	}
	if err := (&DropDefinitions{}).Apply(t.Context(), NewHost(host.At(t.TempDir()), nil)); !errors.Is(err, errNoStore) {
		t.Errorf("drop: %v", err)
	}
}

func TestDropDefinitions(t *testing.T) {
	s := sets{t.TempDir()}
	s.plant(t, "27501", "27500")
	step := &DropDefinitions{Version: "27501"}
	if r, err := runOne(t, s.host(), step, false); r.Outcome != Done || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if current, _ := s.Current(t.Context()); current != "27500" {
		t.Errorf("in use: %q", current)
	}
	if r, err := runOne(t, s.host(), step, false); r.Outcome != Skipped || err != nil {
		t.Errorf("again: %+v, %v", r, err)
	}
	s.plant(t, "27502", "27500")
	step = &DropDefinitions{}
	if r, err := runOne(t, s.host(), step, false); r.Outcome != Done || err != nil || step.Version != "27502" {
		t.Errorf("the one in use: %+v, %v, %+v", r, err, step)
	}
	if current, _ := s.Current(t.Context()); current != "27500" {
		t.Errorf("in use: %q", current)
	}
	if r, err := runOne(t, s.host(), &DropDefinitions{Version: "27500"}, false); r.Outcome != Failed || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing before: %+v, %v", r, err)
	}
}

func init() {
	sweepPlans["definitions"] = func(_ context.Context, h *Host) Plan {
		h.Definitions = sets{h.Root.Dir()}
		return Plan{Name: "definitions", Items: []Item{{Step: &RestoreDefinitions{}}, {Step: &DropDefinitions{Version: "good 1"}}}}
	}
}

// Killed wherever it is, a set is in use, and the next run carries on.
func TestDefinitionsSweep(t *testing.T) {
	version := func(root string, want ...string) error {
		current, err := sets{root}.Current(context.Background())
		if err != nil || !slices.Contains(want, current) {
			return fmt.Errorf("in use: %q, %w; expected one of %q", current, err, want)
		}
		return nil
	}
	sweep{
		plan: "definitions",
		root: func(t *testing.T) string {
			dir := t.TempDir()
			sets{dir}.plant(t, "bad 2", "good 0")
			return dir
		},
		recovered: func(root string) error { return version(root, "bad 2", "good 0") },
		planned:   func(root string) error { return version(root, "good 0") },
	}.run(t)
}

// daemon answers RestartScan below a root.
func daemon(t *testing.T, root string, answer func() control.Answer) (asked *int) {
	t.Helper()
	socket := filepath.Join(root, control.Socket)
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	asked = new(int)
	go func() {
		done <- (&control.Server{Log: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, r control.Request) control.Answer {
			if r.Verb != control.RestartScan {
				return control.Answer{Code: control.BadRequest, Error: "another verb"}
			}
			*asked++
			return answer()
		}}).Serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return asked
}

func TestScanService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may ask for it")
	}
	for name, c := range map[string]struct {
		answer control.Answer
		err    string
	}{
		"ready":       {control.Answer{Status: &control.Status{Scan: control.Scan{State: control.ScanReady}}}, ""},
		"failed":      {control.Answer{Status: &control.Status{Scan: control.Scan{State: control.ScanFailed, Stage: "definitions", Cause: "definitions", File: "daily.cvd", Error: "MD5"}}}, "stage definitions, definitions: daily.cvd: MD5"},
		"not in time": {control.Answer{Code: control.Incomplete, Error: "not finished yet", Status: &control.Status{Scan: control.Scan{State: control.ScanStarting}}}, "not finished yet"},
		"older":       {control.Answer{Code: control.BadRequest, Error: "verb"}, "does not know this request"},
	} {
		dir := t.TempDir()
		asked := daemon(t, dir, func() control.Answer { return c.answer })
		h := NewHost(host.At(dir), nil)
		h.Live = true
		r, err := runOne(t, h, &ScanService{}, false)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || *asked != 1 || err == nil && r.Outcome != Done {
			t.Errorf("%s: %+v, %v, asked %d times", name, r, err, *asked)
		}
	}
	h := NewHost(host.At(t.TempDir()), nil)
	if r, err := runOne(t, h, &ScanService{}, false); r.Outcome != Skipped || err != nil {
		t.Errorf("an image: %+v, %v", r, err)
	}
	h.Live = true
	if _, err := runOne(t, h, &ScanService{}, false); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("no daemon: %v", err)
	}
}

func TestEngineItems(t *testing.T) {
	facts := func(d host.Distribution, manager string, repository host.Reading[bool]) *health.Facts {
		f := &health.Facts{}
		f.Host.Distribution = host.Read(d, "/etc/os-release")
		f.Host.PackageManager = host.Read(host.PackageManager{Name: manager}, manager)
		f.Host.Engine.Repository = repository
		return f
	}
	rocky := host.Distribution{ID: "rocky", VersionID: "9.4", Family: host.RedHat}
	for name, c := range map[string]struct {
		facts    *health.Facts
		step     bool
		commands string // of the step, or of a person
		words    string
	}{
		"Debian":         {facts(host.Distribution{ID: "debian", VersionID: "13", Family: host.Debian}, "apt", host.Reading[bool]{}), true, "apt-get install -y libclamav12", ""},
		"EPEL there":     {facts(rocky, "dnf", host.Read(true, "epel.repo")), true, "dnf install -y clamav-lib", ""},
		"no EPEL":        {facts(rocky, "dnf", host.Read(false, "/etc/yum.repos.d")), false, "dnf install -y epel-release; dnf install -y clamav-lib; amp-remediate 7", "the repository EPEL, which is not set up"},
		"EPEL not known": {facts(rocky, "dnf", host.NotKnown[bool]("", os.ErrPermission)), false, "dnf install -y epel-release; dnf install -y clamav-lib; amp-remediate 7", "EPEL"},
		"no manager":     {facts(rocky, "", host.Read(false, "")), false, "dnf install -y epel-release; amp-remediate 7", "EPEL"},
		"image-based":    {facts(host.Distribution{ID: "fedora", VersionID: "40", Family: host.RedHat, Immutable: true}, "rpm-ostree", host.Reading[bool]{}), false, "rpm-ostree install --idempotent clamav-lib; systemctl reboot", "into the system image"},
		"not known":      {facts(host.Distribution{ID: "alpine"}, "", host.Reading[bool]{}), false, "", "not known here"},
	} {
		items := EngineItems(c.facts)
		if len(items) != 1 {
			t.Errorf("%s: %d items", name, len(items))
			continue
		}
		commands := items[0].Commands
		if items[0].Step != nil {
			commands = items[0].Step.Commands()
		}
		if (items[0].Step != nil) != c.step || strings.Join(commands, "; ") != c.commands || !strings.Contains(items[0].Manual.EN, c.words) || !c.step && items[0].Manual.In(fault.Japanese) == items[0].Manual.EN {
			t.Errorf("%s: %+v, %q", name, items[0], commands)
		}
	}
	if p := EngineItems(facts(host.Distribution{ID: "debian", VersionID: "12", Family: host.Debian}, "apt", host.Reading[bool]{}))[0].Step.(*Packages); !slices.Equal(p.Instead, []string{"libclamav11", "libclamav9"}) {
		t.Errorf("instead: %v", p.Instead)
	}
}

func TestScanItems(t *testing.T) {
	f := &health.Facts{Found: true, Connector: host.Connectors[0]}
	if items := ScanItems(f); len(items) != 1 || items[0].Step.Kind() != "scan-service" {
		t.Errorf("%+v", items)
	}
	f.Connector = host.Connectors[1]
	if items := ScanItems(f); items != nil {
		t.Errorf("the vendor's: %+v", items)
	}
}
