package remediate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// overloaded is a world in which fault 18 is there.
func overloaded() *world {
	w := soundWorld()
	w.askErr = nil
	w.facts.Exclusions = host.Read(policy.Exclusions{}, policy.ExclusionPath)
	w.facts.Host.Memory = host.Read(host.Memory{Total: 2 << 30}, "/proc/meminfo")
	w.facts.Monitoring.Value.Overload = monitor.OverloadState{
		Level: monitor.Reduced, Cause: monitor.Sustained, Produced: 90000, Handled: 40000, Shed: 49000, Lost: 1000, Limits: monitor.DefaultOverloadLimits,
	}
	return w
}

// busiest are three programs: one of a package, one that was changed, and one that no package has.
func busiest(context.Context) (*control.Top, error) {
	kinds := []control.KindRate{{Kind: "write", Rate: 200}, {Kind: "exec", Rate: 1.5}}
	return &control.Top{Windows: []control.TopWindow{{Minutes: 1}, {Minutes: 5, Covered: 300, Programs: []control.TopProgram{
		{Exe: "/usr/bin/cc one", Comm: "cc", PID: 10, Parent: "/usr/bin/make", Processes: 7, Rate: 201.5, Kinds: kinds},
		{Exe: "/usr/bin/changed", Comm: "changed", PID: 11, Processes: 1, Rate: 3, Kinds: kinds},
		{Exe: "/tmp/\x1bmine", Comm: "mine", PID: 12, UID: 4294967294, Processes: 1, Rate: 2, Kinds: kinds},
		{Comm: "gone", PID: 13, Processes: 1, Rate: 1, Kinds: kinds},
	}}}}, nil
}

func owner(_ context.Context, path string) host.Reading[host.PackageOwner] {
	switch path {
	case "/usr/bin/cc one":
		return host.Read(host.PackageOwner{Package: "gcc", Matches: host.Read(true, "md5sums")}, path)
	case "/usr/bin/changed":
		return host.Read(host.PackageOwner{Package: "coreutils", Matches: host.Read(false, "md5sums")}, path)
	}
	return host.Read(host.PackageOwner{Matches: host.NotKnown[bool](path, errors.New("none"))}, path)
}

// remedy18 runs amp-remediate 18 on a world, with real steps below a root.
func remedy18(t *testing.T, w *world, root string, adapt func(*Tool)) (code int, stdout, stderr string) {
	t.Helper()
	h := w.hands()
	h.Plan, h.Run, h.Lock, h.Recover = nil, nil, nil, nil
	h.Target = func(_ host.Root, log *slog.Logger) *installer.Host { return installer.NewHost(host.At(root), log) }
	h.Busiest, h.Owner = busiest, owner
	var out, errs bytes.Buffer
	tool := &Tool{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Privileged: true, Language: fault.English, hands: h}
	if adapt != nil {
		adapt(tool)
	}
	code = tool.Remedy(t.Context(), Selection{IDs: []fault.ID{18}})
	return code, out.String(), errs.String()
}

// programRoot is a root with a program file.
func programRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, mode := range map[string]os.FileMode{"usr/bin/cc": 0o755, "usr/bin/plain": 0o644} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(policy.ExclusionPath)), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func exclusionsIn(t *testing.T, root string) policy.Exclusions {
	t.Helper()
	x, err := policy.LoadExclusions(filepath.Join(root, policy.ExclusionPath))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return x
}

func TestOverloadShowsTheBusiest(t *testing.T) {
	for language, want := range map[fault.Language][]string{
		fault.English: {
			"busiest program 1 of the last 5 minutes: /usr/bin/cc one, user root, 7 processes (the busiest is 10), parent /usr/bin/make; package gcc, unchanged; 201.5 events a second: write 200.0, exec 1.5",
			"package coreutils, CHANGED", `"/tmp/\x1bmine", user 4294967294, 1 processes (the busiest is 12), parent not known; no package has it`, "(gone), user root",
			"# amp-remediate 18 --exclude '/usr/bin/cc one'", "It may be malicious", "/usr/bin/changed (package coreutils, CHANGED); \"/tmp/\\x1bmine\" (no package has it).",
			"the machine is too small for it: 90000 events a second happened, 40000 were handled, 49000 shed, 1000 lost, with", "2048 MiB", "waits for a person",
		},
		fault.Japanese: {"直近 5 分間に活発なプログラム 1", "パッケージ coreutils、変更あり", "悪意のある活動の可能性があります", "マシンの能力が不足しています", "# amp-remediate 18 --exclude '/usr/bin/cc one'"},
	} {
		root := programRoot(t)
		code, out, errs := remedy18(t, overloaded(), root, func(tool *Tool) { tool.Language, tool.Yes = language, true })
		for _, words := range want {
			if !strings.Contains(out, words) {
				t.Errorf("%s: expected %q in\n%s", language, words, out)
			}
		}
		if code != ExitPerson || errs != "" || strings.ContainsRune(out, '\x1b') || strings.Contains(out, "--exclude /usr/bin/changed") {
			t.Errorf("%s: exit %d, %q\n%s", language, code, errs, out)
		}
		if x := exclusionsIn(t, root); len(x.Processes) > 0 {
			t.Errorf("excluded by itself: %v", x.All())
		}
	}
}

