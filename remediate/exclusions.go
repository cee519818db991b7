package remediate

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

// overload is the fault that exclusions are a remedy of.
const overload fault.ID = 18

// ExclusionChoice is what a person chose to leave out of monitoring, or to take in again. It stands with fault 18 alone; to leave out, with
// fault 6 too.
type ExclusionChoice struct {
	Exclude  []string // paths of program files; with fault 6, of files and directories that are scanned
	Include  []string
	Children bool // what the excluded start is left out too
}

func (c ExclusionChoice) empty() bool { return len(c.Exclude)+len(c.Include) == 0 }

// excluding reports whether this run changes exclusions because of an overload.
func (r *run) excluding() bool { return !r.Exclusions.empty() && !r.leavingOut() }

// chooseExclusions checks what was asked for. Errors are ones of the command line.
func (r *run) chooseExclusions() error {
	c := r.Exclusions
	switch {
	case (r.excluding() || c.Children) && (r.sel.All || !slices.Equal(r.sel.IDs, []fault.ID{overload})):
		return errExcludeAlone.wrong()
	case c.Children && len(c.Exclude) == 0:
		return errChildren.wrong()
	}
	for _, path := range c.Exclude {
		x, err := installer.NewExclusion(policy.ByProcess, path, c.Children)
		if err == nil && !r.isProgram(path) {
			err = errNoProgram.wrong(path)
		}
		if err != nil {
			return errExclude.wrong(err)
		}
		r.exclude = append(r.exclude, x)
	}
	for _, path := range c.Include {
		x, err := installer.NewExclusion(policy.ByProcess, path, false)
		if err == nil && slices.Contains(c.Exclude, path) {
			return errExcludeBoth.wrong(path)
		}
		if known := r.facts.Exclusions; err == nil && known.Known() && !known.Value.Has(x) && !r.isProgram(path) {
			err = errNotExcluded.wrong(path)
		}
		if err != nil {
			return errInclude.wrong(err)
		}
		r.include = append(r.include, x)
	}
	return nil
}

// isProgram reports whether there is a file that could be executed. One that may not be looked at might be.
func (r *run) isProgram(path string) bool {
	fi, err := r.target.Root.Stat(path)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	return fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0
}

// previewExclusions makes the plan of what was asked for, whether the fault is there or not: an exclusion is taken back when it is over.
func (r *run) previewExclusions(ctx context.Context, m *matter) {
	r.wasRaised = m.finding.State == fault.Raised
	p := installer.Plan{Name: "fault-18", Items: exclusionItems(r.facts, r.exclude, r.include)}
	m.plan.Plan = p
	results, err := r.hands.run(ctx, r.target, p, installer.Options{DryRun: true})
	m.plan.results = allOf(p, results)
	switch {
	case steps(p.Items) == 0:
		m.settle(ExitPerson, msgPerson.with(m.finding.ID, m.finding.Reason))
	case err != nil && (r.Privileged || !errors.Is(err, fs.ErrPermission)):
		r.complain(err)
	}
}

// absent are the last words where the fault is not there, for those where it is.
var absent = []struct{ there, absent message }{
	{msgDryRun, msgExclusionDryRun}, {msgDeclined, msgExclusionKept}, {msgNeedsRoot, msgExclusionRoot}, {msgNoTerminal, msgExclusionAsk},
	{msgLocked, msgExclusionLocked}, {msgImage, msgExclusionImage},
}

// refusal is why nothing was done. Of exclusions that does not mean that the fault is there.
func (r *run) refusal(m *matter, code int, words message) (int, message) {
	i := slices.IndexFunc(absent, func(w struct{ there, absent message }) bool { return w.there == words })
	if !r.excluding() || m.finding.State == fault.Raised || i < 0 {
		return code, words
	}
	if sound := m.finding.State == fault.Clear || m.finding.State == fault.NotApplicable; sound && (words == msgDryRun || words == msgDeclined) {
		code = ExitGone
	}
	return code, absent[i].absent
}

// done reports whether every step is done, or was not needed.
func (p plan) done() bool {
	return !slices.ContainsFunc(p.results, func(r installer.Result) bool {
		return r.Outcome != installer.Done && r.Outcome != installer.Skipped
	})
}

// judgeExclusions tells what came of exclusions that are in force now. Monitoring stays reduced for a while after it became calm, so that the
// fault may still be there.
func (r *run) judgeExclusions(m *matter) {
	id, reason := m.finding.ID, m.finding.Reason
	switch state := m.finding.State; {
	case state == fault.Raised:
		limits := overloadLimits
		m.settle(ExitThere, msgExcludedWaits.with(id, limits.Dwell, limits.Calm, reason))
	case state == fault.Unknown:
		m.settle(ExitThere, msgExcludedUnknown.with(id, reason))
	case r.wasRaised:
		m.settle(ExitGone, msgExcludedGone.with(id, reason))
	default:
		m.settle(ExitGone, msgExcludedAbsent.with(id, reason))
	}
}
