package connector

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/scan/queue"
	"github.com/ampconnector/amp/internal/scan/sandbox"
	"github.com/ampconnector/amp/internal/scan/schedule"
	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/trial"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// scanDeadline is how long one scan may take before the service is taken to hang. The engine gives up by itself before.
const (
	scanDeadline  = 2 * time.Minute
	engineGivesUp = 90 * time.Second
)

// scanner is the Scanner of a daemon: definitions, the supervised service, the memory of verdicts and the queue, put together.
type scanner struct {
	with   ScanSurroundings
	places scanPlaces
	log    *slog.Logger

	settings atomic.Pointer[ScanSettings]
	asked    atomic.Uint64 // how often Apply was called
	applied  atomic.Uint64 // which of these calls was taken over last
	refresh  chan struct{} // settings or definitions may be others
	stop     context.CancelFunc
	running  sync.WaitGroup
	runs     scanRuns
	schedule *schedule.Runner
	missed   atomic.Uint64               // files that no queue took, or that waited in one that is gone
	memory   func() uint64               // that the host has to spare, in bytes; 0 where that cannot be told
	groupErr atomic.Pointer[string]      // why the last service is in no control group, though there are some
	session  atomic.Pointer[scanSession] // nil while the policy asks for no scanning, and while definitions are looked at before the first service
}

// importPause is how long definitions that could not be tried, as memory was short or the engine is missing, are left alone.
const importPause = 10 * time.Minute

