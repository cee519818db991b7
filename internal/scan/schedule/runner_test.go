package schedule

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/policy"
)

// desk is a host with a clock that can be set, on which scans take as long as the test says.
type desk struct {
	t    *testing.T
	dir  string
	zone *time.Location

	mu      sync.Mutex
	set     time.Duration // what the wall clock was set by
	takes   time.Duration
	err     error
	begun   []string // "name time", by UTC
	atOnce  int
	most    int
	runner  *Runner
	stop    context.CancelFunc
	stopped chan struct{}
}

// on calls a test on a desk whose clock is at a time, in a bubble.
func on(t *testing.T, start string, test func(*testing.T, *desk)) {
	t.Helper()
	dir := t.TempDir()
	at := instant(t, start)
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, dir: dir, zone: time.UTC, takes: time.Minute}
		d.set = time.Until(at)
		test(t, d)
		d.shutDown()
	})
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Add(d.set)
}

// put sets the wall clock: no timer sees it.
func (d *desk) put(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set += by
}

func (d *desk) scan(ctx context.Context, s policy.Schedule) (Result, error) {
	at := d.now().UTC()
	d.mu.Lock()
	d.begun = append(d.begun, s.Name+" "+at.Format("Jan _2 15:04:05"))
	d.atOnce++
	d.most = max(d.most, d.atOnce)
	takes, err := d.takes, d.err
	d.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		err = errors.Join(ErrInterrupted, ctx.Err())
	}
	d.mu.Lock()
	d.atOnce--
	d.mu.Unlock()
	return Result{Files: 3, Found: 1}, err
}

// boot starts the daemon's part, with the schedules of a policy.
func (d *desk) boot(schedules ...policy.Schedule) { d.start(schedules, true) }

func (d *desk) start(schedules []policy.Schedule, known bool) {
	ctx, stop := context.WithCancel(d.t.Context())
	d.stop, d.stopped = stop, make(chan struct{})
	d.runner = New(Config{
		Scan: d.scan, Path: filepath.Join(d.dir, "lib", "schedules.json"), Host: "host", Zone: func() *time.Location { return d.zone }, Now: d.now, Log: slog.New(slog.DiscardHandler),
	})
	d.runner.Set(schedules, known)
	go func() {
		defer close(d.stopped)
		d.runner.Run(ctx)
	}()
	synctest.Wait()
}

func (d *desk) shutDown() {
	if d.stop != nil {
		d.stop()
		<-d.stopped
		d.stop = nil
	}
}

// pass lets time pass, for the timers too.
func (d *desk) pass(by time.Duration) {
	time.Sleep(by)
	synctest.Wait()
}

// expect compares what was begun since it was asked last.
func (d *desk) expect(want ...string) {
	d.t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.begun, want) {
		d.t.Errorf("begun: %q, expected %q", d.begun, want)
	}
	d.begun = nil
	if d.most > 1 {
		d.t.Errorf("%d at once", d.most)
	}
}

