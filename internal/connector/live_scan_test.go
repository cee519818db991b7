package connector

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/quarantine"
)

// scanTestUser is a user that need not exist, with no other processes.
const scanTestUser = 59_917

// scanning is a scanner with the real daemon's sandbox, the real service and the host's libclamav.
type scanning struct {
	*scanner
	t      testing.TB
	dir    string
	places scanPlaces

	mu    sync.Mutex
	found []monitor.Event
}

func newScanning(t testing.TB) *scanning {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the service becomes another user")
	}
	dir, err := os.MkdirTemp("/var/tmp", "amp-scanning-") // the scan user has to come to it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &scanning{t: t, dir: dir}
	s.places = scanPlaces{
		executable: filepath.Join(dir, "ampdaemon"), service: filepath.Join(dir, "ampscansvc"), log: filepath.Join(dir, "ampscansvc.log"),
		definitions: filepath.Join(dir, "definitions"), builtIn: filepath.Join(dir, "share"), verdicts: filepath.Join(dir, "verdicts.db"), schedules: filepath.Join(dir, "schedules.json"),
		quarantine: quarantine.Store{Dir: filepath.Join(dir, "quarantine")}, owner: ownedBy("", nil),
	}
	s.build("ampdaemon", "./../../cmd/ampdaemon")
	s.build("ampscansvc", "./../../cmd/ampscansvc")
	if err := os.CopyFS(s.places.builtIn, definitions.BuiltIn()); err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf(`{"version":1,"schedules":{"nightly":{"on":"daily 00:00","through":%q}}}`, time.Now().Add(-72*time.Hour).Format(time.RFC3339))
	if err := os.WriteFile(s.places.schedules, []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	s.scanner = openScanner(s.places, slog.New(slog.NewTextHandler(t.Output(), nil)), ScanSurroundings{Changed: func() {}, Found: func(e *monitor.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.found = append(s.found, e.Clone())
	}})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *scanning) build(name, pkg string, args ...string) {
	s.t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-o", filepath.Join(s.dir, name+".new")}, args...), pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(s.dir, name+".new"), filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

func scanOn() ScanSettings {
	// Without a policy nothing is forgotten that another one had asked for.
	return ScanSettings{Scan: policy.Default().Scan, NoPolicy: true, UID: scanTestUser, GID: scanTestUser}
}

// until waits for a state.
func (s *scanning) until(what string, is func(control.Scan) bool) control.Scan {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for st := s.State(); ; st = s.State() {
		if is(st) {
			return st
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within a minute: %+v", what, st)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func isReady(st control.Scan) bool { return st.State == control.ScanReady }

// write makes a file and the event of its writing.
func (s *scanning) write(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		s.t.Fatal(err)
	}
	s.Event(&monitor.Event{
		Kind: monitor.FileWrite, Time: time.Now(), Process: &monitor.Process{PID: 1, Comm: "writer"},
		File: monitor.File{Path: path, Device: st.Dev, Inode: st.Ino, Size: uint64(len(content)), Changed: st.Ctim.Nano()},
	})
	return path
}

func (s *scanning) detected(path string) (monitor.Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.found, func(e monitor.Event) bool { return e.File.Path == path })
	if i < 0 {
		return monitor.Event{}, false
	}
	return s.found[i], true
}

func TestScannerFinds(t *testing.T) {
	s := newScanning(t)
	if st := s.State(); st.State != control.ScanStarting {
		t.Errorf("before settings: %+v", st)
	}
	s.Apply(scanOn())
	st := s.until("ready", func(st control.Scan) bool { return isReady(st) || st.Cause == control.ScanLibraryMissing })
	if st.Cause == control.ScanLibraryMissing {
		t.Skip("needs libclamav: " + st.Error)
	}
	if st.UID != scanTestUser || st.GID != scanTestUser || len(st.Groups) > 0 || st.Capable || !st.BuiltIn || st.AsRoot || st.Signatures == 0 {
		t.Errorf("%+v", st)
	}
	path := s.write("sample", definitions.Sample())
	within(t, "the detection", func() bool { _, ok := s.detected(path); return ok })
	e, _ := s.detected(path)
	if !strings.HasPrefix(e.Name, definitions.SampleName) || e.Process.Comm != "writer" || e.Found.Cause != monitor.FileWrite || len(e.Found.SHA256) != 64 || e.Found.Engine != st.Engine {
		t.Errorf("%+v of %+v", e, e.Process)
	}
	s.write("clean", []byte("nothing"))
	within(t, "two scans", func() bool { return s.State().Scanned >= 2 })
	s.testOnDemand(path)
	s.testScheduled(path)
	s.testQuarantine(st.PID)
	s.testUsers()
	s.testKilled(st.PID)
	off := scanOn()
	off.Enabled = false
	s.Apply(off)
	s.until("off", func(st control.Scan) bool { return st.State == control.ScanOff })
}

// testOnDemand scans the directory by hand.
func (s *scanning) testOnDemand(bad string) {
	t := s.t
	run, err := s.Scan(control.ScanRequest{Paths: []string{bad, filepath.Join(s.dir, "clean"), filepath.Join(s.dir, "none")}})
	if err != nil {
		t.Fatal(err)
	}
	var findings []control.ScanFinding
	within(t, "the end of the scan", func() bool {
		run, err = s.Follow(control.ScanRequest{ID: run.ID, After: len(findings)})
		findings = append(findings, run.Findings...)
		return err != nil || run.Done && len(run.Findings) == 0
	})
	if err != nil || run.Files != 2 || run.Found != 1 || run.Failures != 1 || len(findings) != 2 {
		t.Errorf("%+v, %v, findings %+v; expected 2 files, 1 found, 1 not there", run, err, findings)
	}
	if _, err := s.Follow(control.ScanRequest{ID: run.ID}); err == nil {
		t.Error("a scan that is over is still there")
	}
}

// testQuarantine takes files away, without another service, and gives one back.
func (s *scanning) testQuarantine(pid int) {
	t := s.t
	on := scanOn()
	on.Quarantine = policy.QuarantineUnowned
	s.Apply(on)
	path := s.write("taken", definitions.Sample())
	within(t, "the detection", func() bool { _, ok := s.detected(path); return ok })
	e, _ := s.detected(path)
	if _, err := os.Lstat(path); err == nil || e.Found.Quarantined == "" || e.Found.LeftAlone != "" {
		t.Errorf("%v, %+v", err, e.Found)
	}
	if _, err := s.places.quarantine.Restore(t.Context(), e.Found.Quarantined, quarantine.RestoreOptions{}); err != nil {
		t.Error(err)
	}
	for want, bad := range []string{path, filepath.Join(s.dir, "sample")} { // the sample has the content that was given back
		run, err := s.Scan(control.ScanRequest{Paths: []string{bad}})
		within(t, "the end of the scan", func() bool {
			if err == nil && !run.Done {
				run, err = s.Follow(control.ScanRequest{ID: run.ID})
			}
			return err != nil || run.Done
		})
		if want == 0 && (err != nil || run.Found != 1 || run.Quarantined != 0 || len(run.Findings) != 1 || !strings.Contains(run.Findings[0].LeftAlone, e.Found.Quarantined)) {
			t.Errorf("given back: %+v, %v", run, err)
		}
		if want == 0 {
			if err := s.places.quarantine.Delete(t.Context(), e.Found.Quarantined); err != nil {
				t.Error(err)
			}
		} else if err != nil || run.Quarantined != 1 || len(run.Findings) != 1 || run.Findings[0].Quarantined == "" {
			t.Errorf("on demand: %+v, %v", run, err)
		}
	}
	if st := s.State(); st.PID != pid {
		t.Errorf("the service is another one: %+v", st)
	}
	s.Apply(scanOn())
}

// testScheduled makes up for a scan that the daemon before, whose record is there, did not live to make.
func (s *scanning) testScheduled(bad string) {
	s.mu.Lock()
	s.found = nil
	s.mu.Unlock()
	settings := scanOn()
	settings.Schedules = []policy.Schedule{{Name: "nightly", On: policy.When{Days: policy.Daily}, RunMissed: true, Paths: []string{bad, filepath.Join(s.dir, "none")}}}
	s.Apply(settings)
	st := s.until("the end of the scheduled scan", func(st control.Scan) bool {
		return len(st.Schedules) == 1 && st.Schedules[0].Last != nil && !st.Schedules[0].Last.Ended.IsZero()
	})
	if l := st.Schedules[0].Last; l.Files != 1 || l.Found != 1 || l.Failures != 1 || l.Error != "" {
		s.t.Errorf("%+v, expected 1 file, 1 found, 1 not there", l)
	}
	if e, ok := s.detected(bad); !ok || e.Process.Comm != "ampdaemon" {
		s.t.Errorf("%+v, expected a detection that nobody's deed led to", e)
	}
	s.Apply(scanOn())
}

// testUsers takes the scan user away and gives it back.
func (s *scanning) testUsers() {
	root := scanOn()
	root.UID, root.GID, root.AsRoot = 0, 0, "it was deleted"
	s.Apply(root)
	s.Settle(s.t.Context())
	if st := s.State(); !st.AsRoot || st.UID != 0 {
		s.t.Errorf("settled, and not as root: %+v", st)
	}
	st := s.until("as root", func(st control.Scan) bool { return isReady(st) && st.AsRoot && st.UID == 0 })
	if st.Capable || st.UserError != "it was deleted" {
		s.t.Errorf("%+v", st)
	}
	s.Apply(scanOn())
	s.until("as the user again", func(st control.Scan) bool { return isReady(st) && !st.AsRoot && st.UID == scanTestUser })
	other := scanOn()
	other.UID, other.GID = scanTestUser+1, scanTestUser+1
	s.Apply(other)
	s.until("as the user that the account is now", func(st control.Scan) bool { return isReady(st) && st.UID == scanTestUser+1 && st.GID == scanTestUser+1 })
	s.Apply(scanOn())
}

// testKilled kills the service, and has it start anew.
func (s *scanning) testKilled(before int) {
	st := s.State()
	if st.PID == before {
		s.t.Error("the service is the one from before the change of users")
	}
	if err := unix.Kill(st.PID, unix.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	again := s.until("another service", func(now control.Scan) bool { return isReady(now) && now.PID != st.PID })
	if len(again.Ends) != 1 || again.Ends[0].Signal != "SIGKILL" {
		s.t.Errorf("ends %+v", again.Ends)
	}
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	defer stop()
	if err := s.Restart(ctx); err != nil {
		s.t.Error(err)
	}
	if st := s.State(); !isReady(st) || len(st.Ends) != 0 || st.PID == again.PID {
		s.t.Errorf("after a restart by hand: %+v", st)
	}
}

// A service that ends before its report, since Go's runtime or its threads get no memory, names memory as the cause.
func TestScannerWithoutMemoryForTheRuntime(t *testing.T) {
	s := newScanning(t)
	s.build("ampscansvc", "./../../cmd/ampscansvc", "-tags", "fakeengine")
	for less, want := range map[int]string{60: "since memory was refused", 20: "since a thread was refused"} {
		settings := scanOn()
		settings.MemoryMiB = -less // of what the program takes beside its engine
		s.Apply(settings)
		st := s.until("failed", func(st control.Scan) bool { return st.State == control.ScanFailed && strings.Contains(st.Error, want) })
		if st.Cause != control.ScanMemory || st.Stage != "" {
			t.Errorf("%d MiB less than the program takes: %+v", less, st)
		}
	}
	if log, err := os.ReadFile(s.places.log); err != nil || !strings.Contains(string(log), "fatal error: ") {
		t.Errorf("the log has %.200q, %v", log, err)
	}
}

// A set goes live by itself when an updater has brought it, and one that is damaged later is left for the one before.
func TestScannerTakesDefinitions(t *testing.T) {
	for name, memory := range map[string]uint64{"memory for two engines": 1 << 40, "memory for one": 1} {
		t.Run(name, func(t *testing.T) { testDefinitionsTaken(t, memory) })
	}
}

func testDefinitionsTaken(t *testing.T, memory uint64) {
	s := newScanning(t)
	s.memory = func() uint64 { return memory }
	s.build("ampscansvc", "./../../cmd/ampscansvc", "-tags", "fakeengine")
	s.scanner.places.log = filepath.Join(s.dir, "none", "log") // a log that cannot be made keeps no service from its work
	settings := scanOn()
	settings.Unsigned = true
	s.Apply(settings)
	first := s.until("ready", isReady)
	in := filepath.Join(s.places.definitions, "incoming")
	if err := os.MkdirAll(in, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(in, "local.ndb"), []byte("Local.A:0:0:41424344\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	live := s.again(settings, "other definitions", func(st control.Scan) bool { return isReady(st) && !st.BuiltIn })
	if live.Definitions == first.Definitions || len(live.Ends) != 0 {
		t.Errorf("%+v", live)
	}

	// The set fails at a start: as if its file had been damaged in a way that only the engine sees.
	set := filepath.Join(s.places.definitions, "current")
	if err := os.WriteFile(filepath.Join(set, "fail-load.fake"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(live.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	back := s.again(settings, "the built-in definitions", func(st control.Scan) bool { return isReady(st) && st.BuiltIn })
	if back.Definitions != first.Definitions {
		t.Errorf("%s, before that %s", back.Definitions, first.Definitions)
	}
}

// again applies the settings, as an evaluation does, until a state is there.
func (s *scanning) again(settings ScanSettings, what string, is func(control.Scan) bool) control.Scan {
	s.t.Helper()
	for range 200 {
		s.Apply(settings)
		if st := s.State(); is(st) {
			return st
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatalf("%s: not within 20 s: %+v", what, s.State())
	panic("not reached")
}

// What is not scanned since no service can be started, or since the settings of the one for which it waited are others now, is counted.
func TestWhatIsNotScannedIsCounted(t *testing.T) {
	s := newScanning(t)
	service := s.places.service
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(service, service+".away")
	s.Apply(scanOn())
	s.until("failed", func(st control.Scan) bool { return st.State == control.ScanFailed })
	s.write("unscanned", []byte("nothing"))
	s.Event(&monitor.Event{Kind: monitor.Exit, Process: &monitor.Process{PID: 1}}) // leads to no scan
	if n := s.State().Dropped; n != 1 {
		t.Errorf("%d were dropped, expected 1", n)
	}
	move(service+".away", service)
	other := scanOn()
	other.FileMiB++
	s.Apply(other)
	s.until("ready", isReady)
	if n := s.State().Dropped; n != 1 {
		t.Errorf("with other settings %d were dropped, expected 1", n)
	}
	s.Hold(time.Hour)
	s.write("held", []byte("nothing"))
	s.Apply(scanOn())
	s.until("another service", func(st control.Scan) bool { return st.Dropped > 1 })
	if n := s.State().Dropped; n != 2 {
		t.Errorf("%d were dropped, expected 2: one waited", n)
	}
	off := scanOn()
	off.Enabled = false
	s.Apply(off)
	s.until("off", func(st control.Scan) bool { return st.State == control.ScanOff })
	s.write("unwanted", []byte("nothing"))
	if n := s.State().Dropped; n != 2 {
		t.Errorf("%d were dropped, expected 2: nothing is asked for", n)
	}
}
