package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/filelock"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/selinux"
)

// japanese reports whether a text has a character that only Japanese uses.
func japanese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) })
}

var (
	// value is what stays as it is in every language: a path, an option, a number, a name with a hyphen, an output of a command.
	value = regexp.MustCompile(`%[^a-zA-Z]*[a-zA-Z]|[^\s,;:]*[/0-9_=<-][^\s,;:]*|\bu?name -r\b|\b(uid|gid|root|ID)\b`)
	words = regexp.MustCompile(`[A-Za-z]{2,}`)
)

// wordsOf is the first word of a text that is no value, "" if it is all values.
func wordsOf(s string) string { return words.FindString(value.ReplaceAllString(s, " ")) }

// bilingual fails where a text is not in both languages.
func bilingual(t *testing.T, where string, text fault.Text) {
	t.Helper()
	switch {
	case text.EN == "" || text.JA == "":
		t.Errorf("%s: one of the languages is missing: %q / %q", where, text.EN, text.JA)
	case wordsOf(text.EN) != "" && !japanese(text.JA):
		t.Errorf("%s: the Japanese is not Japanese: %q / %q", where, text.EN, text.JA)
	case strings.Contains(text.EN+text.JA, "%!"):
		t.Errorf("%s: a verb lacks its argument: %q / %q", where, text.EN, text.JA)
	}
}

