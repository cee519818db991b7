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
	ctx    context.Context // ends when the feed is closed
	stop   context.CancelFunc
	ended  chan error // the result of the source's Run, once

	awaited atomic.Pointer[awaited]
}

// awaited is the canary that a feed looks out for.
type awaited struct {
	token   string
	arrived chan arrival // takes one
}

// arrival is what the canary's event said of its process.
type arrival struct {
	pid, ppid uint32
	path      string
}

// errEnded says that a source stopped without being asked to.
var errEnded = errors.New("the source ended by itself")

func startFeed(ctx context.Context, source monitor.Source, since time.Time, sink *sink) *feed {
	ctx, stop := context.WithCancel(ctx)
	f := &feed{source: source, since: since, sink: sink, ctx: ctx, stop: stop, ended: make(chan error, 1)}
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
	if a := f.awaited.Load(); a != nil {
		a.look(e)
	}
}

// look tells whether e is the canary. Its token is random and known to nobody else.
func (a *awaited) look(e *monitor.Event) {
	if e.Kind != monitor.Exec || len(e.Args) == 0 || e.Args[len(e.Args)-1] != a.token {
		return
	}
	select {
	case a.arrived <- arrival{e.Process.PID, e.Process.PPID, e.Path}:
	default:
	}
}

// await makes the feed look out for a token.
func (f *feed) await(token string) <-chan arrival {
	a := &awaited{token, make(chan arrival, 1)}
	f.awaited.Store(a)
	return a.arrived
}

// close ends the feed, waits for its goroutine, and returns what the source has counted.
func (f *feed) close() (monitor.Loss, error) {
	f.stop()
	closeErr := f.source.Close()
	<-f.ended
	loss, err := f.source.Loss()
	return loss, errors.Join(closeErr, err)
}