// schedule is one of the test's.
func (d *desk) schedule(name, on string, change ...func(*policy.Schedule)) policy.Schedule {
	s := policy.Schedule{Name: name, On: when(d.t, on), Paths: []string{"/srv"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func makesUp(s *policy.Schedule) { s.RunMissed = true }
func delayed(by time.Duration) func(*policy.Schedule) {
	return func(s *policy.Schedule) { s.Delay = by }
}

const day = 24 * time.Hour

func TestRunsWhenDue(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.boot(d.schedule("a", "daily 03:00"), d.schedule("b", "mon 04:00"))
		if s := d.runner.State(); len(s) != 2 || s[0].Next != instant(t, "2026-11-29T03:00:00Z") || s[1].Next != instant(t, "2026-11-30T04:00:00Z") || s[0].Last != nil || s[0].On != "daily 03:00" {
			t.Errorf("%+v", s)
		}
		d.pass(time.Hour)
		if s := d.runner.State()[0]; !s.Running || s.Last == nil || !s.Last.Ended.IsZero() || s.Next != instant(t, "2026-11-30T03:00:00Z") {
			t.Errorf("%+v, expected it running", s)
		}
		d.pass(2*day + 2*time.Minute)
		d.expect("a Nov 29 03:00:00", "a Nov 30 03:00:00", "b Nov 30 04:00:00", "a Dec  1 03:00:00")
		if l := d.runner.State()[0].Last; l == nil || l.Ended.Sub(l.Began) != time.Minute || l.Files != 3 || l.Found != 1 || l.Error != "" {
			t.Errorf("%+v", l)
		}
	})
}

func TestDelay(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		s := d.schedule("a", "daily 03:00", delayed(10*time.Minute))
		due := instant(t, "2026-11-29T03:00:00Z")
		want := due.Add(Delay("host", "a", due, s.Delay))
		if want.Equal(due) {
			t.Fatal("choose another host for the test")
		}
		d.boot(s)
		d.pass(want.Sub(d.now()) - time.Second)
		d.expect()
		d.shutDown() // it is put off, not missed: and the delay stays what it was
		d.boot(s)
		d.pass(2 * time.Second)
		d.expect("a " + want.UTC().Format("Jan _2 15:04:05"))
	})
	spread := map[time.Duration]bool{}
	for i := range 1000 {
		by := Delay(string(rune('a'+i)), "n", time.Unix(0, 0), time.Minute)
		if by < 0 || by > time.Minute {
			t.Errorf("%s, expected up to a minute", by)
		}
		spread[by] = true
	}
	if len(spread) != 61 {
		t.Errorf("%d of 61 delays are used", len(spread))
	}
	if Delay("h", "n", time.Unix(0, 0), 0) != 0 {
		t.Error("a delay that nobody asked for")
	}
}

func TestOneAfterAnother(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.takes = 90 * time.Minute
		d.boot(d.schedule("late", "daily 03:30"), d.schedule("early", "daily 03:10"), d.schedule("first", "daily 03:00"))
		d.pass(100 * time.Minute)
		if s := d.runner.State(); !s[0].Waiting || !s[1].Waiting || !s[2].Running {
			t.Errorf("%+v", s)
		}
		d.pass(10 * time.Hour)
		d.expect("first Nov 29 03:00:00", "early Nov 29 04:30:00", "late Nov 29 06:00:00")
	})
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.takes = 30 * time.Hour // what comes due while it runs itself is left out
		d.boot(d.schedule("a", "daily 03:00", makesUp))
		d.pass(4 * day)
		d.expect("a Nov 29 03:00:00", "a Dec  1 03:00:00")
	})
}

func TestMissedWhileOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		missed bool
		off    time.Duration
		want   []string
	}{
		{"left out", false, 3 * day, []string{"a Dec  3 03:00:00"}},
		{"made up for once", true, 3 * day, []string{"a Dec  2 05:00:00", "a Dec  3 03:00:00"}},
		{"for years", true, 3 * 365 * day, []string{"a Nov 28 05:00:00", "a Nov 29 03:00:00"}},
		{"nothing came due", true, time.Hour, []string{"a Nov 30 03:00:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
				s := d.schedule("a", "daily 03:00")
				s.RunMissed = c.missed
				d.boot(s)
				d.pass(3 * time.Hour)
				d.expect("a Nov 29 03:00:00")
				d.shutDown()
				d.put(c.off)
				d.boot(s)
				d.pass(day - time.Minute)
				d.expect(c.want...)
			})
		})
	}
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) { // one that is new has not missed anything
		d.boot(d.schedule("a", "daily 01:00", makesUp))
		d.pass(time.Hour)
		d.expect()
	})
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) { // hosts that were off together do not begin together
		s := d.schedule("a", "daily 03:00", makesUp, delayed(30*time.Minute))
		d.boot(s)
		d.shutDown()
		d.put(6 * time.Hour)
		d.boot(s)
		want := d.now().Add(Delay("host", "a", instant(t, "2026-11-29T03:00:00Z"), s.Delay)).UTC()
		if got := d.runner.State()[0].Next; got != want.Round(0) {
			t.Errorf("next %s, expected %s", got, want)
		}
		d.pass(time.Hour)
		d.expect("a " + want.Format("Jan _2 15:04:05"))
	})
}

