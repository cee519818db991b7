package remediate

import (
	"context"
	"fmt"
	"slices"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/sandbox"
	"github.com/ampconnector/amp/internal/scan/trial"
)

// definitionStore is the store of a host as the steps see it.
type definitionStore struct{ *definitions.Store }

// definitionsOf opens the store of the running host; images and hosts of other connectors have none that could be tried. A policy that
// cannot be read allows nothing.
func definitionsOf(r host.Root, log string) installer.Definitions {
	if !r.Live() {
		return nil
	}
	p, err := policy.Load(policy.Path)
	if err != nil {
		p = policy.Default()
	}
	options := sandbox.Options{Executable: trial.Daemon, Service: trial.Service, Memory: uint64(p.Scan.MemoryMiB) << 20, Workers: 1}
	return definitionStore{definitions.Open(definitions.Config{
		Dir: definitions.Dir, BuiltIn: definitions.BuiltInDir, Program: "amp-remediate",
		Prove: prove(options, log), Unsigned: p.Scan.Unsigned, FIPS: definitions.FIPS("/"),
	})}
}

// prove makes trials that write to the log. Most runs make none: they have it neither opened nor made.
func prove(o sandbox.Options, log string) definitions.Prove {
	return func(ctx context.Context, dir string) (scan.Report, error) {
		with := o
		if file, err := trial.OpenLog(log); err == nil { // else the trial says what it has to say all the same
			defer file.Close()
			with.Log = file
		}
		return trial.ProveAs(with, host.Connectors[0].ScanAccount)(ctx, dir)
	}
}

// Current implements installer.Definitions.
func (s definitionStore) Current(context.Context) (string, error) {
	set, err := s.Store.Current()
	if err != nil || set.BuiltIn {
		return "", err
	}
	return set.ID, nil
}

// Verify implements installer.Definitions.
func (s definitionStore) Verify(ctx context.Context) ([]installer.BadDefinition, error) {
	bad, _, err := s.judge(ctx)
	return bad, err
}

// judge is Verify, with the engine's word.
func (s definitionStore) judge(ctx context.Context) ([]installer.BadDefinition, scan.Report, error) {
	set, err := s.Store.Current()
	if err != nil {
		return []installer.BadDefinition{{File: definitions.Dir, Why: err.Error()}}, scan.Report{}, nil //nolint:nilerr // a link that leads nowhere is what is wrong
	}
	checks, report, err := s.Store.Verify(ctx, set.Dir)
	var bad []installer.BadDefinition
	for _, c := range checks {
		if c.Verdict == definitions.Failed {
			file := c.File
			if file == "" {
				file = set.Dir
			}
			bad = append(bad, installer.BadDefinition{File: file, Why: fmt.Sprintf("%s: read %s, expected %s", c.Step, c.Read, c.Expected)})
		}
	}
	return bad, report, err
}

// Restore implements installer.Definitions. What is not any more what it was is found by Start; what the engine does not take, although it
// is, has to be told.
func (s definitionStore) Restore(ctx context.Context) error {
	started, err := s.Start(ctx)
	if err != nil {
		return err
	}
	_, report, err := s.judge(ctx)
	if err != nil {
		return err
	}
	if report.Cause == scan.DefinitionsBad || report.Cause == scan.SelfTestFailed {
		_, err = s.Failed(ctx, started.Set.ID, report)
	}
	return err
}

// Rollback implements installer.Definitions. The set before may be one that a rollback left: to go back to that would undo what was asked for.
func (s definitionStore) Rollback(ctx context.Context) error {
	if previous, err := s.Previous(); err == nil {
		rejected, err := s.Rejected()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(rejected, func(r definitions.Rejected) bool { return r.Key == previous.ID && r.Final() })
		if i >= 0 {
			return errSetBefore.wrong(previous.ID, rejected[i].Check)
		}
	}
	outcome, err := s.Store.Rollback(ctx)
	if err == nil && outcome.Result != definitions.Live {
		err = fmt.Errorf("%s: %s", outcome.Result, outcome.Reason)
	}
	return err
}