func TestOverloadWhereNobodyTells(t *testing.T) {
	code, out, _ := remedy18(t, overloaded(), programRoot(t), func(tool *Tool) {
		tool.hands.Busiest = func(context.Context) (*control.Top, error) { return nil, control.ErrBadRequest }
	})
	if code != ExitPerson || !strings.Contains(out, "busiest programs: not known: the daemon does not know this request") || !strings.Contains(out, "ampcli top --window 5m") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestOverloadInJSON(t *testing.T) {
	code, out, _ := remedy18(t, overloaded(), programRoot(t), func(tool *Tool) { tool.JSON, tool.DryRun = true, true })
	for _, wrong := range loadSchema(t, "remediate.schema.json").validate([]byte(out)) {
		t.Error(wrong)
	}
	var report Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != ExitPerson || len(report.Faults) != 1 || len(report.Faults[0].Plan) != 3 || report.Faults[0].Plan[0].Commands[0] != "amp-remediate 18 --exclude '/usr/bin/cc one'" {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
}

func TestExclude(t *testing.T) {
	root, w := programRoot(t), overloaded()
	exclude := func(tool *Tool) { tool.Yes, tool.Exclusions.Exclude = true, []string{"/usr/bin/cc"} }

	code, out, _ := remedy18(t, w, root, func(tool *Tool) { exclude(tool); tool.Yes, tool.DryRun = false, true })
	if code != ExitThere || !strings.Contains(out, "exclude from monitoring: process /usr/bin/cc") || !strings.Contains(out, "dry run") || len(exclusionsIn(t, root).Processes) != 0 {
		t.Errorf("dry run: exit %d\n%s", code, out)
	}
	code, out, _ = remedy18(t, w, root, exclude)
	if x := exclusionsIn(t, root); code != ExitThere || len(x.Processes) != 1 || x.Processes[0] != (policy.ProcessExclusion{Path: "/usr/bin/cc"}) {
		t.Errorf("exit %d, %v\n%s", code, x, out)
	}
	if !strings.Contains(out, "The exclusions are as asked. Fault 18 is still there: it clears by itself") || !strings.Contains(out, "20s after monitoring was reduced and 15s after") {
		t.Errorf("the wait is not told:\n%s", out)
	}
	if w.asked != 1 {
		t.Errorf("the connector was asked %d times", w.asked)
	}
	code, out, _ = remedy18(t, w, root, exclude)
	if code != ExitThere || !strings.Contains(out, "already so") || w.asked != 1 {
		t.Errorf("again: exit %d\n%s", code, out)
	}

	calm := func() {
		w.facts.Monitoring.Value.Overload = monitor.OverloadState{Limits: monitor.DefaultOverloadLimits}
	}
	calm()
	w.facts.Exclusions = host.Read(exclusionsIn(t, root), policy.ExclusionPath)
	code, out, _ = remedy18(t, w, root, func(tool *Tool) { tool.Yes, tool.Exclusions.Include = true, []string{"/usr/bin/cc"} })
	if x := exclusionsIn(t, root); code != ExitGone || len(x.Processes) != 0 || !strings.Contains(out, "Fault 18 is not there") {
		t.Errorf("taken back: exit %d, %v\n%s", code, x, out)
	}
	code, out, _ = remedy18(t, w, root, func(tool *Tool) { tool.Exclusions.Exclude, tool.DryRun = []string{"/usr/bin/cc"}, true })
	if code != ExitGone || !strings.Contains(out, "Fault 18 is not seen") {
		t.Errorf("dry run without the fault: exit %d\n%s", code, out)
	}
}

func TestExcludeEndsTheFault(t *testing.T) {
	root, w := programRoot(t), overloaded()
	code, out, _ := remedy18(t, w, root, func(tool *Tool) {
		tool.Exclusions = ExclusionChoice{Exclude: []string{"/usr/bin/cc"}, Children: true}
		tool.Terminal, tool.Stdin, tool.Language = true, strings.NewReader("はい\n"), fault.Japanese
		tool.hands.Evaluate = func(context.Context) error {
			w.facts.Monitoring.Value.Overload = monitor.OverloadState{Limits: monitor.DefaultOverloadLimits}
			return nil
		}
	})
	x := exclusionsIn(t, root)
	if code != ExitGone || len(x.Processes) != 1 || !x.Processes[0].Children || !strings.Contains(out, "フォールト 18 は解消しました") {
		t.Errorf("exit %d, %v\n%s", code, x, out)
	}
}

func TestExclusionsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		choice ExclusionChoice
		words  string
	}{
		"no such file":        {ExclusionChoice{Exclude: []string{"/usr/bin/none"}}, "/usr/bin/none: expected the path of a program file"},
		"not executable":      {ExclusionChoice{Exclude: []string{"/usr/bin/plain"}}, "expected the path of a program file"},
		"a directory":         {ExclusionChoice{Exclude: []string{"/usr/bin"}}, "expected the path of a program file"},
		"relative":            {ExclusionChoice{Exclude: []string{"cc"}}, "expected one from the root"},
		"empty":               {ExclusionChoice{Exclude: []string{""}}, "expected one from the root"},
		"not excluded":        {ExclusionChoice{Include: []string{"/usr/bin/none"}}, "it is not excluded"},
		"both":                {ExclusionChoice{Include: []string{"/usr/bin/cc"}, Exclude: []string{"/usr/bin/cc"}}, "contradict"},
		"children of nothing": {ExclusionChoice{Include: []string{"/usr/bin/cc"}, Children: true}, "stands with --exclude"},
	} {
		root := programRoot(t)
		code, out, errs := remedy18(t, overloaded(), root, func(tool *Tool) { tool.Yes, tool.Exclusions = true, c.choice })
		if code != ExitUsage || out != "" || !strings.Contains(errs, c.words) || len(exclusionsIn(t, root).Processes) != 0 {
			t.Errorf("%s: exit %d, %q, %q; expected %q", name, code, out, errs, c.words)
		}
	}
	for _, ids := range [][]fault.ID{{19}, {18, 19}} {
		var errs bytes.Buffer
		tool := &Tool{Stdout: &errs, Stderr: &errs, Exclusions: ExclusionChoice{Exclude: []string{"/bin/sh"}}, hands: overloaded().hands()}
		if code := tool.Remedy(t.Context(), Selection{IDs: ids}); code != ExitUsage || !strings.Contains(errs.String(), "fault 18 alone") {
			t.Errorf("%v: exit %d, %s", ids, code, errs.String())
		}
	}
}