func TestWordsOf(t *testing.T) {
	for text, want := range map[string]string{
		"/var/log/cisco": "", "uname -r": "", "cisco-amp-scan-svc": "", "0755 uid 0 gid 0": "", "0": "", "gid 997": "", "/proc/meminfo": "", "%s: %v": "",
		"none": "none", "allowed": "allowed", "/usr/sbin/nologin, or another": "or", "create group cisco-amp": "create",
	} {
		if got := wordsOf(text); got != want {
			t.Errorf("wordsOf(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestCatalogueIsInBothLanguages(t *testing.T) {
	for _, entry := range fault.All() {
		for _, text := range []fault.Text{entry.Name, entry.Meaning, entry.Detection, entry.Remedy} {
			bilingual(t, "catalogue", text)
		}
		for _, source := range remedies[entry.ID].sources {
			bilingual(t, "source", source)
		}
	}
}

// deviation changes a sound world.
type deviation struct {
	name   string
	change func(*health.Facts)
}

// deviations has every condition that a rule tells apart or a plan has an item for.
var deviations = []deviation{
	{"sound", func(*health.Facts) {}},
	{"no connector", func(f *health.Facts) { f.Found = false }},
	{"vendor's connector", func(f *health.Facts) { f.Connector = host.Connectors[1] }},
	{"image", func(f *health.Facts) { f.Host.Live, f.Host.Root = false, "/mnt/image" }},

	{"no user", func(f *health.Facts) { f.Host.Account.User.Value = nil }},
	{"no group", func(f *health.Facts) { f.Host.Account.Group.Value = nil }},
	{"user not read", func(f *health.Facts) {
		f.Host.Account.User = host.NotKnown[*host.Account]("/etc/passwd", fs.ErrPermission)
	}},
	{"shadow not read", func(f *health.Facts) {
		f.Host.Account.Password = host.NotKnown[host.Password]("/etc/shadow", fs.ErrPermission)
	}},
	{"uid 0", func(f *health.Facts) { f.Host.Account.User.Value.UID = 0 }},
	{"shared uid", func(f *health.Facts) { f.Host.Account.SameUID.Value = []string{"other"} }},
	{"login shell", func(f *health.Facts) { f.Host.Account.User.Value.Shell = "/bin/bash" }},
	{"no shell", func(f *health.Facts) { f.Host.Account.User.Value.Shell = "" }},
	{"password", func(f *health.Facts) { f.Host.Account.Password.Value = host.Password{} }},
	{"empty password", func(f *health.Facts) { f.Host.Account.Password.Value = host.Password{Empty: true} }},
	{"expiry", func(f *health.Facts) { f.Host.Account.Password.Value.Expires = true }},
	{"primary group", func(f *health.Facts) { f.Host.Account.User.Value.GID = 100 }},
	{"primary group without a name", func(f *health.Facts) { f.Host.Account.User.Value.GID, f.Host.Account.PrimaryGroup.Value = 4711, "" }},
	{"primary group's name not read", func(f *health.Facts) { f.Host.Account.PrimaryGroup.Err = fs.ErrPermission }},
	{"gid 0", func(f *health.Facts) { f.Host.Account.User.Value.GID, f.Host.Account.Group.Value.GID = 0, 0 }},
	{"extra groups", func(f *health.Facts) { f.Host.Account.ExtraGroups.Value = []string{"wheel"} }},
	{"home of others", func(f *health.Facts) {
		f.Host.Account.HomeOwner.Value = new(uint32)
		*f.Host.Account.HomeOwner.Value = 1000
	}},
	{"home", func(f *health.Facts) { f.Host.Account.HomeOwner.Value = new(uint32) }},
	{"directory service", func(f *health.Facts) {
		f.Host.Account.User = host.Read(f.Host.Account.User.Value, "getent passwd")
		f.Host.Account.User.Value.From, f.Host.Account.User.Value.Shell, f.Host.Account.User.Value.UID = host.FromNSS, "/bin/bash", 0
	}},

	{"directory service, groups", func(f *health.Facts) {
		a := &f.Host.Account
		a.User.Value.From, a.User.Value.GID, a.User.Value.UID = host.FromNSS, 100, 1500
		a.ExtraGroups.Value, a.DirectoryGroups = []string{"adm", "staff"}, []string{"staff"}
	}},
	{"directory service, no group", func(f *health.Facts) {
		a := &f.Host.Account
		a.User.Value.From, a.Group.Value, a.PrimaryGroup.Value = host.FromNSS, nil, "users"
	}},
	{"directory service, group not known", func(f *health.Facts) {
		a := &f.Host.Account
		a.User.Value.From, a.Group.Value, a.PrimaryGroup.Err = host.FromNSS, nil, host.ErrNoAnswer
	}},
	{"directory service, group with gid 0", func(f *health.Facts) {
		a := &f.Host.Account
		a.Group.Value.From, a.Group.Value.GID, a.User.Value.GID = host.FromNSS, 0, 100
	}},
	{"directory service down", func(f *health.Facts) {
		f.Host.Account.User = host.NotKnown[*host.Account]("/etc/passwd", host.ErrNoAnswer)
	}},
	{"no free ids", func(f *health.Facts) {
		a := &f.Host.Account
		a.User.Value, a.Group.Value = nil, nil
		a.FreeUID, a.FreeGID = noID("SYS_UID_MIN 900\nSYS_UID_MAX 200\n", host.UIDs), noID("SYS_GID_MIN 0\nSYS_GID_MAX 0\n", host.GIDs)
	}},
	{"ids of people", func(f *health.Facts) {
		f.Host.Account.User.Value = nil
		f.Host.Account.FreeUID = noID("SYS_UID_MIN 2000\nSYS_UID_MAX 3000\nUID_MIN x\n", host.UIDs)
	}},
	{"no ids", func(f *health.Facts) {
		f.Host.Account.User.Value = nil
		f.Host.Account.FreeUID = noID("SYS_UID_MIN -2\n", host.UIDs)
	}},

	{"directory changed by somebody", func(f *health.Facts) {
		directory(&host.DirectoryState{Mode: 0o777, IsDir: true})(f)
		f.Changes = map[string]host.Reading[*host.Change]{f.Host.Directories[0].Want.Path: host.Read(&host.Change{PID: 7, Comm: "chmod", Login: 1000}, "/var/log/audit/audit.log")}
	}},
	{"directory changed by nobody knows", func(f *health.Facts) {
		directory(&host.DirectoryState{Mode: 0o777, IsDir: true})(f)
		f.Changes = map[string]host.Reading[*host.Change]{f.Host.Directories[0].Want.Path: host.Read[*host.Change](nil, "/var/log/audit/audit.log")}
	}},
	{"directory changed, logs not read", func(f *health.Facts) {
		directory(&host.DirectoryState{Mode: 0o777, IsDir: true})(f)
		f.Changes = map[string]host.Reading[*host.Change]{f.Host.Directories[0].Want.Path: host.NotKnown[*host.Change]("/var/log/audit/audit.log", fs.ErrPermission)}
	}},
	{"directory gone", directory(nil)},
	{"directory is a file", directory(&host.DirectoryState{Mode: 0o644})},
	{"directory is a link", directory(&host.DirectoryState{Mode: 0o777, IsDir: true, Symlink: true})},
	{"directory of another owner", directory(&host.DirectoryState{Mode: 0o755, UID: 1000, IsDir: true})},
	{"directory that others write to", directory(&host.DirectoryState{Mode: 0o777, IsDir: true})},
	{"directory that locks out", directory(&host.DirectoryState{Mode: 0o700, IsDir: true})},
	{"directory not read", func(f *health.Facts) {
		f.Host.Directories = []host.DirectoryFact{{Want: host.Connectors[0].Directories[0], State: host.NotKnown[*host.DirectoryState]("/opt/cisco", fs.ErrPermission)}}
	}},

	{"SELinux disabled", func(f *health.Facts) { f.SELinux.Mode.Value = selinux.Disabled }},
	{"SELinux permissive", func(f *health.Facts) { f.SELinux.Mode.Value = selinux.Permissive }},
	{"SELinux mode not read", func(f *health.Facts) { f.SELinux.Mode.Err = fs.ErrPermission }},
	{"domain not read", func(f *health.Facts) { f.SELinux.Domain.Err = fs.ErrPermission }},
	{"kernel not asked", func(f *health.Facts) { f.SELinux.Access = nil }},
	{"kernel does not answer", func(f *health.Facts) { f.SELinux.Access[0].Err = fs.ErrPermission }},
	{"permissive domain", func(f *health.Facts) { f.SELinux.Access[0].Value.PermissiveDomain = true }},
	{"module absent", denied(selinux.Store{State: selinux.ModuleAbsent})},
	{"module disabled", denied(selinux.Store{State: selinux.ModuleDisabled, Priority: 400})},
	{"module shadowed", denied(selinux.Store{State: selinux.ModuleShadowed, Priority: 400, Shadow: 500})},
	{"module not loaded", denied(selinux.Store{State: selinux.ModulePresent, Priority: 400})},
	{"store not read", func(f *health.Facts) {
		denied(selinux.Store{})(f)
		f.SELinux.Store.Err = fs.ErrPermission
	}},
	{"no store", func(f *health.Facts) {
		denied(selinux.Store{})(f)
		f.SELinux.Store.Err = fs.ErrNotExist
	}},
	{"odd domain", func(f *health.Facts) {
		denied(selinux.Store{State: selinux.ModuleAbsent})(f)
		f.SELinux.Domain.Value = "no domain (at all"
	}},
	{"another need", func(f *health.Facts) {
		denied(selinux.Store{State: selinux.ModuleAbsent})(f)
		perf := selinux.Need{Class: "perf_event", Permissions: []string{"open"}}
		f.SELinux.Needs = append(f.SELinux.Needs, perf)
		f.SELinux.Access = append(f.SELinux.Access, host.Read(selinux.Access{Need: perf, ClassKnown: true, Missing: perf.Permissions}, "/sys/fs/selinux/access"))
	}},
	{"class unknown and denied", classUnknown(true)},
	{"class unknown and allowed", classUnknown(false)},
	{"no semodule", func(f *health.Facts) {
		denied(selinux.Store{State: selinux.ModuleAbsent})(f)
		f.SELinux.Tools = map[string]host.Reading[bool]{"semodule": host.Read(false, "semodule"), "semanage": host.Read(false, "semanage")}
	}},
}

// noID is what is known of a free id where login.defs leaves none.
func noID(defs string, k host.IDKind) host.Reading[uint32] {
	dir, err := os.MkdirTemp("", "login.defs")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"passwd": "", "group": "", "login.defs": defs} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "etc"), 0o755), os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644)); err != nil {
			panic(err)
		}
	}
	_, err = host.FreeID(context.Background(), host.At(dir), k, nil)
	return host.NotKnown[uint32](host.LoginDefsPath, err)
}

