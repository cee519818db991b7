package monitor

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	busyPeriod   = 30 * time.Second
	busySlots    = int(LongestWindow/busyPeriod) + 1
	busyCounters = 64  // that a slot has
	maxBusyPath  = 255 // bytes that are kept of a path
)

// counters are the space-saving sketch of Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
// streams" (2005): what is not counted yet takes the place of what was counted least, and its count as the error. Whatever came more often
// than one time in 64 is certain to be there.
type counters struct {
	used  int
	hand  int                      // where the last counter was taken
	least uint64                   // that a counter had then; none has less
	marks [busyCounters / 8]uint64 // a byte of each hash: most of what is asked for is not there, and eight are looked at at once
	hash  [busyCounters]uint64
	count [busyCounters]uint64
	err   [busyCounters]uint64
	bytes [busyCounters]uint64
}

// add counts what has the hash n times more, and returns its place, and whether that was another's before.
func (c *counters) add(hash, n, bytes uint64) (at int, taken bool) {
	if at := c.find(hash); at >= 0 {
		c.count[at] += n
		c.bytes[at] += bytes
		return at, false
	}
	if c.used < busyCounters {
		at = c.used
		c.used++
		c.count[at] = 0
	} else {
		at = c.leastCounted()
	}
	c.hash[at], c.err[at], c.bytes[at] = hash, c.count[at], bytes
	shift := at % 8 * 8
	c.marks[at/8] = c.marks[at/8]&^(0xff<<shift) | hash>>56<<shift
	c.count[at] += n
	return at, true
}

// find returns the place of a hash, or -1.
func (c *counters) find(hash uint64) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for i, marks := range &c.marks {
		// A byte that is 0 now was the hash's. One behind such a byte may look like one too.
		x := marks ^ hash>>56*ones
		for found := (x - ones) &^ x & highs; found != 0; found &= found - 1 {
			if at := i*8 + bits.TrailingZeros64(found)/8; at < c.used && c.hash[at] == hash {
				return at
			}
		}
	}
	return -1
}

// leastCounted finds a counter that no other is below. Counts only grow: as long as one is left that is as low as the lowest was, it is such a
// one, and to find the next of them takes a step or two.
func (c *counters) leastCounted() int {
	for range busyCounters {
		c.hand = (c.hand + 1) % busyCounters
		if c.count[c.hand] == c.least {
			return c.hand
		}
	}
	c.least = slices.Min(c.count[:])
	for c.count[c.hand] != c.least {
		c.hand = (c.hand + 1) % busyCounters
	}
	return c.hand
}

// Peer is another host, and the service that one of the two offers.
type Peer struct {
	Addr     netip.Addr
	Port     uint16 // the one that is listened at: the peer's, or after Inbound the host's own
	Protocol uint8
	Inbound  bool // the peer opened the flow
}

// busySlot is what was counted in a period.
type busySlot struct {
	files counters
	paths [busyCounters][]byte
	peers counters
	who   [busyCounters]Peer
}

// Busiest counts which files and peers most events are of, in memory of about 1.5 MB at most. One goroutine calls Feed, any may call Top.
type Busiest struct {
	seed    maphash.Seed
	skipped atomic.Uint64

	mu    sync.Mutex
	slot  int64 // number of the current one since 1970
	first int64
	slots [busySlots]busySlot
}

// NewBusiest has counted nothing.
func NewBusiest() *Busiest { return &Busiest{seed: maphash.MakeSeed()} }

// Feed counts an event. It never waits and does not allocate once it is warm: while another goroutine is in Top, events are not counted, but
// Skipped tells how many.
func (b *Busiest) Feed(e *Event) {
	file := FileKinds.Has(e.Kind)
	if !file && e.Kind != FlowOpen && e.Kind != FlowClose {
		return
	}
	if !b.mu.TryLock() {
		b.skipped.Add(1)
		return
	}
	defer b.mu.Unlock()
	s := b.advance(e.Time)
	if file {
		s.file(maphash.String(b.seed, e.File.Path), e)
		return
	}
	p := peerOf(&e.Flow)
	s.flow(maphash.Comparable(b.seed, p), p, e)
}

// Skipped counts the events that were not counted.
func (b *Busiest) Skipped() uint64 { return b.skipped.Load() }

