package connector

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/sandbox"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/trial"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// scanNice is how far scans stand back behind all else that the host does, nice(2).
const scanNice = 5

// scanPlaces are where a scanner finds and keeps things.
type scanPlaces struct {
	executable  string // the daemon's own program, static, whose main calls sandbox.Enter
	service     string // program
	log         string // of the service
	definitions string // directory of the store
	builtIn     string // directory
	verdicts    string // file
}

func defaultPlaces(executable string) scanPlaces {
	return scanPlaces{executable, trial.Service, trial.Log, definitions.Dir, definitions.BuiltInDir, verdicts.Path}
}

// options are what a scan service is started with, for these settings.
func (p scanPlaces) options(s ScanSettings) sandbox.Options {
	return sandbox.Options{
		Executable: p.executable, Service: p.service, User: s.UID, Group: s.GID, AsRoot: s.AsRoot != "",
		Memory: uint64(s.MemoryMiB) << 20, Workers: s.Workers, Nice: scanNice,
	}
}

// limitsOf are those of one scan.
func limitsOf(p policy.Scan) scan.Limits {
	return scan.Limits{FileBytes: uint64(p.FileMiB) << 20, ScanBytes: 4 * uint64(p.FileMiB) << 20}
}

// scanProcess is a scan service in its sandbox, for the supervisor.
type scanProcess struct{ *sandbox.Process }

// startScanProcess starts one.
func startScanProcess(ctx context.Context, o sandbox.Options) (supervise.Service, error) {
	p, err := sandbox.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return scanProcess{p}, nil
}

func (p scanProcess) PID() int { return p.Process.PID }

// Report is the first message.
func (p scanProcess) Report(ctx context.Context) (scan.Report, error) {
	stop := context.AfterFunc(ctx, func() { p.Conn.Close() })
	defer stop()
	m, err := p.Conn.ReceiveMessage()
	switch {
	case err != nil:
		return scan.Report{}, err
	case m.Report == nil:
		return scan.Report{}, errors.New("an answer, expected the report of the start")
	}
	return *m.Report, nil
}

// Receive closes the connection where it ends: nothing comes after that.
func (p scanProcess) Receive() (scan.Answer, error) {
	m, err := p.Conn.ReceiveMessage()
	if err != nil {
		return scan.Answer{}, errors.Join(err, p.Conn.Close())
	}
	if m.Answer == nil {
		return scan.Answer{}, fmt.Errorf("a report of stage %s, expected an answer", m.Report.Stage)
	}
	return *m.Answer, nil
}

func (p scanProcess) Send(r scan.Request, f *os.File) error { return p.Conn.Send(r, f) }

// Kill ends the process. One that cannot be killed is waited for all the same.
func (p scanProcess) Kill() { _ = p.Process.Kill() }

func (p scanProcess) Wait() supervise.Exit {
	state, err := p.Process.Wait()
	if err != nil {
		return supervise.Exit{Status: -1}
	}
	return supervise.ExitOf(state)
}