// scanSession is what runs while files are scanned with one size of the service.
type scanSession struct {
	supervisor *supervise.Supervisor
	queue      *queue.Queue
	verdicts   *verdicts.Store
	store      *definitions.Store
	live       atomic.Pointer[definitions.Set] // that services are started with
	blamed     string                          // ID of the set whose failure the store was told of
	untried    string                          // what was incoming when it could not be tried
	retry      time.Time                       // not sooner is that tried again
	untaken    string                          // ID of the live set with which no service took the place of the one that runs
	retake     time.Time                       // not sooner is that tried again
	refollow   time.Time                       // not sooner is a service of another uid tried again
	leaveRoom  func()                          // ends the pause that was made for a trial; nil where there is none
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// openScanner makes a scanner, which begins with the first settings.
func openScanner(places scanPlaces, log *slog.Logger, with ScanSurroundings) *scanner {
	ctx, stop := context.WithCancel(context.Background())
	s := &scanner{with: with, places: places, log: log, refresh: make(chan struct{}, 1), stop: stop, memory: availableMemory}
	s.schedule = schedule.New(schedule.Config{Scan: s.scanScheduled, Path: places.schedules, Log: log})
	if places.groups == nil && places.groupErr != nil {
		log.Info("the scan service gets no control group of its own; setrlimit(2) and nice(2) bound it", "why", places.groupErr)
	}
	s.running.Go(func() { s.run(ctx) })
	s.running.Go(func() { s.schedule.Run(ctx) })
	return s
}

// Apply implements Scanner.
func (s *scanner) Apply(settings ScanSettings) {
	s.settings.Store(&settings)
	s.asked.Add(1)
	select {
	case s.refresh <- struct{}{}:
	default:
	}
}

// run takes over settings and definitions as they change.
func (s *scanner) run(ctx context.Context) {
	s.recoverQuarantine(ctx)
	var applied ScanSettings
	for {
		select {
		case <-ctx.Done():
			s.end()
			return
		case <-s.refresh:
		}
		asked := s.asked.Load()
		wanted := *s.settings.Load()
		session := s.session.Load()
		if session != nil && !sameService(wanted.Scan, applied.Scan) {
			s.end()
			session = nil
		}
		if session == nil && wanted.Enabled {
			session = s.begin(ctx, wanted)
		}
		applied = wanted
		s.schedule.Set(schedulesOf(wanted), !wanted.NoPolicy) // with the session that they need
		if session != nil {
			session.apply(wanted)
			session.renew(ctx, s.log)
			session.follow(ctx, s.log, wanted)
		}
		s.applied.Store(asked)
	}
}

// sameService reports whether a session can go on with other settings: what becomes of a file that was found, the service does not know.
func sameService(a, b policy.Scan) bool {
	a.Quarantine = b.Quarantine
	return a == b
}

// Whoever asks for an evaluation is kept waiting for the scan service that long at most, less than the patience of those who ask, and it
// is looked at that often.
const (
	settlesWithin = 8 * time.Second
	settlePeriod  = 20 * time.Millisecond
)

// Settle implements Scanner.
func (s *scanner) Settle(ctx context.Context) (waited bool) {
	ctx, stop := context.WithTimeout(ctx, settlesWithin)
	defer stop()
	for !s.settled() {
		waited = true
		select {
		case <-ctx.Done():
			return waited
		case <-time.After(settlePeriod):
		}
	}
	return waited
}

// settled reports whether the last settings were taken over and no service runs, or comes up to do so, as another user than they ask for. One that does not run
// is not waited for: large definitions take a minute to load, and what is not known yet is told as that.
func (s *scanner) settled() bool {
	if n := s.session.Load(); s.applied.Load() != s.asked.Load() || n != nil && n.supervisor.StartsOther() {
		return false
	}
	settings, st := s.settings.Load(), s.State()
	return settings == nil || st.State != control.ScanReady || st.AsRoot == (settings.AsRoot != "") && !settings.isOther(st)
}

// isOther reports whether a service is known to run as another user than the account is now.
func (s *ScanSettings) isOther(st control.Scan) bool {
	return st.User != "" && !st.AsRoot && s.AsRoot == "" && (st.UID != s.UID || st.GID != s.GID)
}

// begin starts a session.
func (s *scanner) begin(ctx context.Context, settings ScanSettings) *scanSession {
	ctx, stop := context.WithCancel(ctx)
	n := &scanSession{stop: stop}
	n.store = definitions.Open(definitions.Config{
		Dir: s.places.definitions, BuiltIn: s.places.builtIn, Program: "ampdaemon", Unsigned: settings.Unsigned, FIPS: definitions.FIPS("/"),
		Prove: func(ctx context.Context, dir string) (scan.Report, error) {
			n.makeRoom(ctx, s.log)
			return s.prove(ctx, dir)
		},
	})
	started, err := n.store.Start(ctx)
	for _, did := range started.Did {
		s.log.Warn("definitions", "did", did)
	}
	if err != nil {
		s.log.Error("the definitions", "error", err)
	}
	n.live.Store(&started.Set)
	limits := limitsOf(settings.Scan)
	n.verdicts = verdicts.New(s.places.verdicts, verdicts.Options{Limits: limits, Log: s.log})
	n.supervisor = supervise.New(supervise.Config{
		Start: func(ctx context.Context, o supervise.StartOptions) (supervise.Service, error) {
			options := s.places.options(*s.settings.Load())
			options.AsRoot, options.Definitions, options.Workers = o.AsRoot, o.Definitions.Directory, o.Workers
			log, closeLog := s.serviceLog()
			defer closeLog()
			options.Log = log
			return startScanProcess(ctx, options, s.newGroup(options))
		},
		Definitions: n.definitions, Memory: n.verdicts, Workers: settings.Workers, Deadline: scanDeadline,
		Available: s.memory, OnChange: func() { s.changed(n) }, Log: s.log,
	})
	n.queue = queue.New(queue.Config{
		Scanner: n.supervisor, Memory: n.verdicts, OnVerdict: func(f queue.Finding) queue.Done { return s.found(&f) }, OnSetAside: s.setAside,
		Workers: settings.Workers + 2, Log: s.log, Begin: s.standBack,
	})
	n.queue.SetLimits(limits)
	n.running.Go(func() { n.verdicts.Run(ctx) })
	n.running.Go(func() { n.queue.Run(ctx) })
	n.apply(settings) // before it starts a service
	n.running.Go(func() {
		if err := n.supervisor.Run(ctx); err != nil {
			s.log.Error("the scan service is not supervised any more", "error", err)
		}
	})
	s.session.Store(n)
	return n
}

// end ends the session, if there is one.
func (s *scanner) end() {
	if n := s.session.Swap(nil); n != nil {
		n.stop()
		n.running.Wait()
		c := n.queue.Counts()
		s.missed.Add(c.Dropped + c.Waiting)
	}
}

// Close implements Scanner.
func (s *scanner) Close() error {
	s.stop()
	s.running.Wait()
	s.runs.wait()
	return nil
}

// changed looks what the supervisor has to tell.
func (s *scanner) changed(n *scanSession) {
	if st := n.supervisor.State(); st.State == control.ScanFailed && blamesDefinitions(st.Cause) {
		select {
		case s.refresh <- struct{}{}: // renew deals with it
		default:
		}
	}
	n.ignore(*s.settings.Load())
	s.with.Changed()
}

// serviceLog opens the log for a service that is about to be started. On a full or broken disk it is started without one: what it says of
// its start comes over its socket too.
func (s *scanner) serviceLog() (log *os.File, closeLog func()) {
	log, err := trial.OpenLog(s.places.log)
	if err != nil {
		s.log.Warn("the scan service goes without its log", "error", err)
		return nil, func() {}
	}
	return log, func() { log.Close() }
}

// prove tries definitions in a service of its own.
func (s *scanner) prove(ctx context.Context, dir string) (scan.Report, error) {
	options := s.places.options(*s.settings.Load())
	options.Workers = 1
	log, closeLog := s.serviceLog()
	defer closeLog()
	options.Log = log
	group := s.newGroup(options)
	defer func() { _ = group.Remove() }()
	entrance, err := group.Entrance()
	if err != nil {
		return scan.Report{}, err
	}
	defer entrance.Close()
	options.Cgroup = entrance
	report, err := trial.Prove(options)(ctx, dir)
	if at, _ := group.KilledAt(); err != nil && at > 0 {
		err = fmt.Errorf("at the memory limit of %d MiB: %w", at>>20, err)
	}
	return report, err
}

// ownPaths are what the connector itself writes: to scan it would make it write more.
var ownPaths = []string{"/var/log/cisco/", "/var/lib/cisco/amp/", "/run/cisco-amp/"}

// apply takes over what can change while a session goes on.
func (n *scanSession) apply(s ScanSettings) {
	n.ignore(s)
	var why error
	if s.AsRoot != "" {
		why = errors.New(s.AsRoot)
	}
	n.supervisor.SetAsRoot(s.AsRoot != "", why)
}

// ignore leaves out what the policy excludes, and what the connector itself does, with its scan service, which unpacks archives.
func (n *scanSession) ignore(s ScanSettings) {
	i := queue.Ignored{Paths: slices.Concat(ownPaths, s.Excluded)}
	if pid := n.supervisor.State().PID; pid != 0 {
		i.PIDs = append(i.PIDs, uint32(pid))
	}
	n.queue.Ignore(i)
}

// definitions says what a service that is started now loads.
func (n *scanSession) definitions() supervise.Definitions {
	set := n.live.Load()
	return supervise.Definitions{Directory: set.Dir, Version: set.ID, BuiltIn: set.BuiltIn}
}

// makeRoom has the service end, until renew has ended, where memory does not hold its engine beside that of a trial. Before the first service there is
// nothing to end.
func (n *scanSession) makeRoom(ctx context.Context, log *slog.Logger) {
	if n.supervisor == nil || n.leaveRoom != nil {
		return
	}
	leave, made, err := n.supervisor.Room(ctx)
	if err != nil {
		log.Error("definitions are tried beside the service that runs", "error", err)
	}
	if made {
		n.leaveRoom = leave
	}
}

// renew takes in what an updater has brought, or another program has put in its place, and gets away from definitions with which no service starts.
func (n *scanSession) renew(ctx context.Context, log *slog.Logger) {
	defer func() {
		if n.leaveRoom != nil { // the service that follows has what is live by now
			n.leaveRoom()
			n.leaveRoom = nil
		}
	}()
	n.incoming(ctx, log)
	set, err := n.store.Current()
	if err != nil {
		log.Error("the definitions cannot be read; the service goes on with those that it has", "error", err)
		return
	}
	st := n.supervisor.State()
	if st.State == control.ScanFailed && st.Definitions == set.ID && set.ID != n.blamed && blamesDefinitions(st.Cause) {
		n.blamed = set.ID
		set = n.refused(ctx, log, set, st)
	}
	n.live.Store(&set)
	switch {
	case st.Definitions == set.ID:
	case st.State == control.ScanReady:
		n.change(ctx, log, set, st)
	case st.State == control.ScanFailed:
		n.supervisor.Restart() // the next start is one with the live set
	}
}

func blamesDefinitions(cause string) bool {
	return cause == control.ScanDefinitions || cause == control.ScanSelfTest
}

// follow lets a service of the account as it is now take the place of one from before the account got another uid or gid.
func (n *scanSession) follow(ctx context.Context, log *slog.Logger, s ScanSettings) {
	st, now := n.supervisor.State(), time.Now()
	if st.State != control.ScanReady || !s.isOther(st) || now.Before(n.refollow) {
		return
	}
	if _, err := n.supervisor.Switch(ctx); err != nil {
		n.refollow = now.Add(time.Minute)
		log.Error("the scan service goes on as the user that the account was before", "uid", st.UID, "error", err)
	}
}

// change lets a service with the live set take the place of the one that runs.
func (n *scanSession) change(ctx context.Context, log *slog.Logger, set definitions.Set, st control.Scan) {
	if set.ID == n.untaken && time.Now().Before(n.retake) {
		return
	}
	switched, err := n.supervisor.Switch(ctx)
	if err == nil {
		log.Info("the scan service has other definitions", "definitions", set.ID, "before", st.Definitions, "pause", switched.Pause)
		return
	}
	log.Error("the scan service does not take the new definitions", "definitions", set.ID, "error", err)
	n.untaken, n.retake = set.ID, time.Now().Add(importPause)
	if failed, ok := errors.AsType[*supervise.StartError](err); ok && blamesDefinitions(failed.Cause) {
		now := n.refused(ctx, log, set, control.Scan{Cause: failed.Cause, Error: failed.Text, File: failed.File, Engine: failed.Engine})
		n.live.Store(&now)
	}
}

// incoming takes in what an updater has finished to bring.
func (n *scanSession) incoming(ctx context.Context, log *slog.Logger) {
	fresh, sight, err := n.store.News()
	now := time.Now()
	if err != nil || !fresh || !sight.Settled(now) || sight.Fingerprint == n.untried && now.Before(n.retry) {
		return // News of a directory that is not there is no news, and of one that cannot be read neither
	}
	outcome, err := n.store.Import(ctx, n.store.IncomingDir(), false)
	if err != nil {
		n.untried, n.retry = sight.Fingerprint, now.Add(importPause)
		log.Error("incoming definitions could not be taken in", "error", err, "again_after", importPause)
		return
	}
	log.Info("incoming definitions", "result", outcome.Result, "reason", outcome.Reason, "live", outcome.Set.ID)
	for _, r := range outcome.SetAside {
		log.Error("definitions set aside", "file", r.Name, "why", r.Check.String())
	}
}

// refused tells the store of definitions that passed its checks and with which no service starts, and gives what is live instead.
func (n *scanSession) refused(ctx context.Context, log *slog.Logger, set definitions.Set, st control.Scan) definitions.Set {
	report := scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, Error: st.Error, File: st.File, Engine: st.Engine}
	if st.Cause == control.ScanSelfTest {
		report.Stage, report.Cause = scan.StageSelfTest, scan.SelfTestFailed
	}
	started, err := n.store.Failed(ctx, set.ID, report)
	for _, did := range started.Did {
		log.Warn("definitions", "did", did)
	}
	if err != nil {
		log.Error("definitions with which the scan service does not start", "definitions", set.ID, "error", err)
		return set
	}
	return started.Set
}

