package connector

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

const (
	// A compiler needs some seconds for the layouts, on an emulated machine a minute and more.
	layoutPatience = 5 * time.Minute
	// What is no matter of headers and compilers, such as a full disk, passes without a change of theirs.
	layoutPause = 15 * time.Minute
)

// layouts are those of the structures of a kernel that offers no BTF. They are read, or made, beside the loop.
type layouts struct {
	stamp   string // of the files that they come from: those that are being read, or were read last
	pending bool
	types   bpf.Types // zero until they are there
	found   layout.Found
	err     error     // why they could not be had from these files; it is not tried again before those change
	at      time.Time // of err
}

// readLayouts is what came of reading them.
type readLayouts struct {
	types bpf.Types
	found layout.Found
	err   error
}

// errLayoutsPending is why a source cannot be opened yet.
var errLayoutsPending = errors.New("the layouts of the kernel's structures are being read")

func needsLayouts(s monitor.SourceName) bool {
	return s == monitor.EBPFExternalBTF || s == monitor.EBPFHeaders
}

// typesOf gives the layouts that a source needs. Those that are not there yet are begun with, and the error is errLayoutsPending.
func (c *core) typesOf(ctx context.Context, name monitor.SourceName) (bpf.Types, error) {
	if !needsLayouts(name) {
		return bpf.Types{}, nil
	}
	l := &c.layouts
	stamp := c.facts.BPF.Layouts.Value.Stamp
	switch {
	case l.pending: // of files that have changed since: this is seen when they are there
		return bpf.Types{}, errLayoutsPending
	case l.stamp == stamp && l.types.Spec != nil:
		return l.types, nil
	case l.stamp == stamp && l.err != nil && !c.passes(l):
		return bpf.Types{}, l.err
	}
	*l = layouts{stamp: stamp, pending: true, found: c.facts.BPF.Layouts.Value.Found}
	c.Log.Info("layouts of the kernel's structures are read", "origin", l.found.Origin, "from", l.found.From)
	facts := c.facts
	c.sending.Go(func() {
		reading, cancel := context.WithTimeout(ctx, layoutPatience)
		defer cancel()
		types, found, err := c.ReadLayouts(reading, facts)
		select {
		case c.layoutsRead <- readLayouts{types, found, err}:
		case <-ctx.Done():
		}
	})
	return bpf.Types{}, errLayoutsPending
}

// passes reports whether it is time to try again in spite of an error.
func (c *core) passes(l *layouts) bool {
	var e *layout.Error
	if errors.As(l.err, &e) && e.Why != layout.DiskFull && e.Why != layout.TimedOut {
		return false
	}
	return c.Now().Sub(l.at) >= layoutPause
}

// haveLayouts takes what came of reading them, and opens the source that waits for them.
func (c *core) haveLayouts(ctx context.Context, r readLayouts) {
	l := &c.layouts
	l.pending, l.types, l.err, l.at = false, r.types, r.err, c.Now()
	if r.found.From != "" {
		l.found = r.found
	}
	debug.FreeOSMemory()
	if r.err == nil {
		c.Log.Info("layouts of the kernel's structures are there", "origin", l.found.Origin, "from", l.found.From, "passed_over", len(l.found.Passed))
		if l.types.Lacks != nil {
			c.Log.Warn("paths begin at the root of their file system", "error", l.types.Lacks)
		}
		if l.found.Unkept != nil {
			c.Log.Warn("layouts are derived anew at the next start, since they could not be kept", "error", l.found.Unkept)
		}
	}
	record := c.ledger.Update
	if len(c.waiting) > 0 {
		record = c.ledger.Settle
	}
	c.evaluate(ctx, record)
}

// layoutStatus says where the layouts of the chosen source come from; nil where it needs none.
func (c *core) layoutStatus() *control.Layouts {
	if !needsLayouts(c.choice.Source) {
		return nil
	}
	l := c.layouts
	s := &control.Layouts{Origin: string(l.found.Origin), From: l.found.From, Pending: l.pending}
	var e *layout.Error
	switch {
	case errors.As(l.err, &e):
		s.Origin, s.Cause, s.Detail, s.Wanted, s.Log = string(layout.None), string(e.Why), e.Detail, e.Wanted, e.Log
		if e.From != "" {
			s.From = e.From
		}
		if s.Detail == "" && e.Err != nil {
			s.Detail = e.Err.Error()
		}
	case l.err != nil:
		s.Origin, s.Cause, s.Detail = string(layout.None), string(layout.Malformed), l.err.Error()
	}
	return s
}

// readKernelLayouts implements Config.ReadLayouts.
func readKernelLayouts(ctx context.Context, f *health.Facts) (bpf.Types, layout.Found, error) {
	return bpf.ReadLayouts(ctx, host.At(f.Host.Root), f.LayoutStore(), f.Host.Kernel.Value)
}
