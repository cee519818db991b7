package monitor

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// ActivityPeriod is how often ActivityWindows takes a sample at most.
	ActivityPeriod = 10 * time.Second
	// LongestWindow is how far ActivityWindows and Busiest look back.
	LongestWindow = 15 * time.Minute

	activitySamples   = int(LongestWindow / ActivityPeriod)
	sampledProcesses  = 64   // that a sample tells apart, the busiest
	comparedProcesses = 8192 // whose counts of the last sample are remembered
	commSize          = 15   // bytes, without the NUL
)

// processKey names a process as Activity does.
type processKey struct {
	pid   uint32
	start uint64
}

// seenActivity is what a process had done when it was in a sample last.
type seenActivity struct {
	sample int
	kinds  [kindEnd]uint64
}

// activitySample is what was done between two looks at a source.
type activitySample struct {
	end       time.Time
	took      time.Duration
	n         int
	processes [sampledProcesses]sampledActivity
	all       [kindEnd]uint64 // by all processes, with those that are not told apart
}

// sampledActivity is what a process did in a sample.
type sampledActivity struct {
	key           processKey
	uid           uint32
	comm          [commSize]byte
	commLen       uint8
	device, inode uint64
	total         uint64
	kinds         [kindEnd]uint32
}

// ActivityWindows turns what a source counts by process into who was busiest in the last minutes. Its memory is bounded, about 3 MB at most. It may be used by
// many goroutines.
type ActivityWindows struct {
	mu      sync.Mutex
	last    time.Time // zero before the first Add
	number  int
	before  map[processKey]*seenActivity
	samples [activitySamples]activitySample
	deltas  []sampledActivity
}

// NewActivityWindows has no samples yet.
func NewActivityWindows() *ActivityWindows {
	return &ActivityWindows{before: make(map[processKey]*seenActivity)}
}

// Add takes what a source says its processes did until now. More often than each ActivityPeriod it does nothing. The first time, and the first
// time after Restart, there is nothing to compare with.
func (w *ActivityWindows) Add(now time.Time, all []Activity) {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := now.Sub(w.last)
	first := w.last.IsZero()
	if !first && took >= 0 && took < ActivityPeriod {
		return
	}
	w.number++
	w.last = now
	sample := &w.samples[w.number%activitySamples]
	*sample = activitySample{end: now, took: took}
	w.deltas = w.deltas[:0]
	for i := range all {
		w.compare(&all[i], sample, first || took < 0)
	}
	w.forget()
	if first || took < 0 { // a clock that went back says nothing of how long it was
		*sample = activitySample{}
		return
	}
	sample.keep(w.deltas)
}

// compare finds what a process did since it was seen last. Counts that are smaller than before began anew.
func (w *ActivityWindows) compare(a *Activity, sample *activitySample, first bool) {
	key := processKey{a.PID, a.StartBoot}
	seen, known := w.before[key]
	if !known {
		seen = &seenActivity{}
		if len(w.before) < comparedProcesses {
			w.before[key] = seen
		}
	}
	seen.sample = w.number
	if seen.kinds == a.Kinds { // as most, where thousands are known
		return
	}
	before := seen.kinds
	seen.kinds = a.Kinds
	if first {
		return
	}
	d := sampledActivity{key: key, uid: a.UID, device: a.Device, inode: a.Inode}
	d.commLen = uint8(copy(d.comm[:], a.Comm))
	for k, n := range a.Kinds {
		if n >= before[k] {
			n -= before[k]
		}
		d.kinds[k] = uint32(min(n, 1<<32-1))
		d.total += n
		sample.all[k] += n
	}
	if d.total > 0 {
		w.deltas = append(w.deltas, d)
	}
}

// forget drops processes that were in none of the last samples. One that is missing once may have been overlooked.
func (w *ActivityWindows) forget() {
	for key, s := range w.before {
		if w.number-s.sample > 2 {
			delete(w.before, key)
		}
	}
}

// keep keeps the busiest.
func (s *activitySample) keep(deltas []sampledActivity) {
	slices.SortFunc(deltas, func(a, b sampledActivity) int { return cmp.Compare(b.total, a.total) })
	s.n = copy(s.processes[:], deltas)
}

// Restart forgets what was last counted, since another source counts from now on. What was done before stays in the windows.
func (w *ActivityWindows) Restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.before)
	w.last = time.Time{}
}

// BusyProcess is what a process did in a window.
type BusyProcess struct {
	PID       uint32
	StartBoot uint64 // ns
	UID       uint32
	Comm      string
	Device    uint64 // of its executable, as st_dev
	Inode     uint64
	Kinds     [kindEnd]uint64 // events by Kind, with those that were excluded and shed
	Events    uint64
	Rate      float64 // events a second
}

// ActivityWindow is what was done in the last minutes.
type ActivityWindow struct {
	Covered   time.Duration // the time that there are samples of, at most about what was asked for
	Events    uint64        // of all processes
	Rate      float64
	Kinds     [kindEnd]uint64
	Processes []BusyProcess // the busiest first
}

// Top tells the busiest n processes of the window that ends now. A process that was never among the busiest 64 of a sample is not told.
func (w *ActivityWindows) Top(now time.Time, window time.Duration, n int) ActivityWindow {
	w.mu.Lock()
	defer w.mu.Unlock()
	var top ActivityWindow
	index := make(map[processKey]int)
	for i := range activitySamples {
		s := &w.samples[(w.number+activitySamples-i)%activitySamples]
		age := now.Sub(s.end)
		if s.took == 0 || age < 0 || age+s.took/2 > window { // more of it lies before the window than within
			continue
		}
		top.Covered += s.took
		top.add(s, index)
	}
	if seconds := top.Covered.Seconds(); seconds > 0 {
		top.Rate = float64(top.Events) / seconds
		for i := range top.Processes {
			top.Processes[i].Rate = float64(top.Processes[i].Events) / seconds
		}
	}
	slices.SortFunc(top.Processes, func(a, b BusyProcess) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartBoot, b.StartBoot))
	})
	top.Processes = slices.Clip(top.Processes[:min(n, len(top.Processes))])
	return top
}

// add adds a sample, which is older than those that were added before: what it says of who a process is counts less.
func (t *ActivityWindow) add(s *activitySample, index map[processKey]int) {
	for k, n := range s.all {
		t.Kinds[k] += n
		t.Events += n
	}
	for i := range s.processes[:s.n] {
		a := &s.processes[i]
		at, ok := index[a.key]
		if !ok {
			at = len(t.Processes)
			index[a.key] = at
			t.Processes = append(t.Processes, BusyProcess{
				PID: a.key.pid, StartBoot: a.key.start, UID: a.uid, Comm: string(a.comm[:a.commLen]), Device: a.device, Inode: a.inode,
			})
		}
		p := &t.Processes[at]
		p.Events += a.total
		for k, n := range a.kinds {
			p.Kinds[k] += uint64(n)
		}
	}
}