// Event implements Scanner. While no service can be started, or definitions are looked at before the first one is, nothing is kept for it, and counted.
func (s *scanner) Event(e *monitor.Event) {
	if n := s.session.Load(); n != nil && !n.supervisor.Failed() {
		n.queue.Offer(e)
	} else if settings := s.settings.Load(); queue.Wants(e.Kind) && settings != nil && settings.Enabled {
		s.missed.Add(1)
	}
}

// standBack puts the calling goroutine, and its thread with it, as far back as the scan service: to read a file and to hash it is a good part of its
// scan, or all of it.
func (s *scanner) standBack() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	if err := sandbox.Lower(scanNice); err != nil {
		s.log.Debug("files are read beside all else", "error", err)
	}
}

// Hold implements Scanner. A session that begins meanwhile is not held: little waits for it yet.
func (s *scanner) Hold(most time.Duration) {
	if n := s.session.Load(); n != nil {
		n.queue.Hold(most)
	}
}

// Resume implements Scanner.
func (s *scanner) Resume() {
	if n := s.session.Load(); n != nil {
		n.queue.Resume()
	}
}

// State implements Scanner.
func (s *scanner) State() control.Scan {
	n := s.session.Load()
	if n == nil {
		if settings := s.settings.Load(); settings != nil && !settings.Enabled {
			return control.Scan{State: control.ScanOff, Detail: "off: the policy asks for no scanning", Limits: supervise.Limits, Dropped: s.missed.Load()}
		}
		return control.Scan{State: control.ScanStarting, Detail: "starting", Limits: supervise.Limits, Dropped: s.missed.Load()}
	}
	st, counts := n.supervisor.State(), n.queue.Counts()
	st.Queued, st.Known, st.Dropped = counts.Waiting, counts.Known, counts.Dropped+s.missed.Load()
	st.Scanned, st.Found, st.Failures = counts.Scanned, counts.Found, counts.Failures
	st.Schedules, st.Cgroup, st.Quarantine = s.schedule.State(), s.groupState(), s.quarantineState()
	return st
}

