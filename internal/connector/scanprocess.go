package connector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/cgroup"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/quarantine"
	"github.com/ampconnector/amp/internal/scan/sandbox"
	"github.com/ampconnector/amp/internal/scan/schedule"
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
	schedules   string // file
	quarantine  quarantine.Store
	// owner is who has brought a file.
	owner func(ctx context.Context, path string) host.Reading[host.PackageOwner]

	groups   *cgroup.Tree // nil where there is none
	groupErr error        // why not
}

func defaultPlaces(executable string) scanPlaces {
	p := scanPlaces{
		executable: executable, service: trial.Service, log: trial.Log, definitions: definitions.Dir, builtIn: definitions.BuiltInDir,
		verdicts: verdicts.Path, schedules: schedule.Path,
		quarantine: quarantine.Store{Dir: quarantine.Dir, Program: "ampdaemon", Roots: hostRoots}, owner: packageOwner,
	}
	p.groups, p.groupErr = cgroup.Open(host.OwnControlGroup(host.Root{}))
	return p
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
	return scan.Limits{FileBytes: uint64(p.FileMiB) << 20, ScanBytes: 4 * uint64(p.FileMiB) << 20, ScanTime: engineGivesUp}
}

// scanProcess is a scan service in its sandbox, for the supervisor.
type scanProcess struct {
	*sandbox.Process
	group *cgroup.Group
}

// startScanProcess starts one, in a control group unless that is nil.
func startScanProcess(ctx context.Context, o sandbox.Options, group *cgroup.Group) (supervise.Service, error) {
	entrance, err := group.Entrance()
	if err != nil {
		return nil, errors.Join(err, group.Remove())
	}
	defer entrance.Close()
	o.Cgroup = entrance
	p, err := sandbox.Start(ctx, o)
	if err != nil {
		return nil, errors.Join(err, group.Remove())
	}
	return scanProcess{p, group}, nil
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

// Wait asks the control group why the process was killed, and removes it; one that cannot be removed yet is when the next daemon starts.
func (p scanProcess) Wait() supervise.Exit {
	state, err := p.Process.Wait()
	defer func() { _ = p.group.Remove() }()
	if err != nil {
		return supervise.Exit{Status: -1}
	}
	e := supervise.ExitOf(state)
	e.Short = p.Shortage()
	if e.Signal == syscall.SIGKILL {
		e.Memory, _ = p.group.KilledAt() // where that cannot be read, it is a SIGKILL as others are
	}
	return e
}