func TestInterrupted(t *testing.T) {
	for name, makeUp := range map[string]bool{"left": false, "begun again": true} {
		t.Run(name, func(t *testing.T) {
			on(t, "2026-11-29T02:59:00Z", func(t *testing.T, d *desk) {
				d.takes = time.Hour
				s := d.schedule("a", "daily 03:00")
				s.RunMissed = makeUp
				var want []string
				if makeUp {
					want = []string{"a Nov 29 03:05:00"}
				}
				for _, begun := range [][]string{{"a Nov 29 03:00:00"}, want, nil} {
					d.boot(s)
					d.pass(6 * time.Minute)
					d.expect(begun...)
					d.shutDown()
				}
				d.boot(s)
				if l := d.runner.State()[0].Last; l == nil || l.Error != "interrupted" || l.Ended.IsZero() {
					t.Errorf("%+v, expected it interrupted", l)
				}
				d.pass(day)
				d.expect("a Nov 30 03:00:00")
			})
		})
	}
}

func TestClockIsSet(t *testing.T) {
	for _, c := range []struct {
		name   string
		missed bool
		by     time.Duration // at 02:00
		within time.Duration
		want   []string
	}{
		{"to a moment before", false, 59*time.Minute + 30*time.Second, time.Hour, []string{"a Nov 29 03:00:30"}}, // a minute later the clock is looked at
		{"over it, as after sleep", false, 3 * time.Hour, 23 * time.Hour, []string{"a Nov 30 03:00:00"}},
		{"over it, and it is made up for", true, 3 * time.Hour, 22 * time.Hour, []string{"a Nov 29 05:01:00", "a Nov 30 03:00:00"}},
		{"back by an hour", false, -time.Hour, 3 * time.Hour, []string{"a Nov 29 03:00:00"}},
		{"back by years", false, -1000 * day, 3 * time.Hour, []string{"a Mar  4 03:00:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
				s := d.schedule("a", "daily 03:00")
				s.RunMissed = c.missed
				d.boot(s)
				d.put(c.by)
				d.pass(c.within)
				d.expect(c.want...)
			})
		})
	}
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) { // set back after it ran: not again that day
		d.boot(d.schedule("a", "daily 03:00", makesUp))
		d.pass(2 * time.Hour)
		d.put(-2 * time.Hour)
		d.pass(2 * time.Hour)
		d.expect("a Nov 29 03:00:00")
		d.pass(day)
		d.expect("a Nov 30 03:00:00")
	})
	on(t, "2036-11-29T02:00:00Z", func(t *testing.T, d *desk) { // it was ten years ahead
		d.boot(d.schedule("a", "daily 03:00"))
		d.pass(2 * time.Hour)
		d.put(-3653 * day)
		d.pass(day)
		d.expect("a Nov 29 03:00:00", "a Nov 30 03:00:00")
	})
}

func TestClocksArePutForwardAndBack(t *testing.T) {
	for start, want := range map[string][]string{
		"2026-03-28T12:00:00Z": {"a Mar 29 01:00:00", "a Mar 30 00:30:00"},
		"2026-10-24T12:00:00Z": {"a Oct 25 00:30:00", "a Oct 26 01:30:00"},
	} {
		on(t, start, func(t *testing.T, d *desk) {
			d.zone = zone(t, "Europe/Berlin")
			d.boot(d.schedule("a", "daily 02:30"))
			d.pass(2 * day)
			d.expect(want...)
		})
	}
}

