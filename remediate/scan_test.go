package remediate

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

// TestScanPlans has each cause of fault 7, and fault 6, with the kinds of its plan.
func TestScanPlans(t *testing.T) {
	failed := func(cause string) func(*health.Facts) {
		return scanState(control.Scan{State: control.ScanFailed, Stage: "library", Cause: cause, Error: "x"})
	}
	epel := func(f *health.Facts) { f.Host.Engine.Repository = host.Read(true, "/etc/yum.repos.d/epel.repo") }
	noDaemon := func(f *health.Facts) {
		f.Scanning = host.NotKnown[control.Scan](control.Socket, control.ErrNotRunning)
		f.Host.Engine.Libraries = host.Read[[]string](nil, "/usr/lib64")
	}
	for _, c := range []struct {
		name   string
		id     fault.ID
		change []func(*health.Facts)
		kinds  string
		has    []string // among commands and packages
	}{
		{"library missing, EPEL there", 7, []func(*health.Facts){failed(control.ScanLibraryMissing), epel}, "packages scan-service", []string{"clamav-lib"}},
		{"library missing, no EPEL", 7, []func(*health.Facts){failed(control.ScanLibraryMissing)}, "manual", []string{"dnf install -y epel-release", "dnf install -y clamav-lib"}},
		{"library missing, no daemon", 7, []func(*health.Facts){noDaemon, epel}, "packages service", []string{"clamav-lib"}},
		{"library missing, no daemon, no EPEL", 7, []func(*health.Facts){noDaemon}, "manual", nil},
		{"library unusable", 7, []func(*health.Facts){failed(control.ScanLibraryUnusable), epel}, "packages scan-service manual", nil},
		{"definitions", 7, []func(*health.Facts){failed(control.ScanDefinitions)}, "restore-definitions scan-service manual", []string{"ampcli definitions list"}},
		{"self-test", 7, []func(*health.Facts){failed(control.ScanSelfTest)}, "restore-definitions scan-service manual", nil},
		{"hung", 7, []func(*health.Facts){failed(control.ScanHung)}, "restore-definitions scan-service manual", nil},
		{"killed", 7, []func(*health.Facts){failed(control.ScanKilled)}, "restore-definitions scan-service manual manual", nil},
		{"memory", 7, []func(*health.Facts){failed(control.ScanMemory)}, "scan-service manual", []string{"amp-remediate 7 --rollback"}},
		{"rights", 7, []func(*health.Facts){failed(control.ScanRights), directory(&host.DirectoryState{Mode: 0o700, IsDir: true})}, "directory scan-service manual", nil},
		{"program", 7, []func(*health.Facts){failed(control.ScanProgram)}, "manual", []string{"dnf reinstall -y amp-connector"}},
		{"of a newer daemon", 7, []func(*health.Facts){failed("new")}, "scan-service", nil},
		{"ends", 6, []func(*health.Facts){func(f *health.Facts) { f.Scanning.Value.Ends = endsOf(5, "SIGSEGV") }}, "scan-service manual manual",
			[]string{"amp-remediate 6 --exclude /srv/poison", "amp-remediate 6 --exclude '/srv/a b'", "amp-remediate 6 --rollback"}},
		{"ends, built-in only", 6, []func(*health.Facts){func(f *health.Facts) { f.Scanning.Value.Ends, f.Scanning.Value.BuiltIn = endsOf(5, "SIGKILL"), true }}, "scan-service manual manual", []string{"free -m"}},
		{"runs as root", 5, []func(*health.Facts){func(f *health.Facts) { f.Scanning.Value.AsRoot = true }}, "scan-service", nil},
		{"runs as root, and no user", 5, []func(*health.Facts){func(f *health.Facts) { f.Scanning.Value.AsRoot, f.Host.Account.User.Value = true, nil }}, "account-locks user service scan-service", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &soundWorld().facts
			f.Host.PackageManager = host.Read(host.PackageManager{Name: "dnf"}, "/usr/bin/dnf")
			for _, change := range c.change {
				change(f)
			}
			finding, _ := health.CheckOne(f, c.id)
			p, err := Plan(f, finding)
			if got := strings.Join(slices.Compact(kinds(p)), " "); err != nil || got != strings.Join(slices.Compact(strings.Fields(c.kinds)), " ") {
				t.Errorf("plan %q, %v; want %q (fault is %s)", got, err, c.kinds, finding.State)
			}
			var told []string
			for _, item := range p.Items {
				told = append(append(told, item.Commands...), item.Packages...)
			}
			for _, want := range c.has {
				if !slices.Contains(told, want) {
					t.Errorf("no %q among %q", want, told)
				}
			}
		})
	}
}

