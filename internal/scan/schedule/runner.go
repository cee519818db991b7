package schedule

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/policy"
)

// glance is how long the clock is not looked at, at most: timers do not see that it was set, nor that the host slept.
const glance = time.Minute

// ErrInterrupted is in the chain of an error of Config.Scan where the scan was cut off by something that is none of its business, such as the
// end of the daemon or other settings of the scan service.
var ErrInterrupted = errors.New("interrupted")

// Config is what a Runner works with. Scan must be set; zero fields of the rest stand for the running host.
type Config struct {
	// Scan scans the paths of a schedule and returns when that is done, or when ctx ends.
	Scan  func(ctx context.Context, s policy.Schedule) (Result, error)
	Path  string // of the file
	Host  string // chooses the delays
	Zone  func() *time.Location
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// Runner runs scans by schedules, one after another. Its methods may be called from any goroutine.
type Runner struct {
	Config
	poke  chan struct{} // wanted is another one
	ended chan outcome
	stop  context.CancelFunc // of the scan that goes on; nil if there is none

	mu      sync.Mutex
	wanted  *wanted // not taken over yet
	entries []*entry
	running string             // name of the schedule whose scan goes on
	records map[string]*record // those of the entries, and of schedules of a policy that cannot be read at the moment
	saveErr error
}

// wanted are the schedules of a policy.
type wanted struct {
	schedules []policy.Schedule
	known     bool
}

// entry is one schedule that is in force.
type entry struct {
	policy.Schedule
	record *record
	next   time.Time // when it begins
	due    time.Time // of a scan that waits for another one to end; zero if none does
	makeUp time.Time // when a scan begins that makes up for one that was missed or interrupted; zero if none is to
}

// outcome is the end of a scan.
type outcome struct {
	name   string
	result Result
	err    error
}

// New makes a runner, which does nothing before Run is called.
func New(c Config) *Runner {
	if c.Path == "" {
		c.Path = Path
	}
	if c.Host == "" {
		c.Host = HostID()
	}
	if c.Zone == nil {
		c.Zone = LocalZone
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Runner{Config: c, poke: make(chan struct{}, 1), ended: make(chan outcome, 1)}
}

// Set says which schedules are in force. known is false where the policy could not be read, so that what is remembered of its schedules is kept.
func (r *Runner) Set(schedules []policy.Schedule, known bool) {
	r.mu.Lock()
	r.wanted = &wanted{schedules, known}
	r.mu.Unlock()
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Run runs scans until ctx ends, and waits for the last one.
func (r *Runner) Run(ctx context.Context) {
	records, err := readRecords(r.Path)
	if err != nil {
		r.Log.Error("what was done by schedules is not known; each begins anew", "error", err)
		records = map[string]*record{}
	}
	r.mu.Lock()
	r.records = records
	r.mu.Unlock()
	var timer <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			if r.stop != nil {
				<-r.ended // its record stays that of a scan that was interrupted
			}
			return
		case <-r.poke:
		case o := <-r.ended:
			r.end(o)
		case <-timer:
		}
		timer = r.turn(ctx)
	}
}

// now is the wall clock alone: differences of two of these see that it was set.
func (r *Runner) now() time.Time { return r.Now().Round(0) }

// turn does what is due, and gives when to look again.
func (r *Runner) turn(ctx context.Context) <-chan time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.now()
	changed := r.takeOver(at)
	c := calendar{r.Zone(), r.Host}
	for _, e := range r.entries {
		changed = r.look(c, e, at) || changed
	}
	if e := r.first(); e != nil && r.stop == nil {
		r.begin(ctx, e, at)
		changed = true
	}
	if changed {
		r.save()
	}
	if len(r.entries) == 0 {
		return nil
	}
	pause := glance
	for _, e := range r.entries {
		if e.due.IsZero() && e.Name != r.running {
			pause = min(pause, e.next.Sub(at))
		}
	}
	return r.After(max(pause, 0))
}

// takeOver makes the schedules that are wanted those in force.
func (r *Runner) takeOver(at time.Time) (changed bool) {
	w := r.wanted
	if w == nil {
		return false
	}
	r.wanted = nil
	before := r.entries
	r.entries = make([]*entry, 0, len(w.schedules))
	for _, s := range w.schedules {
		on := s.On.String()
		rec := r.records[s.Name]
		switch {
		case rec == nil:
			rec, changed = &record{On: on, Through: at}, true
			r.records[s.Name] = rec
		case rec.On != on:
			rec.On, rec.Through, changed = on, at, true
		}
		e := &entry{Schedule: s, record: rec}
		if i := slices.IndexFunc(before, func(b *entry) bool { return b.Name == s.Name && b.On == s.On }); i >= 0 {
			e.due, e.makeUp = before[i].due, before[i].makeUp
		}
		r.entries = append(r.entries, e)
	}
	if w.known {
		n := len(r.records)
		maps.DeleteFunc(r.records, func(name string, _ *record) bool { return r.entry(name) == nil })
		changed = changed || len(r.records) != n
	}
	if r.stop != nil && r.entry(r.running) == nil {
		r.stop()
	}
	return changed
}

func (r *Runner) entry(name string) *entry {
	if i := slices.IndexFunc(r.entries, func(e *entry) bool { return e.Name == name }); i >= 0 {
		return r.entries[i]
	}
	return nil
}

