// Package queue leads from events to scans: which files are scanned, in which order, by which descriptor, and what is done with the
// verdict. What enters: events, of which it keeps copies, and paths that a person asks for. What leaves: findings.
//
// Paths are what an event had, perhaps long ago; they are only used to find the file with the event's device and inode, and what is scanned is
// the open file, or a copy that was read from it. Opening and reading it makes no event that a source of ours would tell of again: an O_PATH
// open makes none, and the other one is a FAN_OPEN, which none of them asks for. Other programs that do (FAN_OPEN_PERM) see it, and may keep it waiting.
package queue

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Scanner scans one open file. supervise.Supervisor is one.
type Scanner interface {
	Scan(context.Context, supervise.Job) (supervise.Answer, error)
	// Failed reports whether nothing can be scanned until somebody has mended something.
	Failed() bool
}

// Memory remembers verdicts. verdicts.Store is one.
type Memory interface {
	Lookup(verdicts.Identity) (verdicts.Verdict, verdicts.Epoch, bool)
	Keep(verdicts.Epoch, verdicts.Identity, verdicts.Verdict)
	KnownClean(verdicts.Content) (verdicts.Epoch, bool)
	KeepClean(verdicts.Epoch, verdicts.Content)
}

// Finding is a file in which something was found, or that is set aside.
type Finding struct {
	Event    monitor.Event // that led to it, a copy; Kind is 0 where a person asked for the scan
	Path     string
	Identity verdicts.Identity // as it was before the scan
	Answer   scan.Answer
	Epoch    verdicts.Epoch // that the answer was found with, whatever is live by now; zero where the file is set aside
	SHA256   [32]byte       // of the content; zeros where the file is too large, changed meanwhile, or could not be read
	Known    bool           // the verdict was remembered
	Changed  bool           // the file was changed during the scan
	File     *os.File       // open for reading, until the call returns
}

// Done is what was done about a finding.
type Done struct {
	Quarantined string // id of the file in the quarantine
	LeftAlone   string // why it is not there, where the policy asks for that, in English
	Again       bool   // for it was changed, as by a chmod(1) after a download: another scan may lead to more
}

// Config is what a Queue works with. Scanner, Memory and OnVerdict must be set; zero fields of the rest stand for the defaults.
type Config struct {
	Scanner Scanner
	Memory  Memory
	// OnVerdict is called for each file in which something was found, from several goroutines. It may take as long as a copy of the file.
	OnVerdict func(Finding) Done
	// OnSetAside is called, likewise, when a file is not scanned because the service ended on it twice. It may be nil.
	OnSetAside func(Finding)

	Capacity  int    // files that wait at most; 8192
	Bytes     int    // of memory that files that wait take at most, with what is told of them and their processes; 8 MiB
	Workers   int    // files that are opened and looked up side by side; some more than the scanner has, 4. One of several is there for events alone
	HashBytes uint64 // of larger files no SHA-256 is computed; 64 MiB
	Log       *slog.Logger
	Now       func() time.Time
	// Begin is called at the beginning of each worker's goroutine, in which files are read, and hashed. It may be nil.
	Begin func()
}

// Queue holds the files that wait to be scanned, and scans them. All methods may be called from several goroutines.
type Queue struct {
	Config
	limits  atomic.Pointer[scan.Limits]
	ignored atomic.Pointer[ignored]
	ready   chan struct{}   // there may be something in waiting
	demand  chan *requested // from ScanPath to whoever has time
	stopped chan struct{}   // Run has ended
	copies  chan *copied    // that are not in use
	counts  counts
	blind   atomic.Bool // it has been told that writers of files cannot be seen

	mu        sync.Mutex
	waiting   waiting
	gathering bool // a worker is roused soon
	moves     moves
	subjects  subjects
	held      chan struct{} // nil while files may begin
	release   *time.Timer   // of held

	scanningMu sync.Mutex
	scanning   map[verdicts.Identity]chan struct{} // closed when it is over
}

// New makes a queue, which takes events at once and scans them when Run is called.
func New(c Config) *Queue {
	if c.Capacity <= 0 {
		c.Capacity = 8192
	}
	if c.Bytes <= 0 {
		c.Bytes = 8 << 20
	}
	if c.Workers <= 0 {
		c.Workers = 4
	}
	if c.HashBytes == 0 {
		c.HashBytes = 64 << 20
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	q := &Queue{
		Config: c, ready: make(chan struct{}, c.Workers), demand: make(chan *requested), stopped: make(chan struct{}),
		copies: make(chan *copied, c.Workers), waiting: newWaiting(c.Capacity, c.Bytes), scanning: make(map[verdicts.Identity]chan struct{}),
	}
	q.Ignore(Ignored{})
	q.SetLimits(scan.Limits{})
	return q
}

// SetLimits sets the bounds of the scans that begin from now on.
func (q *Queue) SetLimits(l scan.Limits) { q.limits.Store(&l) }

// Run scans until ctx ends. It is called once.
func (q *Queue) Run(ctx context.Context) {
	defer close(q.stopped)
	var workers sync.WaitGroup
	for n := range q.Workers {
		demand := q.demand
		if n == 0 && q.Workers > 1 {
			demand = nil // what is run now does not wait until an archive that a person asked for is unpacked
		}
		workers.Go(func() {
			if q.Begin != nil {
				q.Begin()
			}
			q.work(ctx, demand)
		})
	}
	workers.Wait()
	for {
		select {
		case c := <-q.copies:
			c.close()
		default:
			return
		}
	}
}

// fairness: what a person asked for comes last, but while events never end every so many files.
const fairness = 16

// work scans what events and, unless it is nil, demand bring.
func (q *Queue) work(ctx context.Context, demand chan *requested) {
	for turn := 1; ctx.Err() == nil; turn++ {
		if turn%fairness == 0 {
			select {
			case r := <-demand:
				q.await(ctx, q.holding())
				q.serve(ctx, r)
				continue
			default:
			}
		}
		it, held := q.next()
		switch {
		case held != nil:
			q.await(ctx, held)
			continue
		case it != nil:
			q.examine(ctx, it)
			continue
		}
		select {
		case <-ctx.Done():
		case <-q.ready:
		case r := <-demand:
			q.await(ctx, q.holding())
			q.serve(ctx, r)
		}
	}
}

// next takes out what is to be scanned next, nil if nothing waits. While files may not begin it takes out nothing and returns what is closed then.
func (q *Queue) next() (it *item, held chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held != nil {
		return nil, q.held
	}
	return q.waiting.pop(), nil
}

// handOver has another worker go on with what waits, for this one begins something that takes long.
func (q *Queue) handOver() {
	q.mu.Lock()
	more := q.waiting.count > 0
	q.mu.Unlock()
	if more {
		q.rouse()
	}
}