// monitoring are the conditions of the faults about monitors and kernels.
var monitoring = []deviation{
	{"switches off", func(f *health.Facts) { f.Policy.Value.MonitorFiles, f.Policy.Value.MonitorNetwork = false, false }},
	{"policy not read", func(f *health.Facts) { f.Policy.Err = fs.ErrPermission }},
	{"daemon does not run", func(f *health.Facts) {
		f.Monitoring = host.NotKnown[health.Monitoring]("/run/cisco-amp/control.sock", fs.ErrNotExist)
	}},
	{"nothing monitors", func(f *health.Facts) {
		f.Monitoring.Value = health.Monitoring{Source: monitor.NoSource, Error: "operation not permitted"}
	}},
	{"no canary yet", func(f *health.Facts) { f.Monitoring.Value.Proved = false }},
	{"blind", func(f *health.Facts) { f.Monitoring.Value.Missing = monitor.FileKinds | monitor.NetworkKinds }},
	{"programs refused", func(f *health.Facts) {
		f.Monitoring.Value = health.Monitoring{Source: monitor.Degraded, Chosen: monitor.EBPFKernelBTF, Error: "load program: invalid argument"}
	}},
	{"no headers", withoutBTF(nil)},
	{"other headers", withoutBTF(&host.Headers{Link: "/lib/modules/6.1/build", Release: "5.4"})},
	{"half headers", withoutBTF(&host.Headers{Link: "/lib/modules/6.1/build", Missing: []string{"Makefile"}})},
	{"no compiler", layoutsMissing(&layout.Error{Why: layout.NoCompiler, From: "/tree", Wanted: "gcc-12"}, control.Layouts{})},
	{"shuffled", layoutsMissing(&layout.Error{Why: layout.Shuffled, From: "/tree"}, control.Layouts{})},
	{"incomplete, as the daemon saw", layoutsMissing(nil, control.Layouts{Cause: string(layout.TreeIncomplete), From: "/tree", Detail: "linux/fs.h"})},
	{"build failed", layoutsMissing(nil, control.Layouts{Cause: string(layout.BuildFailed), From: "/tree", Detail: "x.c:3", Log: "/log"})},
	{"of a newer daemon", layoutsMissing(nil, control.Layouts{Cause: "full-moon", From: "/tree"})},
	{"being derived", layoutsMissing(nil, control.Layouts{Pending: true, From: "/tree"})},
	{"not derived", layoutsMissing(nil, control.Layouts{})},
	{"in a file", func(f *health.Facts) {
		layoutsMissing(nil, control.Layouts{})(f)
		f.BPF.Layouts.Value.Origin, f.BPF.Layouts.Value.Passed = layout.External, []*layout.Error{{Why: layout.OtherRelease, From: "/boot/vmlinux"}}
	}},
	{"files not read", func(f *health.Facts) {
		withoutBTF(nil)(f)
		f.BPF.Layouts = host.NotKnown[bpf.Layouts]("/var/lib/cisco/amp/btf", fs.ErrPermission)
	}},
	{"right headers", withoutBTF(&host.Headers{Link: "/lib/modules/6.1/build", Release: "5.14.0-427.el9.x86_64"})},
}

