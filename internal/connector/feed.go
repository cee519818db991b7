package connector

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// feed is an open source, with the goroutine that carries its events to the log.
type feed struct {
	source monitor.Source
	since  time.Time
	sink   *sink
	top    *top
	scan   Scanner
	ctx    context.Context // ends when the feed is closed
	stop   context.CancelFunc
	ended  chan error // the result of the source's Run, once

	awaited atomic.Pointer[awaited]
}

// errEnded says that a source stopped without being asked to.
var errEnded = errors.New("the source ended by itself")

func startFeed(ctx context.Context, source monitor.Source, since time.Time, sink *sink, top *top, scan Scanner) *feed {
	ctx, stop := context.WithCancel(ctx)
	f := &feed{source: source, since: since, sink: sink, top: top, scan: scan, ctx: ctx, stop: stop, ended: make(chan error, 1)}
	go func() {
		err := source.Run(ctx, f.handle)
		if err == nil && ctx.Err() == nil {
			err = errEnded
		}
		f.ended <- err
	}()
	return f
}

// handle is called for each event, from one goroutine.
func (f *feed) handle(e *monitor.Event) {
	f.sink.append(e)
	f.top.feed(e)
	f.scan.Event(e)
	if a := f.awaited.Load(); a != nil {
		a.look(e)
	}
}

// await makes the feed look out for a canary.
func (f *feed) await(token string) *awaited {
	a := newAwaited(token)
	f.awaited.Store(a)
	return a
}

func (f *feed) stopAwaiting(a *awaited) { f.awaited.CompareAndSwap(a, nil) }

// close ends the feed, waits for its goroutine, and returns what the source has counted.
func (f *feed) close() (monitor.Counts, error) {
	f.stop()
	closeErr := f.source.Close()
	<-f.ended
	counts, err := f.source.Counts()
	return counts, errors.Join(closeErr, err)
}
