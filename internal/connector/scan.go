package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// Scanner scans the files that events tell of, and those that it is asked to. Its methods may be called from any goroutine, and do not
// wait, but for Settle, Restart and Close.
type Scanner interface {
	// Apply says what is to be scanned, and by whom. It takes effect at once, and is a reason to look for new definitions too.
	Apply(ScanSettings)
	// Event is called for each event, from the goroutine of the source. The scanner keeps nothing of it but what it copies.
	Event(*monitor.Event)
	State() control.Scan
	// Hold lets no scan begin until Resume is called, or so much time has passed.
	Hold(time.Duration)
	Resume()
	// Settle waits, within bounds, while a service runs as another user than the last settings ask for. It reports whether there was
	// anything to wait for.
	Settle(context.Context) bool
	// Restart starts the service anew, and returns when that is through, or when ctx ends.
	Restart(context.Context) error
	// Scan begins a scan on demand, Follow says how far it is, and Stop ends it.
	Scan(control.ScanRequest) (control.ScanRun, error)
	Follow(control.ScanRequest) (control.ScanRun, error)
	Stop(control.ScanRequest) (control.ScanRun, error)
	Close() error
}

// ScanSettings are what the facts ask of the scanner.
type ScanSettings struct {
	policy.Scan
	Schedules []policy.Schedule
	NoPolicy  bool     // none could be read yet, and these are defaults
	Excluded  []string // path prefixes
	// UID and GID are the scan account's. Where it cannot be used, AsRoot is why, and the service runs as root, without its rights.
	UID, GID uint32
	AsRoot   string
}

// ScanSurroundings are what a scanner is given.
type ScanSurroundings struct {
	Found   func(*monitor.Event) // a monitor.Detection; may be called from any goroutine
	Changed func()               // State is another one than before, in what faults are judged by
}

// scanSettings reads them from the facts.
func scanSettings(f *health.Facts) ScanSettings {
	p := policyOf(f)
	s := ScanSettings{Scan: p.Scan, Schedules: p.Schedules, NoPolicy: !f.Policy.Known(), Excluded: p.Exclusions.Plus(f.Exclusions.Value).Paths}
	user, group := f.Host.Account.User, f.Host.Account.Group
	switch {
	case !user.Known():
		s.AsRoot = user.Err.Error()
	case user.Value == nil:
		s.AsRoot = fmt.Sprintf("user %s does not exist", f.Connector.ScanAccount)
	case user.Value.UID == 0:
		s.AsRoot = fmt.Sprintf("user %s has uid 0", f.Connector.ScanAccount)
	case !group.Known():
		s.AsRoot = group.Err.Error()
	case group.Value == nil:
		s.AsRoot = fmt.Sprintf("group %s does not exist", f.Connector.ScanAccount)
	case group.Value.GID == 0:
		s.AsRoot = fmt.Sprintf("group %s has gid 0", f.Connector.ScanAccount)
	default:
		s.UID, s.GID = user.Value.UID, group.Value.GID
	}
	return s
}

// scanUser is the ids that scanning ran with last.
type scanUser struct{ uid, gid uint32 }

// keep goes on with the ids that were known last while nobody can tell them: a directory service that is down is no reason to scan as root.
func (u *scanUser) keep(s ScanSettings, a host.AccountFacts) ScanSettings {
	unknown := !a.User.Known() || a.User.Value != nil && a.User.Value.UID != 0 && !a.Group.Known()
	switch {
	case s.AsRoot == "":
		u.uid, u.gid = s.UID, s.GID
	case unknown && u.uid != 0:
		s.UID, s.GID, s.AsRoot = u.uid, u.gid, ""
	}
	return s
}

// detected puts a detection into both logs, and says it. That of detections has it when a scan on demand is answered.
func (c *core) detected(e *monitor.Event) {
	c.sink.append(e)
	if err := c.detections.appendNow(e); err == nil {
		c.detectionLost.Store(false)
	} else if !c.detectionLost.Swap(true) {
		c.Log.Error("the log of detections cannot be written; they are kept in the event log only", "error", err)
	}
	c.Log.Warn("detection", "name", e.Name, "path", e.File.Path, "pid", e.Process.PID, "process", e.Process.Exe.Path, "sha256", e.Found.SHA256)
}

// scanVerbs are carried out without the loop.
var scanVerbs = map[control.Verb]func(Scanner, control.ScanRequest) (control.ScanRun, error){
	control.StartScan:  Scanner.Scan,
	control.FollowScan: Scanner.Follow,
	control.StopScan:   Scanner.Stop,
}

func (c *core) scanAnswer(r control.Request) control.Answer {
	run, err := scanVerbs[r.Verb](c.scanner, *r.Scan)
	switch {
	case errors.Is(err, control.ErrNoScan):
		return control.Answer{Code: control.NoScan, Error: err.Error()}
	case errors.Is(err, control.ErrBusy):
		return control.Answer{Code: control.Busy, Error: err.Error()}
	case err != nil:
		return control.Answer{Code: control.Incomplete, Error: err.Error()}
	}
	return control.Answer{Scan: &run}
}
