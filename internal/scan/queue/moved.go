package queue

import (
	"errors"
	"strings"
	"time"
)

// A folder may be renamed while files in it wait: an event has the path of its time. Where the file is not found there, the renames since then lead to it,
// in whichever order the two are seen.
const (
	keptMoves  = 256 // renames, of files too: events do not tell which is which
	keptMissed = 64  // files that were not found
)

// move is a rename.
type move struct {
	from, to string
	at       time.Time
}

// below gives the path after the move, of what is below what was moved.
func (m *move) below(path string, since time.Time) (string, bool) {
	rest, ok := strings.CutPrefix(path, m.from)
	if !ok || m.from == "" || !strings.HasPrefix(rest, "/") || m.at.Before(since) {
		return path, false
	}
	return m.to + rest, true
}

// moves are the renames of last, and what was missed of late. They do not lock.
type moves struct {
	ring             [keptMoves]move
	missed           [keptMissed]*item
	next, nextMissed int
}

// note keeps a rename, whose memory stays as it is, and calls found for each file that was missed and that it explains.
func (m *moves) note(o *occasion, found func(*item)) {
	moved := move{o.file.Path, o.target.Path, o.time}
	if !strings.HasPrefix(moved.from, "/") || !strings.HasPrefix(moved.to, "/") || o.file.Truncated || o.target.Truncated {
		return
	}
	m.ring[m.next] = moved
	m.next = (m.next + 1) % keptMoves
	for i, it := range m.missed {
		if it == nil {
			continue
		}
		if path, ok := moved.below(it.file().Path, it.occasion.time); ok {
			m.missed[i], it.file().Path = nil, path
			found(it)
		}
	}
}

// follow leads from the path that a file had to the one that it has after all renames.
func (m *moves) follow(path string, since time.Time) string {
	for i := range m.ring {
		path, _ = m.ring[(m.next+i)%keptMoves].below(path, since)
	}
	return path
}

// miss keeps a file that was not found, in the place of the one that was missed longest ago.
func (m *moves) miss(it *item) {
	m.missed[m.nextMissed] = it
	m.nextMissed = (m.nextMissed + 1) % keptMissed
}

// lost reports whether a file may be elsewhere.
func lost(err error) bool { return errors.Is(err, errGone) || errors.Is(err, errReplaced) }

// follow gives an item that was not found the path that it has by now. It reports false where that is the same; it comes back then, should a rename be
// told of that explains it.
func (q *Queue) follow(it *item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := it.file()
	path := q.moves.follow(f.Path, it.occasion.time)
	if path == f.Path {
		q.moves.miss(it)
		return false
	}
	f.Path = path
	return true
}

// again has an item wait once more. The caller holds mu.
func (q *Queue) again(it *item) {
	if q.waiting.byKey[it.key] != nil || q.waiting.full() {
		return
	}
	q.counts.queued++
	q.waiting.push(it)
	q.rouse()
}
