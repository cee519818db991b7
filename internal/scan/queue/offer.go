package queue

import (
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// priority is the order in which files are scanned; smaller ones come first.
type priority uint8

const (
	executed priority = iota
	mapped
	written
	priorities
)

// wanted are the kinds of events that lead to a scan. A file that is made has no content yet: its writing and its linking tell of it.
var wanted = [256]struct {
	yes      bool
	priority priority
	target   bool // the file is the event's Target
}{
	monitor.Exec:       {true, executed, false},
	monitor.FileMap:    {true, mapped, false},
	monitor.FileWrite:  {true, written, false},
	monitor.FileRename: {true, written, true},
	monitor.FileLink:   {true, written, true},
	monitor.FileCopy:   {true, written, true},
}

// Wants reports whether events of a kind lead to scans.
func Wants(k monitor.Kind) bool { return wanted[k].yes }

// Offer takes an event, which is the caller's again when it returns. It never waits for a scan, and what is not to be scanned costs no
// memory. A file that waits and loses its last name does not wait any more. Of a file that waits already, the newest event is kept, its other names, and
// the higher priority. Where the queue is full, the file of the lowest priority that has waited longest is dropped.
func (q *Queue) Offer(e *monitor.Event) {
	if e.Kind == monitor.FileDelete {
		q.deleted(&e.File)
		return
	}
	w := &wanted[e.Kind]
	if !w.yes {
		return
	}
	f := &e.File
	if w.target {
		f = &e.Target
	}
	if e.Kind == monitor.FileWrite && f.Size == 0 && f.Changed != 0 {
		return // empty; without a ctime the size is not known either
	}
	if f.Path == "" && f.Inode == 0 {
		return
	}
	g := q.ignored.Load()
	if e.Process != nil && g.pid(e.Process.PID) || g.path(f.Path) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(e, f, w.priority, 0)
	q.gather()
}

// deleted takes out a file that was written and waits under the name that it has just lost, unless another one is known: to look for it in all views of the
// file system in which it may be costs more than its events do, and most of what is written and deleted in one moment is so, compilers' files above all.
// What was executed or mapped stays, since its process leads to it.
func (q *Queue) deleted(f *monitor.File) {
	if f.Inode == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.waiting.byKey[keyOf(f)]
	if it == nil || it.priority != written || f.Truncated {
		return
	}
	if !it.loseName(f.Path) {
		q.waiting.weigh(it)
		return
	}
	q.waiting.remove(it)
	q.counts.gone.Add(1)
}

// gathered is how long a file waits at least, since events come many at a time: to rouse a worker for each of them, which is a thread of its own, took more
// than half of the daemon's time in a storm of short-lived files. A source's reader sleeps fifty times as long.
const gathered = 2 * time.Millisecond

// gather rouses a worker soon, for all that is offered until then. The caller holds mu.
func (q *Queue) gather() {
	if !q.gathering {
		q.gathering = true
		time.AfterFunc(gathered, q.gatheredAll)
	}
}

// gatheredAll rouses a worker, and later another one for what waits still: the first may hang, as when it opens a file of a server that does not answer.
// With all roused there is no more to do: a worker looks for more by itself when it comes back.
func (q *Queue) gatheredAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gathering = false
	if q.waiting.count > 0 {
		q.rouse()
		if len(q.ready) < cap(q.ready) {
			q.gather()
		}
	}
}

// rouse gives a worker that has nothing to do a reason to look.
func (q *Queue) rouse() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// put keeps what a scan needs of an event. The caller holds mu.
func (q *Queue) put(e *monitor.Event, f *monitor.File, p priority, tries uint8) {
	k, target := keyOf(f), f == &e.Target
	if it := q.waiting.byKey[k]; it != nil {
		q.counts.merged++
		q.waiting.raise(it, p)
		if o := &it.occasion; it.target == target && o.file.Path == e.File.Path && o.target.Path == e.Target.Path && sameProcess(o.process(), e.Process) {
			return
		}
		before := *it.file()
		q.waiting.retell(it, q.keep(e), target)
		it.alsoNamed(before)
		q.noteNames(it)
		q.makeRoom(p)
		return
	}
	if !q.makeRoom(p) {
		q.counts.dropped++
		return
	}
	q.counts.queued++
	it := &item{occasion: q.keep(e), key: k.owned(), target: target, priority: p, tries: tries}
	q.waiting.push(it)
	q.noteNames(it)
}

// makeRoom drops files until there is room for one of a priority, and reports whether there is. The caller holds mu.
func (q *Queue) makeRoom(p priority) bool {
	for q.waiting.full() {
		if !q.waiting.makeRoom(p) {
			return false
		}
		q.counts.dropped++
	}
	return true
}

// noteNames keeps what the event of an item says of other names: those that the file has beside, and those of files below a folder that it tells the new
// name of. The caller holds mu.
func (q *Queue) noteNames(it *item) {
	switch o := &it.occasion; o.kind {
	case monitor.FileLink:
		if !q.ignored.Load().path(o.file.Path) {
			it.alsoNamed(o.file)
		}
	case monitor.FileRename:
		it.notNamed(o.file.Path)
		q.moves.note(o, q.again)
	}
	q.waiting.weigh(it)
}

func sameProcess(a, b *monitor.Process) bool {
	return a == b || a != nil && b != nil && a.PID == b.PID && a.StartBoot == b.StartBoot && a.Equal(*b)
}

// keep is a copy of what is needed of an event, which stays good.
func (q *Queue) keep(e *monitor.Event) occasion {
	o := occasion{kind: e.Kind, time: e.Time, file: e.File, target: e.Target}
	for _, s := range []*string{&o.file.Path, &o.target.Path} {
		*s = strings.Clone(*s)
	}
	if e.Process != nil {
		o.subject = q.subjects.keep(e.Process)
	}
	return o
}

// subject is a copy of a process.
type subject struct {
	process monitor.Process
	bytes   int // of memory
	items   int // that wait and have it
}

// subjects are copies of the processes that events came of last, one for all events of a process.
type subjects [64]*subject

func (s *subjects) keep(p *monitor.Process) *subject {
	kept := &s[p.PID%uint32(len(s))]
	if *kept == nil || !sameProcess(&(*kept).process, p) {
		*kept = &subject{process: p.Clone(), bytes: p.Bytes()}
	}
	return *kept
}
