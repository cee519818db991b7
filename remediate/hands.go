package remediate

import (
	"context"
	"log/slog"
	"time"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/scan/trial"
)

// hands is what touches the host. A nil function is the real one; tests of the flow bring others.
type hands struct {
	Target   func(host.Root, *slog.Logger) *installer.Host
	Gather   func(context.Context, health.Options) *health.Facts
	Plan     func(*health.Facts, fault.Finding) (installer.Plan, error)
	Run      func(context.Context, *installer.Host, installer.Plan, installer.Options) ([]installer.Result, error)
	Lock     func(context.Context, *installer.Host, time.Duration) (release func() error, err error)
	Recover  func(context.Context, *installer.Host) ([]fault.Text, error)
	Evaluate func(context.Context) error
	Busiest  func(context.Context) (*control.Top, error)
	Owner    func(ctx context.Context, path string) host.Reading[host.PackageOwner]
	Tail     func(path string, lines int) host.Reading[[]string]
	Versions func(ctx context.Context, manager, pkg string) host.Reading[[]string]
	Status   func(context.Context) ([]byte, error)
	Log      func() (*slog.Logger, func() error)
}

func (h hands) target(r host.Root, log *slog.Logger) *installer.Host {
	if h.Target != nil {
		return h.Target(r, log)
	}
	target := installer.NewHost(r, log)
	target.Definitions = definitionsOf(r, trial.Log)
	return target
}

func (h hands) gather(ctx context.Context, o health.Options) *health.Facts {
	if h.Gather != nil {
		return h.Gather(ctx, o)
	}
	return health.Gather(ctx, o)
}

func (h hands) plan(f *health.Facts, finding fault.Finding) (installer.Plan, error) {
	if h.Plan != nil {
		return h.Plan(f, finding)
	}
	return Plan(f, finding)
}

func (h hands) run(ctx context.Context, target *installer.Host, p installer.Plan, o installer.Options) ([]installer.Result, error) {
	if h.Run != nil {
		return h.Run(ctx, target, p, o)
	}
	return installer.Run(ctx, target, p, o)
}

// lock waits for other programs that change this host.
func (h hands) lock(ctx context.Context, target *installer.Host, wait time.Duration) (func() error, error) {
	if h.Lock != nil {
		return h.Lock(ctx, target, wait)
	}
	l, err := installer.Acquire(ctx, target, "amp-remediate", wait)
	if err != nil {
		return nil, err
	}
	return l.Release, nil
}

func (h hands) recover(ctx context.Context, target *installer.Host) ([]fault.Text, error) {
	if h.Recover != nil {
		return h.Recover(ctx, target)
	}
	return installer.Recover(ctx, target)
}

// evaluate asks the running connector to look again, so that it raises and clears as this program does.
func (h hands) evaluate(ctx context.Context) error {
	if h.Evaluate != nil {
		return h.Evaluate(ctx)
	}
	_, err := control.Ask(ctx, control.Socket, control.Request{Verb: control.Evaluate})
	return err
}

// busiest asks the running connector who makes the events.
func (h hands) busiest(ctx context.Context) (*control.Top, error) {
	if h.Busiest != nil {
		return h.Busiest(ctx)
	}
	a, err := control.Ask(ctx, control.Socket, control.Request{Verb: control.ReadTop})
	return a.Top, err
}

// owner asks which package has a file.
func (h hands) owner(ctx context.Context, path string) host.Reading[host.PackageOwner] {
	if h.Owner != nil {
		return h.Owner(ctx, path)
	}
	return host.FindPackageOwner(ctx, host.At("/"), path)
}

// tail reads the last lines of a log.
func (h hands) tail(path string, lines int) host.Reading[[]string] {
	if h.Tail != nil {
		return h.Tail(path, lines)
	}
	return host.At("/").Tail(path, lines)
}

// versions asks the package manager which versions of a package the repositories have.
func (h hands) versions(ctx context.Context, manager, pkg string) host.Reading[[]string] {
	if h.Versions != nil {
		return h.Versions(ctx, manager, pkg)
	}
	return host.AvailableVersions(ctx, host.At("/"), manager, pkg)
}

// status asks the running connector what it knows.
func (h hands) status(ctx context.Context) ([]byte, error) {
	if h.Status != nil {
		return h.Status(ctx)
	}
	return statusJSON(ctx)
}

func (h hands) log() (*slog.Logger, func() error) {
	if h.Log != nil {
		return h.Log()
	}
	return openLog(host.At("/"))
}