func TestPolicyChanges(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.takes = time.Hour
		a := d.schedule("a", "daily 03:00", makesUp)
		d.boot(a)
		d.pass(2 * time.Minute)
		d.runner.Set([]policy.Schedule{d.schedule("a", "daily 02:05", makesUp)}, true)
		d.pass(5 * time.Minute)
		d.expect("a Nov 29 02:05:00")
		d.runner.Set([]policy.Schedule{d.schedule("b", "daily 02:10")}, true) // which ends it
		d.pass(5 * time.Minute)
		d.expect("b Nov 29 02:10:00")
		d.pass(2 * time.Hour)
		if s := d.runner.State(); len(s) != 1 || s[0].Name != "b" || s[0].Last.Error != "" {
			t.Errorf("%+v", s)
		}
		// It is forgotten: what it would have done meanwhile was not asked for.
		d.runner.Set([]policy.Schedule{a}, true)
		d.pass(time.Hour)
		d.expect()
	})
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		a := d.schedule("a", "daily 03:00", makesUp)
		d.boot(a)
		d.shutDown()
		d.put(day)
		d.boot()
		d.shutDown()
		d.boot(a)
		d.expect() // forgotten
		d.shutDown()
		d.put(day)
		d.start(nil, false) // a policy that cannot be read forgets nothing
		d.shutDown()
		d.boot(a)
		d.expect("a Dec  1 02:00:00")
	})
}

func TestScanThatFails(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.err = errors.New("the scan service cannot be started")
		d.boot(d.schedule("a", "daily 03:00", makesUp))
		d.pass(3 * time.Hour)
		d.expect("a Nov 29 03:00:00")
		if l := d.runner.State()[0].Last; l.Error != d.err.Error() || l.Ended.IsZero() {
			t.Errorf("%+v", l)
		}
	})
}

// A long error is cut where a character ends: half of one comes back from JSON as more bytes than it had.
func TestALongErrorIsRemembered(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.err = errors.New(strings.Repeat("…", maxRecordError))
		d.boot(d.schedule("a", "daily 03:00"))
		d.pass(3 * time.Hour)
		d.shutDown()
		if r, err := readRecords(d.runner.Path); err != nil || r["a"].Error != strings.Repeat("…", maxRecordError/len("…")) {
			t.Errorf("%v, %v", r["a"], err)
		}
	})
}

// Other settings of the scan service cut a scan off; it is begun again with them.
func TestScanThatIsCutOff(t *testing.T) {
	on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
		d.err = ErrInterrupted
		d.boot(d.schedule("a", "daily 03:00", makesUp), d.schedule("b", "daily 03:00"))
		d.pass(3 * time.Hour)
		d.expect("a Nov 29 03:00:00", "b Nov 29 03:01:00", "a Nov 29 03:02:00")
	})
}

func TestRecordsThatAreDamaged(t *testing.T) {
	for _, text := range []string{"", "{", "null", `{"version":2,"schedules":{}}`, `{"version":1,"schedules":{"a":null}}`, `{"version":1,"schedules":{"a":{"on":"daily 03:00"}}}`} {
		on(t, "2026-11-29T02:00:00Z", func(t *testing.T, d *desk) {
			path := filepath.Join(d.dir, "lib", "schedules.json")
			os.Mkdir(filepath.Dir(path), 0o755)
			os.WriteFile(path, []byte(text), 0o600)
			if r, err := readRecords(path); err == nil {
				t.Errorf("%q: %v", text, r)
			}
			d.boot(d.schedule("a", "daily 03:00"))
			d.pass(time.Hour)
			d.expect("a Nov 29 03:00:00")
			if r, err := readRecords(path); err != nil || r["a"] == nil {
				t.Errorf("after %q: %v, %v", text, r, err)
			}
		})
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"version":1,"schedules":{"a":{"on":"daily 03:00","through":"2026-11-29T03:00:00Z","began":"2026-11-29T03:00:00Z","files":3}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := parseRecords("r", b)
		if (err == nil) != (records != nil) {
			t.Fatalf("%v, %v", records, err)
		}
		for name, r := range records {
			s := policy.Schedule{Name: name, On: policy.When{Days: policy.Daily, Hour: 3}, Delay: time.Hour}
			at := time.Unix(1_800_000_000, 0)
			if got := (calendar{time.UTC, "h"}).step(&s, r.Through, at); (got.state == ahead) != got.begin.After(at) {
				t.Errorf("%+v: %+v", r, got)
			}
		}
	})
}
