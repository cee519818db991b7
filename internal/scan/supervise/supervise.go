// Package supervise keeps the scan service alive and gives it work. The service works on files that somebody made to break it: it may crash, hang or
// answer rubbish at any moment. Whoever asks for a scan sees nothing of that but its latency: the scans in flight are done again, each of
// them alone, and only a file on which the service ends twice is set aside.
//
// What enters: open files, and a way to start a service. What leaves: answers, and the state of the service for the status and faults 5, 6, 7.
package supervise

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// Limits are what ends of the service are judged by (fault 6): the fifth within ten minutes is too many. A poisonous file costs two ends before
// it is set aside, so two such files are borne.
var Limits = control.ScanLimits{Ends: 4, Window: 600, Quiet: 600}

// Pauses before the service is started again. Each is twice the one before, from the first to the longest.
const (
	firstEndPause     = 100 * time.Millisecond // after an end; the first again after Limits.Quiet seconds without one
	longestEndPause   = 30 * time.Second
	firstStartPause   = time.Second // after a start that failed; the first again after one that did not
	longestStartPause = time.Minute
)

// grace is what a service gets to end by itself, and what it had answered before its end gets to arrive.
const grace = time.Second

// maxSuspected bounds the files that a service ended on and that nobody waits for.
const maxSuspected = 256

// Errors of Scan, beside those of its context.
var (
	ErrSetAside    = errors.New("set aside: the scan service ended on this file twice; it is scanned when the definitions or the engine change")
	ErrUnavailable = errors.New("the scan service cannot be started")
	ErrStopped     = errors.New("scanning has ended")
)

// Exit is how a process ended.
type Exit struct {
	Signal syscall.Signal // 0 if none ended it
	Status int            // its exit status otherwise
	Memory uint64         // bytes of the limit of its control group, where the kernel ended it for that; else 0
	Short  string         // what it said itself that it had too little of, in words of ours that end a sentence; else ""
}

// ExitOf reads it of a process that was waited for.
func ExitOf(p *os.ProcessState) Exit {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return Exit{Signal: w.Signal()}
	}
	return Exit{Status: p.ExitCode()}
}

// Service is one process of the scan service. Its methods may be called side by side.
type Service interface {
	PID() int
	// Report returns what the service says at its start. The end of ctx and of the process are errors.
	Report(ctx context.Context) (scan.Report, error)
	// Send hands a file over, which stays the caller's. EPIPE, ECONNRESET, os.ErrClosed and net.ErrClosed say that the service has gone;
	// another error is the file's.
	Send(scan.Request, *os.File) error
	// Receive waits for an answer. io.EOF and the errors of Send that say so tell that the service has gone; another one is rubbish.
	Receive() (scan.Answer, error)
	// Kill ends the process at once, and does not wait. Report, Send, Receive and Wait return after it.
	Kill()
	// Wait waits for the process's end. It is called once.
	Wait() Exit
}

// Definitions are a set that a service is to load.
type Definitions struct {
	Directory string
	Version   string
	BuiltIn   bool // nothing but what came with the package
}

// StartOptions are what a service is started with.
type StartOptions struct {
	AsRoot      bool // the scan user cannot be used
	Definitions Definitions
	Workers     int
}

// Memory remembers what was set aside. verdicts.Store is one.
type Memory interface {
	Begin(verdicts.Epoch)
	SetAside(epoch verdicts.Epoch, id verdicts.Identity, path string)
	Aside(verdicts.Identity) bool
	AsidePaths() []string
}

// Config is what a Supervisor works with. Start and Memory must be set; zero fields of the rest stand for the defaults.
type Config struct {
	Start func(context.Context, StartOptions) (Service, error)
	// Definitions says which set a service that is started now is to load.
	Definitions func() Definitions
	Memory      Memory

	Workers       int           // scans side by side of one service, which may say that it does fewer; 2
	Deadline      time.Duration // of one scan, from the sending to the answer; longer than the engine's own limit; 2 min
	StartDeadline time.Duration // 5 min: a large set takes a minute to load on a slow machine

	Available func() uint64 // bytes of memory that the host has to spare; nil: enough
	// EngineMemory is what a service with the set that a Switch leads to is known to take, in bytes; 0 where it is not known.
	EngineMemory func() uint64

	OnChange func() // the state is another one; called by Run
	UserName func(uid uint32) string
	Proc     string // where proc(5) is mounted
	Log      *slog.Logger
	Now      func() time.Time
	After    func(time.Duration) <-chan time.Time
}

// Supervisor keeps one scan service running, and for moments two.
type Supervisor struct {
	Config
	wake    chan struct{}  // for Run: there is something new to wait for or to tell
	running sync.WaitGroup // goroutines that Run waits for

	mu       sync.Mutex
	ctx      context.Context // of Run; nil before
	stopped  bool
	changed  bool      // since OnChange was called
	armed    time.Time // that Run waits for; zero if for none
	serving  *instance // takes work; nil if none does
	retiring []*instance
	started  chan struct{} // closed when the start that goes on is over; nil where none goes on

	startAt    time.Time // not sooner is a service started
	startPause time.Duration
	endPause   time.Duration
	asRoot     bool
	userErr    error
	// startingAsRoot is whether the service that was started last was to run so.
	startingAsRoot bool
	userAt         time.Time // not sooner is another user tried

	id        uint64
	waiting   []*work // in order of their coming, impatient ones last
	suspects  []*work // to be done alone
	alone     *flight // the suspect that is
	suspected map[verdicts.Identity]struct{}

	state    control.ScanState
	detail   string
	since    time.Time
	failure  *StartError
	ends     []end // since the service last was quiet
	last     time.Time
	scanned  uint64
	found    uint64
	failures uint64

	failed atomic.Bool
}

// New makes a supervisor, which does nothing before Run.
func New(c Config) *Supervisor {
	if c.Definitions == nil {
		c.Definitions = func() Definitions { return Definitions{} }
	}
	if c.Workers <= 0 {
		c.Workers = 2
	}
	if c.Deadline == 0 {
		c.Deadline = 2 * time.Minute
	}
	if c.StartDeadline == 0 {
		c.StartDeadline = 5 * time.Minute
	}
	if c.UserName == nil {
		c.UserName = userName
	}
	if c.Proc == "" {
		c.Proc = "/proc"
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	return &Supervisor{
		Config: c, wake: make(chan struct{}, 1), suspected: make(map[verdicts.Identity]struct{}),
		startPause: firstStartPause, endPause: firstEndPause, state: control.ScanStarting, detail: "starting", since: c.Now(),
	}
}