// scans are the conditions of the scan service.
func scans() []deviation {
	all := []deviation{
		{"scanning is off", scanState(control.Scan{State: control.ScanOff})},
		{"starting", scanState(control.Scan{State: control.ScanStarting})},
		{"waiting", scanState(control.Scan{State: control.ScanWaiting})},
		{"not told", scanState(control.Scan{})},
		{"built-in only", func(f *health.Facts) { f.Scanning.Value.BuiltIn = true }},
		{"no daemon, no library", func(f *health.Facts) {
			f.Scanning = host.NotKnown[control.Scan](control.Socket, fs.ErrNotExist)
			f.Host.Engine.Libraries = host.Read[[]string](nil, "/usr/lib64")
		}},
		{"as root", func(f *health.Facts) { f.Scanning.Value.AsRoot, f.Scanning.Value.UserError = true, "setuid: EAGAIN" }},
		{"as root, without a word", func(f *health.Facts) { f.Scanning.Value.UID = 0 }},
		{"as another", func(f *health.Facts) {
			f.Scanning.Value.UID, f.Scanning.Value.Groups, f.Scanning.Value.Capable = 1000, []uint32{4}, true
		}},
		{"ends", func(f *health.Facts) { f.Scanning.Value.Ends = endsOf(5, "SIGSEGV") }},
		{"killed", func(f *health.Facts) {
			f.Scanning.Value.Ends, f.Scanning.Value.SetAside = endsOf(5, "SIGKILL"), []string{"/srv/poison"}
		}},
		{"forbidden calls", func(f *health.Facts) { f.Scanning.Value.Ends = endsOf(5, "SIGSYS") }},
		{"exits", func(f *health.Facts) { f.Scanning.Value.Ends, f.Scanning.Value.BuiltIn = endsOf(5, ""), true }},
		{"hangs, as the daemon sees it", func(f *health.Facts) {
			f.Scanning.Value.Ends, f.Daemon = endsOf(5, ""), true
			f.Scanning.Value.Ends[4].Hung = true
		}},
	}
	for _, cause := range []string{
		control.ScanLibraryMissing, control.ScanLibraryUnusable, control.ScanDefinitions, control.ScanMemory, control.ScanRights, control.ScanSelfTest,
		control.ScanKilled, control.ScanProgram, control.ScanHung, "of a newer daemon",
	} {
		all = append(all, deviation{"cannot start: " + cause, scanState(control.Scan{
			State: control.ScanFailed, Stage: "definitions", Cause: cause, Error: "MD5", File: "daily.cvd", Engine: "0.99", MemoryLimit: 64 << 20, Ends: endsOf(1, "SIGSYS"), UserError: "EPERM",
		})})
	}
	return all
}

