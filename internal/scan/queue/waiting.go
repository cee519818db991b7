package queue

import (
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/ampconnector/amp/internal/monitor"
)

// key is by what files that wait are told apart: the inode, else the path.
type key struct {
	device, inode uint64
	path          string // "" where the inode is known
}

func keyOf(f *monitor.File) key {
	if f.Inode != 0 {
		return key{device: f.Device, inode: f.Inode}
	}
	return key{path: f.Path}
}

// owned is the key with memory of its own.
func (k key) owned() key {
	k.path = strings.Clone(k.path)
	return k
}

// occasion is what is kept of an event: what a file is looked for by, and what a finding tells.
type occasion struct {
	kind         monitor.Kind
	time         time.Time
	subject      *subject // nil where the event has no process
	file, target monitor.File
}

// process is that of the event, nil where it has none.
func (o *occasion) process() *monitor.Process {
	if o.subject == nil {
		return nil
	}
	return &o.subject.process
}

func (o *occasion) event() monitor.Event {
	return monitor.Event{Kind: o.kind, Time: o.time, Process: o.process(), File: o.file, Target: o.target}
}

// item is a file that waits.
type item struct {
	occasion occasion
	key      key
	target   bool           // the file is the event's Target
	names    []monitor.File // other names that the file has, as far as events that came while it waited tell; the newest last, few have any
	priority priority
	tries    uint8 // for which the file changed during the scan
	weighed  int   // bytes that waiting has counted for it

	next, prev *item
}

func (it *item) file() *monitor.File {
	if it.target {
		return &it.occasion.target
	}
	return &it.occasion.file
}

// itemBytes is what an item takes beside its text and its process, with its place in the map, of which up to a half is not in use.
const itemBytes = int(unsafe.Sizeof(item{}) + 2*unsafe.Sizeof(key{}) + 2*unsafe.Sizeof((*item)(nil)))

// bytes is the memory that an item takes, without its process, which others may have too.
func (it *item) bytes() int {
	n := itemBytes + len(it.occasion.file.Path) + len(it.occasion.target.Path) + len(it.key.path)
	for i := range it.names {
		n += int(unsafe.Sizeof(it.names[i])) + len(it.names[i].Path)
	}
	return n
}

// keptNames is how many other names of a file are kept.
const keptNames = 8

// alsoNamed notes another name of the file, if it can be looked for there: only the inode tells then whether it is the file.
func (it *item) alsoNamed(f monitor.File) {
	now := it.file()
	if now.Inode == 0 || f.Path == "" || f.Path == now.Path || f.Truncated {
		return
	}
	it.notNamed(f.Path)
	if len(it.names) >= keptNames {
		it.names = slices.Delete(it.names, 0, 1)
	}
	f.Device, f.Inode = now.Device, now.Inode
	it.names = append(it.names, f)
}

// notNamed notes that another name of the file is none any more.
func (it *item) notNamed(path string) {
	it.names = slices.DeleteFunc(it.names, func(f monitor.File) bool { return f.Path == path })
}

// loseName takes a name from the file, and reports whether it has none any more that is known.
func (it *item) loseName(path string) bool {
	it.notNamed(path)
	if it.file().Path != path {
		return false
	}
	last := len(it.names) - 1
	if last < 0 {
		return true
	}
	*it.file(), it.names = it.names[last], it.names[:last]
	return false
}

// list is items in the order of their coming.
type list struct{ first, last *item }

// waiting are the files that wait: a list for each priority. It does not lock.
type waiting struct {
	capacity, count int
	most, bytes     int // of the items and their processes
	lists           [priorities]list
	byKey           map[key]*item
}

func newWaiting(capacity, most int) waiting {
	return waiting{capacity: capacity, most: most, byKey: make(map[key]*item)}
}

func (w *waiting) full() bool { return w.count >= w.capacity || w.bytes >= w.most }

// hold counts a process once, however many items have it.
func (w *waiting) hold(s *subject) {
	if s == nil {
		return
	}
	if s.items++; s.items == 1 {
		w.bytes += s.bytes
	}
}

func (w *waiting) release(s *subject) {
	if s == nil {
		return
	}
	if s.items--; s.items == 0 {
		w.bytes -= s.bytes
	}
}

// weigh counts what an item that waits takes by now.
func (w *waiting) weigh(it *item) {
	now := it.bytes()
	w.bytes += now - it.weighed
	it.weighed = now
}

func (w *waiting) push(it *item) {
	l := &w.lists[it.priority]
	it.prev, it.next = l.last, nil
	if l.last == nil {
		l.first = it
	} else {
		l.last.next = it
	}
	l.last = it
	w.byKey[it.key] = it
	w.count++
	w.hold(it.occasion.subject)
	w.weigh(it)
}

func (w *waiting) remove(it *item) {
	l := &w.lists[it.priority]
	if it.prev == nil {
		l.first = it.next
	} else {
		it.prev.next = it.next
	}
	if it.next == nil {
		l.last = it.prev
	} else {
		it.next.prev = it.prev
	}
	it.next, it.prev = nil, nil
	delete(w.byKey, it.key)
	w.count--
	w.release(it.occasion.subject)
	w.bytes -= it.weighed
	it.weighed = 0
}

// retell gives an item that waits another occasion.
func (w *waiting) retell(it *item, o occasion, target bool) {
	w.hold(o.subject) // first: it may be the same process
	w.release(it.occasion.subject)
	it.occasion, it.target = o, target
}

// pop takes out what is next, nil if nothing waits.
func (w *waiting) pop() *item {
	for p := range w.lists {
		if it := w.lists[p].first; it != nil {
			w.remove(it)
			return it
		}
	}
	return nil
}

// raise gives an item a higher priority, if this one is.
func (w *waiting) raise(it *item, p priority) {
	if p < it.priority {
		w.remove(it)
		it.priority = p
		w.push(it)
	}
}

// makeRoom drops what has waited longest of the lowest priority, unless all that waits has a higher one than p.
func (w *waiting) makeRoom(p priority) bool {
	for lowest := priorities - 1; ; lowest-- {
		if it := w.lists[lowest].first; it != nil {
			w.remove(it)
			return true
		}
		if lowest == p {
			return false
		}
	}
}
