package engine

import (
	"math"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/scan"
)

// maxDepth bounds archives in archives: the library keeps a frame of each level on the stack.
const maxDepth = 100

// maxFile is the largest file that the library looks at, in bytes: it computes with int (until 1.5 at least).
const maxFile = math.MaxInt32 - 2

// merged takes from what a request says, and where that is zero from the engine's own.
func merged(asked, own scan.Limits) scan.Limits {
	m := scan.Limits{
		FileBytes: or(asked.FileBytes, own.FileBytes), ScanBytes: or(asked.ScanBytes, own.ScanBytes),
		Depth: or(asked.Depth, own.Depth), Files: or(asked.Files, own.Files),
		ScanTime: or(asked.ScanTime.Truncate(time.Millisecond), own.ScanTime),
	}
	m.FileBytes = min(m.FileBytes, maxFile)
	m.ScanBytes = min(m.ScanBytes, math.MaxInt64)
	m.Depth = min(m.Depth, maxDepth)
	return m
}

func or[T uint32 | uint64 | time.Duration](asked, own T) T {
	if asked > 0 {
		return asked
	}
	return own
}

// number reads a setting, 0 where there is none of that number.
func (e *Engine) number(field int32) uint64 {
	var code int32
	n := e.library.engineGetNum(e.handle, field, &code)
	if code != success {
		return 0
	}
	return uint64(max(n, 0))
}

// limits reads those that the engine has.
func (e *Engine) limits() scan.Limits {
	l := scan.Limits{
		FileBytes: e.number(fieldFileBytes), ScanBytes: e.number(fieldScanBytes),
		Depth: uint32(e.number(fieldDepth)), Files: uint32(e.number(fieldFiles)),
	}
	if e.timed {
		l.ScanTime = time.Duration(e.number(fieldScanTime+e.moved)) * time.Millisecond
	}
	return l
}

// setLimits may be called between scans only: the library reads the numbers while it scans, without a lock (clamav.h warns of it).
func (e *Engine) setLimits(m scan.Limits) error {
	numbers := map[int32]int64{
		// The whole file's size is ours to check. Of a zip's member that is larger than this, the library (1.4) would scan the beginning
		// and call the rest clean; so members are bounded by what may be scanned altogether, and that is told when it is reached.
		fieldFileBytes: int64(min(max(m.FileBytes, m.ScanBytes), maxFile)),
		fieldScanBytes: int64(m.ScanBytes),
		fieldDepth:     int64(m.Depth),
		fieldFiles:     int64(m.Files),
	}
	if e.timed {
		numbers[fieldScanTime+e.moved] = m.ScanTime.Milliseconds()
	}
	for field, n := range numbers {
		if code := e.library.engineSetNum(e.handle, field, n); code != success {
			return unusable("cl_engine_set_num %d to %d: %s", field, n, e.library.strerror(code))
		}
	}
	return nil
}

// turns lets scans of the same limits run side by side, and those of other limits after them: limits are the engine's and not the scan's,
// and a second engine would take the memory of all definitions once more. Callers have few sets of limits, so few ever wait. They come in
// order, so that no stream of scans with one set keeps another out; the mutex hands itself on to who waits longest.
type turns struct {
	door    sync.Mutex // held by the one that comes next, until it is in
	running sync.WaitGroup
	limits  scan.Limits // of those that run
	set     bool
}

// enter waits for a turn with these limits; apply is called, with no scan running, where they are not those in force.
func (t *turns) enter(limits scan.Limits, apply func(scan.Limits) error) error {
	t.door.Lock()
	defer t.door.Unlock()
	if !t.set || t.limits != limits {
		t.running.Wait()
		t.set = false
		if err := apply(limits); err != nil {
			return err
		}
		t.limits, t.set = limits, true
	}
	t.running.Add(1)
	return nil
}

func (t *turns) leave() { t.running.Done() }
