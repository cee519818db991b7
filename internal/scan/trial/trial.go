// Package trial tries definitions as the daemon will use them: a scan service is started in its sandbox, loads them, tests itself, says
// what came of it, and ends. Programs other than the daemon do so too, before definitions go live.
package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// Programs of the package, and the log that the service's standard error goes to.
const (
	Daemon  = "/opt/cisco/amp/bin/ampdaemon"
	Service = "/opt/cisco/amp/bin/ampscansvc"
	Log     = "/var/log/cisco/ampscansvc.log"
)

// Patience is how long a trial may take: to load the official set takes a minute on a slow machine.
const Patience = 5 * time.Minute

const logMode = 0o640

// OpenLog opens the service's log, Log but in tests, for appending, or makes it.
func OpenLog(path string) (*os.File, error) { return durable.OpenLog(path, logMode) }

// as fills in the ids of the scan account, which may be one of a directory service; without a usable one the trial is made as root, without
// root's rights.
func as(ctx context.Context, o sandbox.Options, account string) sandbox.Options {
	u := host.AccountOf(ctx, host.At("/"), account).User
	if u.Known() && u.Value != nil && u.Value.UID != 0 && u.Value.GID != 0 {
		o.User, o.Group = u.Value.UID, u.Value.GID
		return o
	}
	o.AsRoot = true
	return o
}

// ProveAs makes trials as the scan account, which is looked up at each.
func ProveAs(o sandbox.Options, account string) definitions.Prove {
	return func(ctx context.Context, dir string) (scan.Report, error) {
		return Prove(as(ctx, o, account))(ctx, dir)
	}
}

// Prove makes trials with these options, whose Definitions and Check it sets.
func Prove(o sandbox.Options) definitions.Prove {
	return func(ctx context.Context, dir string) (scan.Report, error) {
		o.Definitions, o.Check = dir, true
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		p, err := sandbox.Start(ctx, o)
		if err != nil {
			return scan.Report{}, err
		}
		message, err := p.Conn.ReceiveMessage()
		if err == nil && message.Report == nil {
			err = errors.New("its first message is no report")
		}
		if err == nil {
			err = p.Kill() // it has said all that it had to say
		}
		state, waitErr := p.Wait()
		closeErr := p.Conn.Close()
		switch {
		case ctx.Err() != nil:
			return scan.Report{}, fmt.Errorf("trial of %s: %w", dir, context.Cause(ctx))
		case waitErr != nil:
			return scan.Report{}, waitErr
		case err != nil:
			return died(dir, state, p.Shortage(), err)
		}
		return *message.Report, closeErr
	}
}

// died says what a service that ended without a report tells of the definitions. Crashed by a fault of its own, it did so on them: without
// any, the engine has nothing to do at its start that files could influence. Memory that did not suffice may suffice tomorrow. All else may have
// other reasons.
func died(dir string, state *os.ProcessState, short string, err error) (scan.Report, error) {
	if short != "" {
		return scan.Report{Cause: scan.MemoryShort, Error: short}, fmt.Errorf("trial of %s: the scan service ended (%v) without a report, since %s", dir, state, short)
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		switch signal := status.Signal(); signal {
		case syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL:
			return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, Error: fmt.Sprintf("the engine crashed (%v) while it loaded them", signal)}, nil
		}
	}
	return scan.Report{}, fmt.Errorf("trial of %s: the scan service ended (%v) without a report: %w", dir, state, err)
}