func scanState(s control.Scan) func(*health.Facts) {
	return func(f *health.Facts) { f.Scanning.Value = s }
}

// endsOf are ends within the last minute.
func endsOf(n int, signal string) (ends []control.ScanEnd) {
	for i := range n {
		ends = append(ends, control.ScanEnd{Time: time.Now().Add(time.Duration(i-n) * time.Second), PID: i, Signal: signal, Memory: 1 << 30, Files: []string{"/srv/poison", "/srv/a b"}})
	}
	return ends
}

func withoutBTF(h *host.Headers) func(*health.Facts) {
	return func(f *health.Facts) {
		f.BPF.KernelBTF.Value = false
		f.Host.Kernel.Value.Headers = host.Read(h, "/lib/modules/6.1/build")
		f.Monitoring.Value = health.Monitoring{Source: monitor.Degraded, Chosen: monitor.Degraded, Proved: true, Detail: "exec of process 7"}
	}
}

func layoutsMissing(why *layout.Error, met control.Layouts) func(*health.Facts) {
	return func(f *health.Facts) {
		withoutBTF(&host.Headers{Link: "/lib/modules/6.1/build", Release: "5.14.0-427.el9.x86_64"})(f)
		origin := layout.Derived
		if why != nil {
			origin = layout.None
		}
		f.BPF.Layouts = host.Read(bpf.Layouts{Found: layout.Found{Origin: origin, From: "/tree", Reason: why}}, "/tree")
		f.Monitoring.Value.Chosen, f.Monitoring.Value.Layouts = monitor.EBPFHeaders, met
	}
}