// look sees what has come due of a schedule. It reports whether its record was changed.
func (r *Runner) look(c calendar, e *entry, at time.Time) (changed bool) {
	if e.Name == r.running {
		e.next = c.next(&e.Schedule, at).begin
		return false
	}
	if !e.due.IsZero() {
		return false // it waits
	}
	if e.record.Through.Sub(at) > setBack {
		r.Log.Warn("the clock was set back; the schedule goes by what it is now", "schedule", e.Name, "done_through", e.record.Through)
	}
	if through := c.through(e.record.Through, at); !through.Equal(e.record.Through) {
		e.record.Through, changed = through, true
	}
	s := c.step(&e.Schedule, e.record.Through, at)
	e.next = s.begin
	switch {
	case s.state == now:
		e.due, e.makeUp = s.due, time.Time{}
	case s.state == ahead && !e.record.interrupted():
		e.makeUp = time.Time{}
	case e.RunMissed && !(s.state == ahead && e.record.Again): // an interrupted one is made up for once
		r.putOff(e, s, at)
	default:
		r.leaveOut(e, s, at)
		changed = true
		e.next = c.next(&e.Schedule, at).begin
	}
	return changed
}

// putOff makes up for a scan after a delay of its own: hosts that were off together come up together.
func (r *Runner) putOff(e *entry, s step, at time.Time) {
	delay := Delay(r.Host, e.Name, s.due, e.Delay)
	if e.makeUp.IsZero() || e.makeUp.Sub(at) > delay {
		e.makeUp = at.Add(delay)
	}
	e.next = e.makeUp
	if at.Before(e.makeUp) {
		return
	}
	e.due, e.makeUp = at, time.Time{}
	if s.state == missed {
		e.due = s.due
	}
}

// leaveOut goes on as if a scan that was missed or interrupted had been made.
func (r *Runner) leaveOut(e *entry, s step, at time.Time) {
	if e.record.interrupted() {
		e.record.Ended, e.record.Error = at, ErrInterrupted.Error()
		r.Log.Warn("a scheduled scan was interrupted and is not begun again", "schedule", e.Name, "began", e.record.Began)
	}
	if s.state == missed {
		e.record.Through = s.due
		r.Log.Warn("a scheduled scan was missed and is left out", "schedule", e.Name, "due", s.due)
	}
	e.makeUp = time.Time{}
}

// first is the scan that has waited longest.
func (r *Runner) first() (first *entry) {
	for _, e := range r.entries {
		if !e.due.IsZero() && (first == nil || e.due.Before(first.due)) {
			first = e
		}
	}
	return first
}

func (r *Runner) begin(ctx context.Context, e *entry, at time.Time) {
	ctx, r.stop = context.WithCancel(ctx)
	again := e.record.interrupted()
	r.Log.Info("a scheduled scan begins", "schedule", e.Name, "due", e.due, "interrupted_before", again)
	rec := e.record
	if e.due.After(rec.Through) {
		rec.Through = e.due
	}
	rec.Began, rec.Ended, rec.Again, rec.Result, rec.Error = at, time.Time{}, again, Result{}, ""
	r.running, e.due = e.Name, time.Time{}
	e.next = calendar{r.Zone(), r.Host}.next(&e.Schedule, at).begin
	go func(s policy.Schedule) {
		result, err := r.Scan(ctx, s)
		r.ended <- outcome{s.Name, result, err}
	}(e.Schedule)
}

// end notes what came of a scan.
func (r *Runner) end(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
	r.stop, r.running = nil, ""
	e := r.entry(o.name)
	if e == nil {
		r.Log.Info("a scheduled scan ended, since the policy does not have it any more", "schedule", o.name)
		return
	}
	at, rec := r.now(), e.record
	rec.Result = o.result
	if errors.Is(o.err, ErrInterrupted) {
		return // the next turn deals with it
	}
	if rec.Ended = at; rec.Through.Before(at) {
		rec.Through = at // what has come due meanwhile has been done by it
	}
	level, attrs := slog.LevelInfo, []any{"schedule", o.name, "files", o.result.Files, "found", o.result.Found, "failures", o.result.Failures, "took", at.Sub(rec.Began)}
	if o.err != nil {
		text := o.err.Error()
		rec.Error = strings.ToValidUTF8(text[:min(len(text), maxRecordError)], "")
		level, attrs = slog.LevelError, append(attrs, "error", o.err)
	} else if o.result.Found > 0 {
		level = slog.LevelWarn
	}
	r.Log.Log(context.Background(), level, "a scheduled scan ended", attrs...)
	r.save()
}

// save writes the file. Where that fails, what was done is known until the daemon ends.
func (r *Runner) save() {
	err := writeRecords(r.Path, r.records)
	if err != nil && r.saveErr == nil {
		r.Log.Error("what was done by schedules cannot be kept for the next start", "error", err)
	}
	r.saveErr = err
}

// State tells of the schedules that are in force, in the order of the policy.
func (r *Runner) State() []control.ScanSchedule {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []control.ScanSchedule
	for _, e := range r.entries {
		s := control.ScanSchedule{Name: e.Name, On: e.On.String(), Next: e.next.UTC(), Running: e.Name == r.running, Waiting: !e.due.IsZero()}
		if rec := e.record; !rec.Began.IsZero() {
			s.Last = &control.ScheduledScan{Began: rec.Began.UTC(), Ended: rec.Ended.UTC(), Files: rec.Files, Found: rec.Found, Failures: rec.Failures, Error: rec.Error}
		}
		all = append(all, s)
	}
	return all
}
