package health

import (
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// failing is a scan service whose start failed.
func failing(stage, cause string, more ...func(*control.Scan)) func(*Facts) {
	return scan(func(s *control.Scan) {
		*s = control.Scan{State: control.ScanFailed, Stage: stage, Cause: cause, Error: "in its own words", Limits: s.Limits}
		for _, change := range more {
			change(s)
		}
	})
}

func noLibrary(f *Facts) {
	f.Host.Engine.Libraries = host.Read[[]string](nil, "/usr/lib64")
	f.Host.Engine.Repository = host.Read(false, "/etc/yum.repos.d")
}

func TestRule7(t *testing.T) {
	both := func(changes ...func(*Facts)) func(*Facts) {
		return func(f *Facts) {
			for _, change := range changes {
				change(f)
			}
		}
	}
	noDaemon := func(f *Facts) { f.Scanning = host.NotKnown[control.Scan](control.Socket, errNoDaemon) }
	raised := func(name string, change func(*Facts), cause, reason, shown string) row {
		return row{name, change, fault.Raised, []string{cause}, reason, shown}
	}
	for _, r := range append(scanRows(),
		row{name: "ready", change: func(*Facts) {}, state: fault.Clear, shown: "27500, 8700000 signatures"},
		row{name: "ready with what is built in", change: scan(func(s *control.Scan) { s.BuiltIn = true }), state: fault.Clear, shown: "built-in only"},
		row{name: "starting", change: scan(func(s *control.Scan) { s.State = control.ScanStarting }), state: fault.Unknown, reason: "it is starting"},
		row{name: "waiting", change: scan(func(s *control.Scan) { s.State = control.ScanWaiting }), state: fault.Clear, reason: "came up"},
		raised("waiting, since the start failed", both(failing("library", control.ScanLibraryUnusable), scan(func(s *control.Scan) { s.State = control.ScanWaiting })), control.ScanLibraryUnusable, "cannot be used", ""),
		raised("library missing", both(failing("library", control.ScanLibraryMissing), noLibrary), control.ScanLibraryMissing, "the engine library is missing", "clamav-lib, from the repository EPEL, which is not set up"),
		raised("library missing, though a file is there", failing("library", control.ScanLibraryMissing), control.ScanLibraryMissing, "", "/usr/lib64/libclamav.so.12"),
		raised("library missing, distribution not known", both(failing("library", control.ScanLibraryMissing), func(f *Facts) {
			f.Host.Distribution = host.NotKnown[host.Distribution]("/etc/os-release", errDenied)
		}), control.ScanLibraryMissing, "", "not known: permission denied"),
		raised("library missing, distribution without a row", both(failing("library", control.ScanLibraryMissing), func(f *Facts) {
			f.Host.Distribution.Value = host.Distribution{ID: "alpine", VersionID: "3.20", Name: "Alpine Linux v3.20"}
		}), control.ScanLibraryMissing, "", "not known for Alpine Linux v3.20"),
		raised("folders of libraries not readable", both(failing("library", control.ScanLibraryMissing), func(f *Facts) {
			f.Host.Engine.Libraries = host.NotKnown[[]string]("/etc/ld.so.conf", errDenied)
		}), control.ScanLibraryMissing, "", "not known: permission denied"),
		raised("library unusable", failing("library", control.ScanLibraryUnusable, func(s *control.Scan) { s.Engine = "0.99.2" }), control.ScanLibraryUnusable, "cannot be used", "0.99.2"),
		raised("definitions", failing("definitions", control.ScanDefinitions, func(s *control.Scan) { s.File = "daily\x1b.cvd" }), control.ScanDefinitions, "do not load, so that the scan service cannot start: daily\uFFFD.cvd", "daily\uFFFD.cvd"),
		raised("memory", failing("definitions", control.ScanMemory, func(s *control.Scan) { s.MemoryLimit = 64 << 20 }), control.ScanMemory, "not enough memory", "64 MiB"),
		raised("memory, shown of the host", failing("definitions", control.ScanMemory), control.ScanMemory, "", "500 MiB of 2048 MiB"),
		raised("memory not known", both(failing("definitions", control.ScanMemory), func(f *Facts) { f.Host.Memory = host.NotKnown[host.Memory]("/proc/meminfo", errDenied) }), control.ScanMemory, "", "not known: permission denied"),
		raised("rights", failing("sandbox", control.ScanRights, func(s *control.Scan) { s.UserError = "setgroups: EPERM" }), control.ScanRights, "lacks a right", "setgroups: EPERM"),
		raised("self-test", failing("self-test", control.ScanSelfTest, func(s *control.Scan) { s.Engine = "1.4.6" }), control.ScanSelfTest, "self-test", "ClamAV 1.4.6"),
		raised("self-test of what does not say what it is", failing("self-test", control.ScanSelfTest), control.ScanSelfTest, "self-test", "in its own words"),
		raised("killed", both(failing("definitions", control.ScanKilled), ended(5), scan(func(s *control.Scan) { s.Ends[0].Signal = "SIGSYS" })), control.ScanKilled, "a signal ends", "SIGSYS, a system call that its filter forbids"),
		raised("program", failing("", control.ScanProgram), control.ScanProgram, "cannot be executed", "a stage that is not known"),
		raised("hung", failing("definitions", control.ScanHung), control.ScanHung, "in time", "500 MiB of 2048 MiB"),
		raised("a cause of a newer daemon", failing("library", "of a newer daemon"), CauseStart, "cannot start", "in its own words"),
		raised("no daemon and no library", both(noDaemon, noLibrary), control.ScanLibraryMissing, "the engine library is missing", "clamav-lib"),
		row{name: "no daemon, folders not readable", change: both(noDaemon, func(f *Facts) {
			f.Host.Engine.Libraries = host.NotKnown[[]string]("/etc/ld.so.conf", errDenied)
		}), state: fault.Unknown, reason: "not running"},
		row{name: "vendor's, and no library", change: both(func(f *Facts) { f.Connector = host.Connectors[1] }, noDaemon, noLibrary), state: fault.Unknown, reason: "vendor"},
		row{name: "off, and no library", change: both(noLibrary, scan(func(s *control.Scan) { s.State = control.ScanOff })), state: fault.NotApplicable},
	) {
		r.run(t, rule7{})
	}
}

// Every cause that the daemon can give has words, and evidence beside the service's own.
func TestEveryCauseOfAStartHasWords(t *testing.T) {
	causes := []string{
		control.ScanLibraryMissing, control.ScanLibraryUnusable, control.ScanDefinitions, control.ScanMemory, control.ScanRights, control.ScanSelfTest,
		control.ScanKilled, control.ScanProgram, control.ScanHung,
	}
	for _, cause := range causes {
		f := sound()
		failing("library", cause)(f)
		got := rule7{}.Check(f)
		if !slices.Equal(got.Causes, []string{cause}) || got.Reason.EN == startCauses[CauseStart].EN || got.Reason.EN == got.Reason.JA {
			t.Errorf("%s: %v, %q", cause, got.Causes, got.Reason)
		}
	}
	if len(startCauses) != len(causes) {
		t.Errorf("%d causes have words, expected %d", len(startCauses), len(causes))
	}
	for stage := range stages {
		f := sound()
		failing(stage, control.ScanHung)(f)
		shown := func(e fault.Evidence) bool { return strings.Contains(e.Read, stages[stage].EN) }
		if !slices.ContainsFunc((rule7{}).Check(f).Evidence, shown) {
			t.Errorf("stage %s is not shown", stage)
		}
	}
}