// scanWorld is a world whose scan service ended too often. Its steps are real and work below a root, but for those that ask the daemon.
type scanWorld struct {
	*world
	root string
	sets *definitionSets
	end  []control.ScanEnd // of the service once it was started anew
}

// definitionSets is a store in memory.
type definitionSets struct {
	current, previous string
	bad               bool
}

func (s *definitionSets) Current(context.Context) (string, error) { return s.current, nil }

func (s *definitionSets) Verify(context.Context) ([]installer.BadDefinition, error) {
	if s.bad {
		return []installer.BadDefinition{{File: "daily.cvd", Why: "MD5"}}, nil
	}
	return nil, nil
}

func (s *definitionSets) Restore(ctx context.Context) error { return s.Rollback(ctx) }

func (s *definitionSets) Rollback(context.Context) error {
	if s.previous == "" {
		return fs.ErrNotExist
	}
	s.current, s.previous, s.bad = s.previous, "", false
	return nil
}

func endingWorld(t *testing.T) *scanWorld {
	w := &scanWorld{world: soundWorld(), root: t.TempDir(), sets: &definitionSets{current: "27500", previous: "27499"}}
	w.askErr = nil
	w.facts.Scanning.Value.Ends = endsOf(5, "SIGSEGV")
	if err := os.MkdirAll(filepath.Join(w.root, filepath.Dir(policy.ExclusionPath)), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// remedyOf runs amp-remediate on the world.
func (w *scanWorld) remedyOf(t *testing.T, id fault.ID, adapt func(*Tool)) (code int, stdout, stderr string) {
	t.Helper()
	h := w.hands()
	h.Plan, h.Lock, h.Recover = nil, nil, nil
	h.Target = func(_ host.Root, log *slog.Logger) *installer.Host {
		target := installer.NewHost(host.At(w.root), log)
		target.Definitions = w.sets
		return target
	}
	h.Run = func(ctx context.Context, target *installer.Host, p installer.Plan, o installer.Options) ([]installer.Result, error) {
		items := slices.Clone(p.Items)
		for i, item := range items {
			if item.Step != nil && item.Step.Kind() == "scan-service" {
				items[i].Step = &restart{Step: item.Step, w: w}
			}
		}
		p.Items = items
		return installer.Run(ctx, target, p, o)
	}
	h.Tail = func(path string, lines int) host.Reading[[]string] {
		if path == scanLogs[0] {
			return host.Read([]string{"scan service ended", ""}, path)
		}
		return host.NotKnown[[]string](path, fs.ErrNotExist)
	}
	var out, errs bytes.Buffer
	tool := &Tool{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Privileged: true, Language: fault.English, hands: h}
	if adapt != nil {
		adapt(tool)
	}
	code = tool.Remedy(t.Context(), Selection{IDs: []fault.ID{id}})
	return code, out.String(), errs.String()
}

// restart is a scan service of the world that is started anew.
type restart struct {
	installer.Step
	w *scanWorld
}

func (r *restart) Needed(context.Context, *installer.Host) (bool, error) { return true, nil }

func (r *restart) Apply(context.Context, *installer.Host) error {
	r.w.applied = append(r.w.applied, "restart")
	r.w.facts.Scanning.Value.State, r.w.facts.Scanning.Value.Cause = control.ScanReady, ""
	r.w.facts.Scanning.Value.Ends = r.w.end
	return nil
}

func TestRemedyOfEnds(t *testing.T) {
	again := endsOf(1, "SIGSEGV")
	again[0].Time = time.Now().Add(time.Minute)
	for _, c := range []struct {
		name    string
		adapt   func(*Tool)
		end     []control.ScanEnd
		code    int
		out     []string
		applied int
	}{
		{"mended", yes, nil, ExitGone, []string{
			"last lines of the log", "line 1 of the log's last 2: scan service ended  [/var/log/cisco/ampdaemon.log]", "not known: file does not exist  [/var/log/cisco/ampscansvc.log]",
			"it was scanning /srv/poison, /srv/a b", "# amp-remediate 6 --exclude /srv/poison", "Fault 6 is gone: the scan service does not end too often",
		}, 1},
		{"dry run", func(t *Tool) { t.DryRun = true }, nil, ExitThere, []string{"start the scan service anew", "dry run"}, 0},
		{"nobody to ask", nil, nil, ExitUsage, []string{"--yes"}, 0},
		{"a daemon that counts what was", yes, endsOf(5, "SIGSEGV"), ExitThere, []string{"was started anew and has not ended since", "clears by itself after 10m0s without an end"}, 1},
		{"it ends again, and too often", yes, append(endsOf(5, "SIGSEGV"), again...), ExitThere, []string{"the scan service ended again at", "while it was scanning /srv/poison, /srv/a b"}, 1},
		{"it ends again, though not too often yet", yes, again, ExitGone, []string{"Fault 6 is gone", "ended once more at", "while it was scanning /srv/poison, /srv/a b; what it ends at twice"}, 1},
		{"Japanese", func(t *Tool) { yes(t); t.Language = fault.Japanese }, nil, ExitGone, []string{"ログ末尾の 1 行目", "スキャン中: /srv/poison", "フォールト 6 は解消しました"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := endingWorld(t)
			w.end = c.end
			code, out, errs := w.remedyOf(t, 6, c.adapt)
			if code != c.code || len(w.applied) != c.applied || errs != "" {
				t.Errorf("exit %d, applied %v; want %d, %d\n%s%s", code, w.applied, c.code, c.applied, out, errs)
			}
			for _, want := range c.out {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if _, err := os.Stat(filepath.Join(w.root, policy.ExclusionPath)); err == nil || w.sets.current != "27500" {
				t.Error("something was done that nobody chose")
			}
		})
	}
}

func TestRemedyOfEndsLeavesOut(t *testing.T) {
	w := endingWorld(t)
	if err := os.MkdirAll(filepath.Join(w.root, "srv/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	code, out, errs := w.remedyOf(t, 6, func(t *Tool) { yes(t); t.Exclusions.Exclude = []string{"/srv/poison", "/srv/dir"} })
	x, err := policy.LoadExclusions(filepath.Join(w.root, policy.ExclusionPath))
	if code != ExitGone || err != nil || !slices.Equal(x.Paths, []string{"/srv/dir/", "/srv/poison"}) && !slices.Equal(x.Paths, []string{"/srv/poison", "/srv/dir/"}) || len(w.applied) != 1 {
		t.Errorf("exit %d, %v, %v, applied %v\n%s%s", code, x.Paths, err, w.applied, out, errs)
	}
	if code, out, _ := w.remedyOf(t, 6, yes); code != ExitGone || len(w.applied) != 1 || !strings.Contains(out, "Fault 6 is not there") {
		t.Errorf("again: exit %d, applied %v\n%s", code, w.applied, out)
	}
}

func TestRemedyDropsDefinitions(t *testing.T) {
	w := endingWorld(t)
	code, out, errs := w.remedyOf(t, 6, func(t *Tool) { yes(t); t.Rollback = true })
	if code != ExitGone || w.sets.current != "27499" || len(w.applied) != 1 || !strings.Contains(out, "drop the definitions 27500 and go back to the set before: done") {
		t.Errorf("exit %d, %+v\n%s%s", code, w.sets, out, errs)
	}
	w = endingWorld(t)
	w.sets.previous = ""
	if code, out, errs = w.remedyOf(t, 6, func(t *Tool) { yes(t); t.Rollback = true }); code != ExitThere || len(w.applied) != 0 || !strings.Contains(errs, "file does not exist") {
		t.Errorf("nothing before: exit %d, applied %v\n%s%s", code, w.applied, out, errs)
	}
	w = endingWorld(t)
	w.facts.Scanning.Value.BuiltIn = true
	if code, out, _ = w.remedyOf(t, 6, func(t *Tool) { yes(t); t.Rollback = true }); code != ExitGone || !strings.Contains(out, "those cannot be dropped") {
		t.Errorf("built-in: exit %d\n%s", code, out)
	}
	w = endingWorld(t)
	w.facts.Scanning.Value = control.Scan{State: control.ScanFailed, Stage: "definitions", Cause: control.ScanMemory, Limits: w.facts.Scanning.Value.Limits}
	if code, out, errs = w.remedyOf(t, 7, func(t *Tool) { yes(t); t.Rollback = true }); code != ExitGone || w.sets.current != "27499" || !strings.Contains(out, "drop the newest definitions") {
		t.Errorf("fault 7: exit %d, %+v\n%s%s", code, w.sets, out, errs)
	}
}

func TestRemedyOfBadDefinitions(t *testing.T) {
	w := endingWorld(t)
	w.sets.bad = true
	w.facts.Scanning.Value = control.Scan{State: control.ScanFailed, Stage: "definitions", Cause: control.ScanDefinitions, File: "daily.cvd", Error: "MD5", Limits: w.facts.Scanning.Value.Limits}
	code, out, _ := w.remedyOf(t, 7, func(t *Tool) { t.DryRun = true })
	if code != ExitThere || !w.sets.bad || !strings.Contains(out, "set aside daily.cvd: MD5 and bring back the last definitions that worked") {
		t.Errorf("dry run: exit %d\n%s", code, out)
	}
	code, out, errs := w.remedyOf(t, 7, yes)
	if code != ExitGone || w.sets.bad || w.sets.current != "27499" || len(w.applied) != 1 || !strings.Contains(out, "Fault 7 is gone: the scan service is running") {
		t.Errorf("exit %d, %+v\n%s%s", code, w.sets, out, errs)
	}
	if code, out, _ = w.remedyOf(t, 7, yes); code != ExitGone || len(w.applied) != 1 || !strings.Contains(out, "Fault 7 is not there") {
		t.Errorf("again: exit %d\n%s", code, out)
	}
}

func TestScanOptionsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		ids   []fault.ID
		all   bool
		adapt func(*Tool)
		words string
	}{
		"rollback of 5":        {[]fault.ID{5}, false, func(t *Tool) { t.Rollback = true }, "--rollback stands with fault 6 or 7 alone"},
		"rollback of 6 and 7":  {[]fault.ID{6, 7}, false, func(t *Tool) { t.Rollback = true }, "--rollback stands with"},
		"rollback of all":      {[]fault.ID{6}, true, func(t *Tool) { t.Rollback = true }, "--rollback stands with"},
		"exclude with 7":       {[]fault.ID{7}, false, func(t *Tool) { t.Exclusions.Exclude = []string{"/srv/a"} }, "with fault 6 too"},
		"include with 6":       {[]fault.ID{6}, false, func(t *Tool) { t.Exclusions.Include = []string{"/srv/a"} }, "ampcli exclusions remove"},
		"children with 6":      {[]fault.ID{6}, false, func(t *Tool) { t.Exclusions = ExclusionChoice{Exclude: []string{"/srv/a"}, Children: true} }, "--children"},
		"exclude of the root":  {[]fault.ID{6}, false, func(t *Tool) { t.Exclusions.Exclude = []string{"/"} }, "not the root itself"},
		"exclude what is none": {[]fault.ID{6}, false, func(t *Tool) { t.Exclusions.Exclude = []string{"srv"} }, "expected one from the root"},
	} {
		w := endingWorld(t)
		var out, errs bytes.Buffer
		tool := &Tool{Stdout: &out, Stderr: &errs, Yes: true, Privileged: true, Language: fault.English, hands: w.hands()}
		c.adapt(tool)
		if code := tool.Remedy(t.Context(), Selection{IDs: c.ids, All: c.all}); code != ExitUsage || out.Len() > 0 || !strings.Contains(errs.String(), c.words) || len(w.applied) > 0 {
			t.Errorf("%s: exit %d\n%s%s", name, code, out.String(), errs.String())
		}
	}
}

func TestSuspects(t *testing.T) {
	s := control.Scan{
		SetAside: []string{"/srv/aside"},
		Ends:     []control.ScanEnd{{Files: []string{"/srv/poison", "/srv/old"}}, {Files: []string{"/srv/poison", "/srv/\x1bodd", "not/absolute"}}, {}},
	}
	if got := suspects(s); !slices.Equal(got, []string{"/srv/poison", "/srv/aside", "/srv/old"}) {
		t.Errorf("%q", got)
	}
}

func TestLogTailErrors(t *testing.T) {
	r := &run{Tool: &Tool{hands: hands{Tail: func(path string, _ int) host.Reading[[]string] {
		if path == "empty" {
			return host.Read[[]string](nil, path)
		}
		return host.NotKnown[[]string](path, errors.New("input/output error"))
	}}}}
	for path, want := range map[string]string{"empty": "it is empty", "bad": "not known: input/output error"} {
		if got := r.logTail(path); len(got) != 1 || got[0].Read != want || got[0].From != path {
			t.Errorf("%s: %+v", path, got)
		}
	}
}
