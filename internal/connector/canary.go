package connector

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

const (
	canaryPatience = 5 * time.Second
	actPatience    = time.Minute // for the canary's process, which may be stopped, or wait for a disk
	canaryPeriod   = 5 * time.Minute
	// canaryAgain is when another one follows one that said nothing: whether the source works is not known until then.
	canaryAgain = 30 * time.Second
)

// canaryKinds are what the canary does.
var canaryKinds = monitor.KindsOf(monitor.Exec, monitor.Exit) | monitor.FileKinds | monitor.NetworkKinds

// canaryResult is what became of a canary, and of which feed it was.
type canaryResult struct {
	feed    *feed
	began   time.Time // with the reading of the monotonic clock, that the canary's UTC time does not have
	canary  control.Canary
	seen    monitor.Kinds
	missing monitor.Kinds
	leftOut func() monitor.Kinds // see leftOutSince
	told    int                  // what c.told was when it was sent
}

// sendCanary does one thing of each kind, in a process of its own, and waits for the events of those that are expected. It ends early, with
// an error, when ctx does.
func (c *core) sendCanary(ctx context.Context, f *feed, expected monitor.Kinds) (r canaryResult, err error) {
	r = canaryResult{feed: f, began: time.Now(), canary: control.Canary{Time: c.Now().UTC()}}
	if expected == 0 {
		r.skip("the exclusions leave out all that it would do")
		return r, nil
	}
	r.leftOut = leftOutSince(f.source)
	a := f.await("amp-" + rand.Text())
	defer f.stopAwaiting(a)
	acting, cancel := context.WithTimeout(ctx, actPatience)
	defer cancel()
	child, err := c.StartChild(acting, a.token)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err != nil {
		r.skip(fmt.Sprintf("the canary could not be run: %v", err))
		return r, nil
	}
	defer child.End()
	return c.perform(ctx, r, a, child, expected)
}

// perform lets the child act and judges what comes of it.
func (c *core) perform(ctx context.Context, r canaryResult, a *awaited, child Child, expected monitor.Kinds) (canaryResult, error) {
	if !c.ForeignPIDs {
		a.isProcess(uint32(child.PID()))
	} else if err := c.arrive(ctx, a, expected&monitor.KindsOf(monitor.Exec)); err != nil { // it says how the kernel numbers the process
		return r, err
	}
	did, err := child.Act()
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if s, ok := r.feed.source.(monitor.Prompt); ok {
		s.Look() // who waits for the canary need not wait for the reader too
	}
	if err != nil {
		r.skip(err.Error())
		if time.Since(r.began) >= actPatience {
			r.skip(fmt.Sprintf("the canary did not act within %v: %v", actPatience, err))
		}
		return r, nil // a canary that could not act is a result
	}
	expected &= did | monitor.KindsOf(monitor.Exec, monitor.Exit)
	if err := c.arrive(ctx, a, expected); err != nil {
		return r, err
	}
	r.judge(a, child.PID(), expected, c.ForeignPIDs)
	if r.canary.OK {
		r.canary.Milliseconds = float64(time.Since(r.began).Microseconds()) / 1000
	}
	return r, nil
}

// arrive waits until all of the expected kinds have come, or until the patience is over. Only the end of ctx is an error.
func (c *core) arrive(ctx context.Context, a *awaited, expected monitor.Kinds) error {
	patience := c.After(canaryPatience)
	for {
		if _, _, seen, _ := a.state(); seen&expected == expected {
			return nil
		}
		select {
		case <-a.news:
		case <-patience:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// judge compares what the events said with what was done. Where the kernel numbers processes otherwise than this process does, only the
// token, which nobody else knows, can tell.
func (r *canaryResult) judge(a *awaited, pid int, expected monitor.Kinds, foreign bool) {
	kernelPID, ppid, seen, wrong := a.state()
	r.seen, r.missing = seen&expected, expected&^seen
	r.canary.Seen, r.canary.Missing = names(r.seen), names(r.missing)
	execSeen := seen.Has(monitor.Exec)
	switch {
	case wrong != "":
		r.canary.Detail = wrong
	case execSeen && !foreign && (int(kernelPID) != pid || int(ppid) != os.Getpid()):
		r.missing |= monitor.KindsOf(monitor.Exec)
		r.canary.Detail = fmt.Sprintf("the exec came from process %d with parent %d, expected %d with parent %d", kernelPID, ppid, pid, os.Getpid())
	case r.missing != 0:
		r.canary.Detail = fmt.Sprintf("process %d did it, and no event came within %v of: %s", pid, canaryPatience, strings.Join(r.canary.Missing, ", "))
		r.excuse(foreign && kernelPID == 0)
	default:
		r.canary.OK, r.canary.Detail = true, fmt.Sprintf("%s of process %d", strings.Join(r.canary.Seen, ", "), pid)
		if foreign && execSeen {
			r.canary.Detail += fmt.Sprintf(", which the kernel numbers %d", kernelPID)
		}
	}
}

// skip says why nothing follows from the canary.
func (r *canaryResult) skip(why string) { r.canary.Skipped, r.canary.Detail = true, why }

// excuse takes from what is missing the kinds of which the source itself tells that it lost events, or left some out, since there were too many: that
// is fault 18, and a program that is not attached any more tells of none. Where nothing else is missing, the canary says nothing of the source. A
// process whose number only its exec could tell is not known by anything else either.
func (r *canaryResult) excuse(unknown bool) {
	leftOut := r.leftOut()
	if unknown && leftOut.Has(monitor.Exec) {
		leftOut = canaryKinds
	}
	if r.missing &^= leftOut; r.missing != 0 {
		r.canary.Missing = names(r.missing)
		return
	}
	r.skip(fmt.Sprintf("no event came of: %s; events of these kinds were being lost or left out, since there were too many (fault 18)", strings.Join(r.canary.Missing, ", ")))
}

// leftOutSince tells, whenever it is called, of which kinds a source has since lost events for a full queue, or left some out. Where it is not known
// of which, that is all; where the source cannot tell its counts, it is none.
func leftOutSince(source monitor.Source) func() monitor.Kinds {
	before, err := source.Counts()
	return func() (kinds monitor.Kinds) {
		now, nowErr := source.Counts()
		if err != nil || nowErr != nil {
			return 0
		}
		for k := range now.Kinds {
			if now.Kinds[k].Full > before.Kinds[k].Full || now.Kinds[k].Shed > before.Kinds[k].Shed {
				kinds |= monitor.KindsOf(monitor.Kind(k))
			}
		}
		if kinds.Has(0) {
			return canaryKinds
		}
		return kinds
	}
}

// expected is what the canary must bring through a source under these settings: what the exclusions leave out cannot be expected, nor
// files while monitoring is reduced.
func expected(source monitor.Source, s monitor.Settings, program string) monitor.Kinds {
	kinds := canaryKinds & source.Sees() & s.Kinds
	if s.Reduced {
		kinds &= monitor.CriticalKinds
	}
	x := s.Exclusions
	if slices.Contains(x.Users, uint32(os.Getuid())) {
		return 0
	}
	for _, p := range x.Processes {
		if p.Path == program {
			return 0
		}
	}
	for _, p := range x.Paths {
		if within := canaryDirectory + "/"; strings.HasSuffix(p, "/") && strings.HasPrefix(within, p) {
			kinds &^= monitor.FileKinds
		}
	}
	return kinds
}
