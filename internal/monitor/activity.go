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
	key    processKey
	sample int
	next   uint32 // in its bucket or among the free: index + 1
	inUse  bool
	kinds  [kindEnd]uint64
}

// seenActivities are those of the processes of the last samples. They are no map, and hold no pointers: of a host where thousands of programs start
// between two samples, all are others each time, and to make and to collect them took longer than to compare them.
type seenActivities struct {
	buckets [2 * comparedProcesses]uint32 // the first of each list: index + 1
	all     []seenActivity                // as many as were ever needed at once
	unused  uint32                        // the first free one: index + 1
	used    int
}

// bucket is where the list of the processes with such pids begins, as in Processes.
func (s *seenActivities) bucket(key processKey) *uint32 {
	return &s.buckets[key.pid*2654435761>>8&uint32(len(s.buckets)-1)]
}

// of returns that of a process, which has done nothing where it was not known; nil where there is no more room.
func (s *seenActivities) of(key processKey) *seenActivity {
	b := s.bucket(key)
	for i := *b; i != 0; i = s.all[i-1].next {
		if a := &s.all[i-1]; a.key == key {
			return a
		}
	}
	at := s.unused
	switch {
	case at != 0:
		s.unused = s.all[at-1].next
	case len(s.all) < comparedProcesses:
		s.all = append(s.all, seenActivity{})
		at = uint32(len(s.all))
	default:
		return nil
	}
	s.used++
	a := &s.all[at-1]
	*a = seenActivity{key: key, next: *b, inUse: true}
	*b = at
	return a
}

// forget drops those that were in no sample since the given one.
func (s *seenActivities) forget(sample int) {
	for i := range s.all {
		a := &s.all[i]
		if !a.inUse || a.sample >= sample {
			continue
		}
		at := s.bucket(a.key)
		for *at != uint32(i+1) {
			at = &s.all[*at-1].next
		}
		*at, a.next, s.unused = a.next, s.unused, uint32(i+1)
		a.inUse = false
		s.used--
	}
}

func (s *seenActivities) clear() {
	clear(s.buckets[:])
	s.all, s.unused, s.used = s.all[:0], 0, 0
}

// activitySample is what was done between two looks at a source.
type activitySample struct {
	end       time.Time
	took      time.Duration
	n         int
	least     int // once there are that many: the one that did the least
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
	before  seenActivities
	samples [activitySamples]activitySample
}

// NewActivityWindows has no samples yet.
func NewActivityWindows() *ActivityWindows { return &ActivityWindows{} }

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
	for i := range all {
		w.compare(&all[i], sample, first || took < 0)
	}
	w.before.forget(w.number - 2) // one that is missing once may have been overlooked
	if first || took < 0 {        // a clock that went back says nothing of how long it was
		*sample = activitySample{}
	}
}

// compare finds what a process did since it was seen last. Counts that are smaller than before began anew.
func (w *ActivityWindows) compare(a *Activity, sample *activitySample, first bool) {
	key := processKey{a.PID, a.StartBoot}
	seen := w.before.of(key)
	if seen == nil {
		seen = &seenActivity{} // all that it did counts, each time
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
	total := uint64(0)
	for k, n := range a.Kinds {
		if n >= before[k] {
			n -= before[k]
		}
		before[k] = n
		total += n
		sample.all[k] += n
	}
	if to := sample.place(total); to != nil {
		*to = sampledActivity{key: key, uid: a.UID, device: a.Device, inode: a.Inode, total: total}
		to.commLen = uint8(copy(to.comm[:], a.Comm))
		for k, n := range before {
			to.kinds[k] = uint32(min(n, 1<<32-1))
		}
		sample.placed()
	}
}

// place is where a process goes that did so much; nil where as many others did no less.
func (s *activitySample) place(total uint64) *sampledActivity {
	switch {
	case total == 0:
		return nil
	case s.n < sampledProcesses:
		s.n++
		return &s.processes[s.n-1]
	case total > s.processes[s.least].total:
		return &s.processes[s.least]
	}
	return nil
}

// placed finds the least busy process anew, after another came.
func (s *activitySample) placed() {
	if s.n < sampledProcesses {
		return
	}
	for i := range s.processes {
		if s.processes[i].total < s.processes[s.least].total {
			s.least = i
		}
	}
}

// Restart forgets what was last counted, since another source counts from now on. What was done before stays in the windows.
func (w *ActivityWindows) Restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before.clear()
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
