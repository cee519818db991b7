package definitions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/scan"
)

// ErrNotProven is in the chain of an error when the engine could not be asked: what it would say of the definitions is not known, and nothing has changed.
var ErrNotProven = errors.New("the definitions could not be tried")

// maxBlamed is how many files of one set may fail one after the other at the trial load before the whole set is set aside.
const maxBlamed = 3

// trial is what came of trying a set.
type trial struct {
	report scan.Report
	set    Set    // that passed; its ID is empty where none did
	same   bool   // it is the set that is live, and has not been tried again
	reason string // why nothing passed
}

// prove tries what is in the staging directory. A file that the engine names is dropped, and what is left is tried again, with the files of an earlier set in
// the place of those that were dropped.
func (g *staging) prove(ctx context.Context, earlier Set, live string) (trial, error) {
	for blamed := 0; ; blamed++ {
		if err := g.substitute(ctx, earlier); err != nil {
			return trial{}, err
		}
		set := g.set()
		if g.empty() {
			return trial{reason: "no file is left that passed"}, nil
		}
		if set.ID == live {
			return trial{set: set, same: true}, nil
		}
		if r, known := g.store.refused(set.ID); known && !g.force {
			c := Check{Step: StepRejected, Verdict: Failed, Read: fmt.Sprintf("this set was set aside at %s: %s", r.When.Format("2006-01-02 15:04 UTC"), r.Check), Expected: "other content"}
			g.checks = append(g.checks, c)
			return trial{reason: c.Read}, nil
		}
		reached("before-trial")
		report, err := g.store.try(ctx, g.dir)
		if err != nil {
			return trial{report: report}, err
		}
		if report.Stage == scan.StageReady {
			reached("proven")
			g.passed(report)
			set.Engine, set.Signatures, set.Made = report.Engine, report.Signatures, g.store.config.Now().UTC()
			return trial{report: report, set: set}, nil
		}
		file, guilty := set.file(report.File)
		if !guilty || file.BuiltIn || blamed == maxBlamed {
			return g.failed(set, report)
		}
		c := loadCheck(report)
		g.checks = append(g.checks, c)
		if err := g.leaveOut(file, c, report.Error, report.Engine); err != nil {
			return trial{report: report}, err
		}
		g.dropOrphans()
	}
}

// failed sets a whole set aside.
func (g *staging) failed(set Set, report scan.Report) (trial, error) {
	c := loadCheck(report)
	c.File = ""
	g.checks = append(g.checks, c)
	t := trial{report: report, reason: c.Read}
	if !g.record {
		return t, nil
	}
	r, err := g.store.setSetAside(set, Rejected{From: g.from, Check: c, Log: report.Error, Engine: report.Engine})
	g.aside = append(g.aside, r)
	return t, err
}

// passed notes the two checks that the engine made.
func (g *staging) passed(report scan.Report) {
	g.checks = append(g.checks,
		Check{Step: StepLoad, Verdict: Passed, Read: fmt.Sprintf("%d signatures loaded by engine %s", report.Signatures, report.Engine)},
		Check{Step: StepSelfTest, Verdict: Passed, Read: "the sample is found, and what is clean is not"})
}

// try asks the engine. Only its word against the definitions is no error.
func (s *Store) try(ctx context.Context, dir string) (scan.Report, error) {
	if s.config.Prove == nil {
		return scan.Report{}, fmt.Errorf("%w: this program has no scan engine", ErrNotProven)
	}
	report, err := s.config.Prove(ctx, dir)
	if err != nil {
		return report, fmt.Errorf("%w: %w", ErrNotProven, err)
	}
	if report.Stage != scan.StageReady && !againstDefinitions(report) {
		return report, fmt.Errorf("%w: %s: %s", ErrNotProven, report.Stage, report.Error)
	}
	return report, nil
}

// againstDefinitions reports whether a start ended because of the definitions. Memory that did not suffice may suffice tomorrow.
func againstDefinitions(r scan.Report) bool {
	return r.Cause == scan.DefinitionsBad || r.Cause == scan.SelfTestFailed
}

// loadCheck makes a check of the engine's word.
func loadCheck(r scan.Report) Check {
	c := Check{File: r.File, Step: StepLoad, Verdict: Failed, Read: r.Error, Expected: "definitions that the engine loads"}
	if r.Cause == scan.SelfTestFailed {
		c.Step, c.Expected = StepSelfTest, "the sample found, and nothing in what is clean"
	}
	if c.Read == "" {
		c.Read = "refused without a word"
	}
	return c
}