// found takes a file into the quarantine where the policy asks for that, and tells a detection.
func (s *scanner) found(f *queue.Finding) queue.Done {
	e := monitor.Event{
		Kind: monitor.Detection, Time: time.Now(), Process: f.Event.Process, Name: f.Answer.Name,
		File:  monitor.File{Path: f.Path, Device: f.Identity.Device, Inode: f.Identity.Inode, Size: f.Identity.Size},
		Found: monitor.Found{Cause: f.Event.Kind, Engine: f.Epoch.Engine, Definitions: f.Epoch.Definitions},
	}
	if e.Process == nil {
		e.Process = &monitor.Process{PID: uint32(os.Getpid()), Comm: "ampdaemon", AUID: monitor.Unset} // on somebody's word
	}
	if f.SHA256 != [32]byte{} {
		e.Found.SHA256 = hex.EncodeToString(f.SHA256[:])
	}
	taken, done := s.quarantine(f, &e.Found)
	e.Found.Quarantined, e.Found.LeftAlone, e.Found.OtherNames = done.Quarantined, done.LeftAlone, taken.Names
	s.with.Found(&e)
	return done
}

func (s *scanner) setAside(f queue.Finding) {
	s.log.Error("a file is not scanned any more: the scan service ended on it twice", "path", f.Path)
}

// Restart implements Scanner.
func (s *scanner) Restart(ctx context.Context) error {
	n := s.session.Load()
	if n == nil {
		return s.noSession()
	}
	n.apply(*s.settings.Load()) // an exclusion that has just been made counts
	ended := n.supervisor.Forgive()
	if n.supervisor.State().State == control.ScanReady {
		if _, err := n.supervisor.Switch(ctx); err != nil {
			return fmt.Errorf("start anew: %w", err)
		}
	} else if err := n.supervisor.Up(ctx); err != nil {
		return err
	}
	if len(ended) == 0 {
		return nil
	}
	_, err := n.queue.ScanPath(ctx, queue.ScanOptions{Paths: ended}, nil) // those that are gone are passed over
	return err
}

// availableMemory is what the host has to spare, in bytes; 0 where that cannot be told.
func availableMemory() uint64 {
	b, err := os.ReadFile(meminfo)
	if err != nil {
		return 0
	}
	m, err := host.ParseMeminfo(meminfo, b)
	if err != nil {
		return 0
	}
	return m.Available
}

const meminfo = "/proc/meminfo"
