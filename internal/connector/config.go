// Package connector is the daemon's core: it evaluates the faults of the running host at start, on change and every minute, keeps the
// ledger, chooses the event source and proves by a canary that its events arrive, writes the event log, and answers on the
// control socket. What it looks at and what it opens are fields of Config, so that its loop is tested with recorded facts.
package connector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/degraded"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

// PIDFile names the daemon that runs; it holds a flock(2) on it for as long as it lives.
const PIDFile = "/run/cisco-amp/ampdaemon.pid"

// Config is what a connector works with. Zero fields are given their defaults by Run: the running host.
type Config struct {
	Version    string
	Executable string // the daemon's own program file, which the canary runs as "Executable canary TOKEN DIRECTORY"
	// ForeignPIDs says that the kernel's process ids are not those that this process sees: it runs in a PID namespace. Run finds out.
	ForeignPIDs bool

	PIDFile  string
	Socket   string // of internal/control
	Ledger   string
	EventLog string

	DetectionLog string
	Log          *slog.Logger
	Reload       <-chan struct{} // asks for a reload, as SIGHUP does
	Reopen       func() error    // opens the daemon's own log anew, when a reload is asked for; may be nil

	Gather func(context.Context) *health.Facts
	Check  func(*health.Facts) []fault.Finding
	Choose func(*health.Facts) monitor.Choice
	Open   func(context.Context, monitor.SourceName, monitor.Settings, bpf.Types) (monitor.Source, error) // the types are those of a source that needs some
	// ReadLayouts reads the layouts that the facts name, or makes them, which takes seconds. It is called beside the loop.
	ReadLayouts func(context.Context, *health.Facts) (bpf.Types, layout.Found, error)

	OpenLog func(path string, cap int64) (EventLog, error)
	// OpenScanner makes what scans files. It begins with the first settings that it is given.
	OpenScanner func(ScanSurroundings) Scanner
	// StartChild executes the canary's process, with token in its arguments; as ActAsCanary.
	StartChild func(ctx context.Context, token string) (Child, error)

	// Watch calls changed when something happens to one of the paths that it was given last by the function that it returns.
	Watch       func(ctx context.Context, changed func(what string)) (follow func(paths []string), err error)
	WatchPolicy func(ctx context.Context, changed func()) error // as selinux.WatchPolicy
	Recover     func(context.Context) error                     // puts back what an interrupted change left behind, before anything is looked at
	Notify      func(state string)                              // sd_notify(3)
	Watchdog    time.Duration                                   // how often the service manager wants to hear of the loop; 0: never

	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// EventLog is where events go. monitor.Log is one.
type EventLog interface {
	Append(*monitor.Event) error
	Flush() error
	SetCap(bytes int64) error
	Dropped() uint64
	Failing() error // why the last write did not work, nil where it did
	io.Closer
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	c = c.withDefaultPaths()
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Gather == nil {
		c.Gather = func(ctx context.Context) *health.Facts { return health.Gather(ctx, health.Options{Daemon: true}) }
	}
	if c.Check == nil {
		c.Check = health.Check
	}
	if c.Choose == nil {
		c.Choose = health.Choose
	}
	if c.Open == nil {
		c.Open = openSource
	}
	if c.ReadLayouts == nil {
		c.ReadLayouts = readKernelLayouts
	}
	if c.OpenLog == nil {
		c.OpenLog = func(path string, cap int64) (EventLog, error) { return monitor.OpenLog(path, cap) }
	}
	if c.OpenScanner == nil {
		c.OpenScanner = func(with ScanSurroundings) Scanner { return openScanner(defaultPlaces(c.Executable), c.Log, with) }
	}
	if c.StartChild == nil {
		c.StartChild = func(ctx context.Context, token string) (Child, error) {
			return startChild(ctx, c.Executable, token, canaryDirectory)
		}
	}
	return c.withDefaultSurroundings()
}

func (c Config) withDefaultPaths() Config {
	for field, value := range map[*string]string{
		&c.PIDFile: PIDFile, &c.Socket: control.Socket, &c.Ledger: fault.LedgerPath, &c.EventLog: monitor.LogPath, &c.DetectionLog: monitor.DetectionLogPath, &c.Executable: "/proc/self/exe",
	} {
		if *field == "" {
			*field = value
		}
	}
	return c
}

func (c Config) withDefaultSurroundings() Config {
	if c.Watch == nil {
		c.Watch = watchPaths
	}
	if c.WatchPolicy == nil {
		c.WatchPolicy = selinux.WatchPolicy
	}
	if c.Recover == nil {
		c.Recover = func(ctx context.Context) error { return recoverHost(ctx, c.Log) }
	}
	if c.Notify == nil {
		c.Notify = notifier(c.Log)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	return c
}

// openSource opens a source by name.
func openSource(ctx context.Context, name monitor.SourceName, settings monitor.Settings, types bpf.Types) (monitor.Source, error) {
	switch name {
	case monitor.Degraded:
		return degraded.Open(ctx, settings)
	case monitor.EBPFKernelBTF:
		return bpf.Open(ctx, settings)
	case monitor.EBPFExternalBTF, monitor.EBPFHeaders:
		types.Name = name
		return bpf.OpenWith(ctx, settings, types)
	case monitor.Modules:
		return kmod.Open(ctx, settings, func(handle func(*monitor.Event)) kmod.Decoder { return bpf.NewRecords(handle) })
	}
	return nil, fmt.Errorf("event source %q: %w", name, errors.ErrUnsupported)
}