// advance returns the slot of a time. One that is somewhat earlier than the current one is the current one: events wait in queues. Before one that is
// earlier by more than all slots the clock was put back, and what was counted until then is no window's any more.
func (b *Busiest) advance(now time.Time) *busySlot {
	n := max(1, now.UnixNano()/int64(busyPeriod)) // a time that is none is 1970
	if b.first == 0 || n > 1 && n < b.slot-int64(busySlots) {
		b.first, b.slot = n, n-1
	}
	for i := max(b.slot+1, n-int64(busySlots)+1); i <= n; i++ {
		s := &b.slots[i%int64(busySlots)]
		s.files.used, s.files.least, s.peers.used, s.peers.least = 0, 0, 0, 0
	}
	b.slot = max(b.slot, n)
	return &b.slots[b.slot%int64(busySlots)]
}

func (s *busySlot) file(hash uint64, e *Event) {
	if at, taken := s.files.add(hash, 1+uint64(e.Merged), 0); taken {
		s.paths[at] = append(s.paths[at][:0], e.File.Path[:min(len(e.File.Path), maxBusyPath)]...)
	}
}

// flow counts a flow when it begins, and its bytes when it ends.
func (s *busySlot) flow(hash uint64, p Peer, e *Event) {
	n := uint64(1)
	if e.Kind == FlowClose {
		n = 0
	}
	if at, taken := s.peers.add(hash, n, e.Flow.Sent+e.Flow.Received); taken {
		s.who[at] = p
	}
}

func peerOf(f *Flow) Peer {
	p := Peer{Addr: f.Remote.Addr(), Port: f.Remote.Port(), Protocol: f.Protocol, Inbound: f.Inbound}
	if f.Inbound {
		p.Port = f.Local.Port()
	}
	return p
}

// Tally is how often something came. It came at least Count - Error times, and no more than Count times.
type Tally struct {
	Count uint64
	Error uint64
}

// BusyFile is a file that many events are of. Path is cut to 255 bytes.
type BusyFile struct {
	Path string
	Tally
}

// BusyPeer is a peer that there are many flows with. Bytes are those of the flows that ended.
type BusyPeer struct {
	Peer
	Tally
	Bytes uint64
}

// BusyWindow is what was busiest in the last minutes.
type BusyWindow struct {
	Covered time.Duration // the time that was counted, to half a minute
	Files   []BusyFile    // the busiest first
	Peers   []BusyPeer
}

// Top tells the busiest n files and peers of the window that ends now.
func (b *Busiest) Top(now time.Time, window time.Duration, n int) BusyWindow {
	var t BusyWindow
	files, peers := make(map[uint64]*BusyFile), make(map[uint64]*BusyPeer)
	b.mu.Lock()
	if b.first == 0 {
		b.mu.Unlock()
		return t
	}
	b.advance(now)
	slots := min(max(1, int64(window/busyPeriod)), int64(busySlots)-1, b.slot-b.first+1)
	for i := range slots {
		b.slots[(b.slot-i)%int64(busySlots)].collect(files, peers)
	}
	t.Covered = time.Duration(slots) * busyPeriod
	b.mu.Unlock()
	for _, f := range files {
		t.Files = append(t.Files, *f)
	}
	for _, p := range peers {
		t.Peers = append(t.Peers, *p)
	}
	slices.SortFunc(t.Files, func(x, y BusyFile) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Path, y.Path)) })
	slices.SortFunc(t.Peers, func(x, y BusyPeer) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(y.Bytes, x.Bytes), x.Addr.Compare(y.Addr), cmp.Compare(x.Port, y.Port))
	})
	t.Files = slices.Clip(t.Files[:min(n, len(t.Files))])
	t.Peers = slices.Clip(t.Peers[:min(n, len(t.Peers))])
	return t
}

// collect adds what a slot has.
func (s *busySlot) collect(files map[uint64]*BusyFile, peers map[uint64]*BusyPeer) {
	for i, hash := range s.files.hash[:s.files.used] {
		f := files[hash]
		if f == nil {
			f = &BusyFile{Path: string(s.paths[i])}
			files[hash] = f
		}
		f.Count += s.files.count[i]
		f.Error += s.files.err[i]
	}
	for i, hash := range s.peers.hash[:s.peers.used] {
		p := peers[hash]
		if p == nil {
			p = &BusyPeer{Peer: s.who[i]}
			peers[hash] = p
		}
		p.Count += s.peers.count[i]
		p.Error += s.peers.err[i]
		p.Bytes += s.peers.bytes[i]
	}
}