func directory(s *host.DirectoryState) func(*health.Facts) {
	return func(f *health.Facts) {
		want := host.Directory{Path: "/var/log/cisco", Mode: 0o755, Owner: "root", Group: "root"}
		f.Host.Directories = []host.DirectoryFact{{Want: want, State: host.Read(s, want.Path)}}
	}
}

func denied(s selinux.Store) func(*health.Facts) {
	return func(f *health.Facts) {
		f.SELinux.Access[0].Value.Denied = selinux.BPFNeed.Permissions
		f.SELinux.DenyUnknown = host.Read(false, "/sys/fs/selinux/deny_unknown")
		f.SELinux.PolicyType = host.Read("targeted", "/etc/selinux/config")
		f.SELinux.Store.Value = s
	}
}

func classUnknown(deny bool) func(*health.Facts) {
	return func(f *health.Facts) {
		denied(selinux.Store{State: selinux.ModuleAbsent})(f)
		f.SELinux.Access[0].Value = selinux.Access{Need: selinux.BPFNeed, Missing: selinux.BPFNeed.Permissions}
		f.SELinux.DenyUnknown.Value = deny
	}
}

// managers are a package manager for every way of installing: by a step, by a person, into an image, and not known.
var managers = []string{"dnf", "microdnf", "rpm-ostree", ""}

// recorded are the distributions whose os-release files were recorded, as a scratch root with that file is read.
func recorded(t *testing.T) (distributions []host.Distribution) {
	data := filepath.Join("..", "..", "shared", "data", "os-release")
	files, err := os.ReadDir(data)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("recorded files of distributions: %v", err)
		}
		t.Skipf("recorded files of distributions are missing: %v", err)
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join(data, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "etc", "os-release"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		distributions = append(distributions, host.Gather(t.Context(), host.At(root), host.Options{}).Distribution.Value)
	}
	return distributions
}

// TestEveryPlanIsInBothLanguages walks all faults and plans of all deviations, and of every distribution those that depend on it.
func TestEveryPlanIsInBothLanguages(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range slices.Concat(deviations, monitoring, scans()) {
		f := deviate(d)
		walk(t, d.name, f, seen)
	}
	for _, kind := range []string{"account-locks", "group", "user", "user-repair", "directory", "packages", "policy-module", "service", "manual", "remark", "scan-service", "restore-definitions", "drop-definitions"} {
		if !seen[kind] {
			t.Errorf("no world has a plan with an item of kind %s", kind)
		}
	}
	for _, id := range []string{"raised", "clear", "unknown", "not-applicable"} {
		if !seen[id] {
			t.Errorf("no world has a finding that is %s", id)
		}
	}
}

func TestEveryDistributionsPlanIsInBothLanguages(t *testing.T) {
	var tools deviation
	for _, d := range deviations {
		if d.name == "no semodule" {
			tools = d
		}
	}
	seen := map[string]bool{}
	alike := map[string]bool{} // packages are named by these
	headers := withoutBTF(nil)
	library := scanState(control.Scan{State: control.ScanFailed, Cause: control.ScanLibraryMissing})
	for _, distribution := range recorded(t) {
		key := fmt.Sprint(distribution.Family, distribution.ID, distribution.Major(), distribution.Immutable)
		if alike[key] {
			continue
		}
		alike[key] = true
		for _, manager := range managers {
			f := deviate(tools)
			f.Host.Distribution.Value = distribution
			if manager != "" {
				f.Host.PackageManager = host.Read(host.PackageManager{Name: manager}, manager)
			}
			headers(f)
			library(f)
			walk(t, distribution.Name+" with "+manager, f, seen)
		}
	}
}

func deviate(d deviation) *health.Facts {
	f := &soundWorld().facts
	f.Host.PackageManager = host.Read(host.PackageManager{Name: "dnf"}, "/usr/bin/dnf")
	d.change(f)
	return f
}

