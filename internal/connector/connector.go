package connector

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/ampconnector/amp/internal/control"
)

// The daemon's memory budget is 40 MB resident, of which the program file's pages in use and the event buffers are a good part. Go's own are bounded where
// that costs least: what lives is 15 MiB when all tables are full, as on a build machine, and is looked for when a third has come to it, which takes
// a thousandth of the daemon's time. The limit is to be out of reach then: where what lives comes near it, the collector works without a pause.
const (
	memoryLimit = 36 << 20 // bytes, of heap, stacks, and what the runtime keeps of them, which is 7 MiB
	gcPercent   = 35
)

// leastParallel is how many threads may run Go code at least, on one processor too. If it is one, Go's runtime hands the others' work to another thread 20 µs
// after a system call began (sysmon, runtime/proc.go), since nobody else could do it, and looks after that every 20 µs anew. A write of the event log
// takes longer: three in four of the daemon's switches of threads, and a 16th of what four events of a file cost, were for this alone.
const leastParallel = 2

// Run is the daemon. It returns nil after ctx has ended and all is closed, else the error that kept it from starting or going on.
func Run(ctx context.Context, config Config) (err error) {
	config = config.withDefaults()
	config.ForeignPIDs = foreignPIDs()
	debug.SetMemoryLimit(memoryLimit)
	debug.SetGCPercent(gcPercent)
	if runtime.GOMAXPROCS(0) < leastParallel { // else the runtime goes on to follow what the host and the cgroup give
		runtime.GOMAXPROCS(leastParallel)
	}
	pid, err := lockPIDFile(config.PIDFile)
	if err != nil {
		return err
	}
	defer pid.release()
	if err := config.Recover(ctx); err != nil {
		config.Log.Error("recover from an interrupted change", "error", err)
	}
	listener, err := control.Listen(config.Socket)
	if err != nil {
		return err
	}
	core := newCore(config)
	server := &control.Server{Handle: core.handle, Log: config.Log}
	return together(ctx,
		func(ctx context.Context) error { return server.Serve(ctx, listener) },
		func(ctx context.Context) error { core.watch(ctx); return nil },
		core.run,
	)
}

// together runs parts until ctx ends or one of them returns an error, which ends the others. It returns when all have ended.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(parts))
	var running sync.WaitGroup
	for i, part := range parts {
		running.Go(func() {
			if errs[i] = part(ctx); errs[i] != nil {
				stop()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
