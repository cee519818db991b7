package queue

import (
	"strings"

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

// item is a file that waits.
type item struct {
	event    monitor.Event
	key      key
	target   bool // the file is the event's Target
	priority priority
	tries    uint8 // for which the file changed during the scan

	next, prev *item
}

func (it *item) file() *monitor.File {
	if it.target {
		return &it.event.Target
	}
	return &it.event.File
}

// list is items in the order of their coming.
type list struct{ first, last *item }

// waiting are the files that wait: a list for each priority. It does not lock.
type waiting struct {
	capacity, count int
	lists           [priorities]list
	byKey           map[key]*item
}

func newWaiting(capacity int) waiting {
	return waiting{capacity: capacity, byKey: make(map[key]*item)}
}

func (w *waiting) full() bool { return w.count >= w.capacity }

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