// walk looks at every text that a person may see of a host: findings, plans, and what a dry run says of their steps.
func walk(t *testing.T, where string, f *health.Facts, seen map[string]bool) {
	t.Helper()
	for _, finding := range health.Check(f) {
		seen[string(finding.State)] = true
		bilingual(t, where+": reason", finding.Reason)
		for _, e := range finding.Evidence {
			en, ja := e.In(fault.English), e.In(fault.Japanese)
			bilingual(t, where+": evidence", fault.Text{EN: en.What, JA: ja.What})
			if en.Expected != "" {
				bilingual(t, where+": expected", fault.Text{EN: en.Expected, JA: ja.Expected})
			}
		}
		if p, err := Plan(f, finding); err == nil {
			walkPlan(t, where, p, seen)
		} else {
			bilingual(t, where+": no plan", installer.ErrorText(err))
		}
	}
	walkPlan(t, where+", chosen", installer.Plan{Items: planChoice(f, nil, true)}, seen)
	walkPlan(t, where+", install", installer.InstallPlan(f), seen)
}

func walkPlan(t *testing.T, where string, p installer.Plan, seen map[string]bool) {
	t.Helper()
	results, _ := installer.Run(t.Context(), installer.NewHost(host.At(t.TempDir()), nil), p, installer.Options{DryRun: true})
	for _, r := range allOf(p, results) {
		if r.Item.Step == nil {
			seen["manual"] = true
			bilingual(t, where+": manual", r.Item.Manual)
			for text, end := range map[string]string{r.Item.Manual.EN: ".:", r.Item.Manual.JA: "。"} {
				if !strings.ContainsAny(text[max(0, len(text)-len("。")):], end) {
					t.Errorf("%s: a manual text is no sentence: %q", where, text)
				}
			}
			continue
		}
		seen[r.Item.Step.Kind()] = true
		title := r.Item.Step.Title()
		bilingual(t, where+": title", title)
		if strings.HasSuffix(title.EN, ".") || strings.HasSuffix(title.JA, "。") || strings.HasSuffix(title.JA, "ます") {
			t.Errorf("%s: a title is a sentence: %q / %q", where, title.EN, title.JA)
		}
		if r.Err != nil {
			bilingual(t, where+": error", installer.ErrorText(r.Err))
		}
		if left, ok := r.Item.Step.(interface{ Remark() fault.Text }); ok && left.Remark() != (fault.Text{}) {
			seen["remark"] = true
			bilingual(t, where+": remark", left.Remark())
		}
	}
}

func TestErrorsOfTheToolAreInBothLanguages(t *testing.T) {
	_, errNumber := Select([]string{"five"})
	_, errUnknown := Select([]string{"99"})
	noRoot := (&Tool{Root: "/nonexistent"}).prepare()
	noFolder := (&Tool{Root: "/proc/self/exe"}).prepare()
	for _, err := range []error{
		errNumber, errUnknown, noRoot, noFolder, ErrNoRemedy, fs.ErrPermission, errors.New("odd"),
		&installer.LockedError{HeldError: &filelock.HeldError{Path: installer.LockPath}},
		&installer.LockedError{HeldError: &filelock.HeldError{Path: installer.LockPath, Holder: filelock.Holder{Program: "ampdaemon", PID: 7}, Gone: true, Waited: 1}},
		&installer.StepError{Title: fault.Text{EN: "create user x", JA: "ユーザー x の作成"}, Err: errDisk},
		errors.Join(&installer.StepError{Title: fault.Text{EN: "create user x", JA: "ユーザー x の作成"}, Err: errDisk}, fs.ErrNotExist),
	} {
		bilingual(t, "error", installer.ErrorText(err))
		if got := installer.ErrorText(err).EN; got != err.Error() {
			t.Errorf("English: %q, want %q", got, err.Error())
		}
	}
}