func TestExcludeNeedsRootAndAPerson(t *testing.T) {
	root, w := programRoot(t), overloaded()
	exclude := ExclusionChoice{Exclude: []string{"/usr/bin/cc"}}
	for _, raised := range []bool{true, false} {
		if !raised {
			w.facts.Monitoring.Value.Overload = monitor.OverloadState{Limits: monitor.DefaultOverloadLimits}
		}
		code, out, _ := remedy18(t, w, root, func(tool *Tool) { tool.Exclusions, tool.Privileged, tool.Yes = exclude, false, true })
		if code != ExitRoot || !strings.Contains(out, "root") {
			t.Errorf("not root: exit %d\n%s", code, out)
		}
		code, out, _ = remedy18(t, w, root, func(tool *Tool) { tool.Exclusions = exclude })
		if code != ExitUsage || !strings.Contains(out, "Nobody can be asked") {
			t.Errorf("nobody there: exit %d\n%s", code, out)
		}
	}
	if x := exclusionsIn(t, root); len(x.Processes) != 0 {
		t.Errorf("excluded all the same: %v", x.All())
	}
}

func TestExcludeWithTheVendorsConnector(t *testing.T) {
	w := overloaded()
	w.facts.Connector = host.Connectors[1]
	code, out, _ := remedy18(t, w, programRoot(t), func(tool *Tool) { tool.Yes, tool.Exclusions.Exclude = true, []string{"/usr/bin/cc"} })
	if code != ExitPerson || !strings.Contains(out, "vendor's console") || !strings.Contains(out, "/usr/bin/cc") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// The exclusions file that cannot be parsed is left alone.
func TestExcludeLeavesADamagedFileAlone(t *testing.T) {
	root := programRoot(t)
	path := filepath.Join(root, policy.ExclusionPath)
	if err := os.WriteFile(path, []byte("<exclusions"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, errs := remedy18(t, overloaded(), root, func(tool *Tool) { tool.Yes, tool.Exclusions.Exclude = true, []string{"/usr/bin/cc"} })
	if b, _ := os.ReadFile(path); code != ExitThere || string(b) != "<exclusions" || !strings.Contains(errs, "exclusions.xml") {
		t.Errorf("exit %d, %q, file %q", code, errs, b)
	}
}

// A real file of this machine: what is executed is what is asked about.
func TestOwnerOfWhatIsExecuted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &run{Tool: &Tool{}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, p := range map[string]control.TopProgram{
		"no path": {}, "cut": {Exe: path + "…"}, "gone": {Exe: path + "2"}, "replaced": {Exe: path, Inode: 1},
	} {
		if o := r.ownerOf(ctx, p); o.Known() {
			t.Errorf("%s: %+v", name, o)
		}
	}
}
