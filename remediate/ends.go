package remediate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// restarting is the fault of a scan service that ends too often, failing that of one that does not come up.
const (
	restarting fault.ID = 6
	failing    fault.ID = 7
)

// scanLogs are shown with fault 6, so many lines of each.
var scanLogs = []string{"/var/log/cisco/ampdaemon.log", "/var/log/cisco/ampscansvc.log"}

const logLines = 12

// leavingOut reports whether this run excludes what the scan service ends at.
func (r *run) leavingOut() bool { return !r.sel.All && slices.Equal(r.sel.IDs, []fault.ID{restarting}) }

// choose checks what was asked for beside fault numbers. Errors are ones of the command line.
func (r *run) choose(ctx context.Context) error {
	if err := r.chooseBoot(ctx); err != nil {
		return err
	}
	if err := r.chooseScan(); err != nil || r.leavingOut() {
		return err
	}
	return r.chooseExclusions()
}

// chooseScan checks what was asked for about the scan service.
func (r *run) chooseScan() error {
	alone := !r.sel.All && len(r.sel.IDs) == 1 && (r.sel.IDs[0] == restarting || r.sel.IDs[0] == failing)
	if r.Rollback && !alone {
		return errRollbackAlone.wrong()
	}
	if !r.leavingOut() {
		return nil
	}
	if len(r.Exclusions.Include) > 0 || r.Exclusions.Children {
		return errIncludeAlone.wrong()
	}
	for _, path := range r.Exclusions.Exclude {
		if fi, err := r.target.Root.Stat(path); err == nil && fi.IsDir() && !strings.HasSuffix(path, "/") {
			path += "/" // a directory and all below it
		}
		x, err := installer.NewExclusion(policy.ByPath, path, false)
		if err != nil {
			return errExclude.wrong(err)
		}
		r.leaveOut = append(r.leaveOut, x)
	}
	return nil
}

// planOfScan is the plan of faults 6 and 7 with what was chosen.
func (r *run) planOfScan(m *matter, items []installer.Item) []installer.Item {
	switch {
	case r.facts.Connector.Vendor:
		return items
	case m.finding.ID == restarting:
		return manualLast(planChoice(r.facts, r.leaveOut, r.Rollback))
	case m.finding.ID == failing && r.Rollback:
		return manualLast(append(dropItems(r.facts.Scanning.Value), items...))
	}
	return items
}

// readScanLogs shows what the connector and its scan service wrote last.
func (r *run) readScanLogs(m *matter) {
	if m.finding.ID != restarting || r.image() {
		return
	}
	if r.logTails == nil {
		r.logTails = []fault.Evidence{}
		for _, name := range scanLogs {
			r.logTails = append(r.logTails, r.logTail(name)...)
		}
	}
	m.finding.Evidence = append(m.finding.Evidence, r.logTails...)
}

func (r *run) logTail(name string) []fault.Evidence {
	what := fault.Text{EN: "last lines of the log", JA: "ログの末尾"}
	tail := r.hands.tail(name, logLines)
	switch {
	case !tail.Known():
		return []fault.Evidence{fault.NewEvidence(what, fault.Text{EN: "not known: %v", JA: "不明: %v"}.With(installer.ErrorText(tail.Err)), name, fault.Text{})}
	case len(tail.Value) == 0:
		return []fault.Evidence{fault.NewEvidence(what, fault.Text{EN: "it is empty", JA: "空です"}, name, fault.Text{})}
	}
	lines := make([]fault.Evidence, len(tail.Value))
	for i, text := range tail.Value {
		if text == "" {
			text = "-"
		}
		lines[i] = fault.NewEvidence(fault.Text{EN: "line %d of the log's last %d", JA: "ログ末尾の %d 行目 (全 %d 行)"}.With(i+1, len(lines)), fault.Verbatim(text), name, fault.Text{})
	}
	return lines
}

// judgeEnds tells what came of a scan service that was started anew: whether it ended again since, or has to stay quiet yet.
func (r *run) judgeEnds(m *matter) {
	id, reason, s := m.finding.ID, m.finding.Reason, r.facts.Scanning.Value
	i := slices.IndexFunc(s.Ends, func(e control.ScanEnd) bool { return e.Time.After(r.began) })
	gone := m.finding.State == fault.Clear
	switch {
	case gone && i < 0:
		m.settle(ExitGone, msgGone.with(id, reason))
	case gone: // a file that is given to it alone may end it once more, and is set aside then
		m.settle(ExitGone, msgGoneAndEnded.with(id, reason, s.Ends[i].Time.UTC().Format(time.RFC3339), namesOf(s.Ends[i].Files)))
	case i >= 0:
		m.settle(ExitThere, msgEndedAgain.with(id, s.Ends[i].Time.UTC().Format(time.RFC3339), namesOf(s.Ends[i].Files)))
	default:
		m.settle(ExitThere, msgEndsWait.with(id, time.Duration(s.Limits.Quiet)*time.Second, reason))
	}
}

func namesOf(files []string) fault.Text {
	if len(files) == 0 {
		return fault.Text{EN: "while no file was being scanned", JA: "スキャン中のファイルなし"}
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = quoted(f)
	}
	return fault.Text{EN: "while it was scanning %s", JA: "スキャン中: %s"}.With(strings.Join(names, ", "))
}
