package service

import (
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/engine"
)

// start goes through the stages and returns with the report of the first that was not passed.
func start(c Config) (Engine, scan.Report) {
	report := scan.Report{Stage: scan.StageSandbox, Sandbox: c.Sandbox, Workers: uint32(c.Workers)}
	if err := giveUpRights(&report.Sandbox); err != nil {
		report.Cause, report.Error = scan.RightsMissing, err.Error()
		return nil, report
	}

	report.Stage = scan.StageLibrary
	library, err := c.Open()
	if err != nil {
		return nil, blamed(report, err)
	}
	report.Engine = library.Version()
	// Only now, since the dynamic loader maps code.
	if err := filterSystemCalls(); err != nil {
		c.Log.Warn("no filter of system calls", "error", err) // the report tells it too; an old kernel is no reason not to scan
	} else {
		report.Sandbox |= scan.SandboxSystemCalls
	}

	report.Stage = scan.StageDefinitions
	scanner, err := library.Load(c.Options)
	if err != nil {
		return nil, blamed(report, err)
	}
	report.Signatures = scanner.Signatures()

	report.Stage = scan.StageSelfTest
	if err := selfTest(scanner, c.Options.Scratch); err != nil {
		report.Cause, report.Error = scan.SelfTestFailed, err.Error()
		return nil, report
	}
	report.Stage = scan.StageReady
	return scanner, report
}

// blamed is the report with what an error of the engine says.
func blamed(report scan.Report, err error) scan.Report {
	report.Error = err.Error()
	if e, ok := errors.AsType[*engine.Error](err); ok {
		report.Cause, report.File, report.Error = e.Cause, e.File, e.Err.Error()
	}
	if report.Error == "" {
		report.Error = fmt.Sprintf("%T without a text", err)
	}
	return report
}
