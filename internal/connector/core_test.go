package connector

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
)

// inWorld runs the loop on a recorded host, in a time of its own, and the test beside it.
func inWorld(t *testing.T, w *world, test func(*testing.T, *core)) {
	t.Helper()
	inConfig(t, w, func() Config { return w.config(t) }, test)
}

// inConfig calls config inside of the time that it makes, where channels must be made too.
func inConfig(t *testing.T, w *world, config func() Config, test func(*testing.T, *core)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCore(config())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- together(ctx, c.run, func(ctx context.Context) error { c.watch(ctx); return nil })
		}()
		synctest.Wait()
		test(t, c)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if told := w.said(); !slices.Contains(told, notifyStopping) {
			t.Errorf("told the service manager %q, expected the end among it", told)
		}
		for i, s := range w.opened {
			if !s.isClosed() {
				t.Errorf("source %d of %d was left open", i+1, len(w.opened))
			}
		}
	})
}

// pass lets time pass, and what follows from it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func ids(t *testing.T, c *core) (raised []fault.ID) {
	t.Helper()
	s, err := fault.ReadLedger(c.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range s.Raised() {
		raised = append(raised, e.ID)
	}
	return raised
}

func TestStartSaysWhatIs(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		s := c.status()
		if s.Mode != control.Normal || s.Source.Name != "ebpf" || s.Canary == nil || !s.Canary.OK || !s.Policy.OK || s.Kernel != "6.1.0-test" {
			t.Errorf("%+v; expected normal mode, source ebpf, canary seen", s)
		}
		if s.Source.Loss != control.NewLoss(canaryEvents, 1) {
			t.Errorf("loss %+v", s.Source.Loss)
		}
		if w.events() != canaryEvents {
			t.Errorf("%d events in the log, expected that of the canary", w.events())
		}
		if !slices.Contains(w.told, notifyReady) || !slices.Contains(w.told, notifyStatus+"source ebpf") {
			t.Errorf("told the service manager %q", w.told)
		}
		if !slices.Contains(w.followed, "/etc/shadow") || !slices.Contains(w.followed, "/opt/cisco/amp/etc/policy.xml") {
			t.Errorf("watched %q", w.followed)
		}
	})
}

func TestFaultThatIsThereAtStartIsRaisedAtOnce(t *testing.T) {
	inWorld(t, &world{monitored: true, denied: true}, func(t *testing.T, c *core) {
		if got := ids(t, c); !slices.Equal(got, []fault.ID{19}) {
			t.Errorf("ledger has %v", got)
		}
		s := c.status()
		if s.Mode != control.NoMode || s.Source.Name != "none" || s.Source.Reason != "fault 19; no fanotify" || s.Source.ReasonJA != "fault 19。no fanotify" || s.Canary != nil {
			t.Errorf("%+v; expected that nothing is monitored because of fault 19", s)
		}
	})
}

func TestChangeIsSeenFaultIsRaisedAfterItsDwellAndSourceClosed(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.denied = true })
		c.note("policy")
		pass(quiet)
		if s := c.status(); s.Source.Name != "none" || !s.Faults[1].Pending {
			t.Errorf("after the change %+v; expected no source and fault 19 pending", s)
		}
		pass(5 * time.Second)
		if got := ids(t, c); !slices.Equal(got, []fault.ID{19}) {
			t.Errorf("after the dwell the ledger has %v", got)
		}
		w.set(func(w *world) { w.denied = false })
		c.note("policy")
		pass(quiet)
		if s := c.status(); s.Source.Name != "ebpf" || s.Canary == nil || !s.Canary.OK || len(s.Raised()) != 1 {
			t.Errorf("after the remedy %+v; expected the source back, a canary, and the fault still counting", s)
		}
		pass(5 * time.Second)
		if got := ids(t, c); len(got) != 0 {
			t.Errorf("after the second dwell the ledger has %v", got)
		}
	})
}

func TestAskedForEvaluationClearsAtOnce(t *testing.T) {
	w := &world{monitored: true, denied: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.denied = false })
		before := w.evaluated()
		a := c.handle(t.Context(), control.Request{Verb: control.Evaluate})
		if a.Code != "" || len(a.Status.Raised()) != 0 || a.Status.Source.Name != "ebpf" || !a.Status.Canary.OK {
			t.Errorf("%+v; expected no fault, and the source open and proved", a)
		}
		if n := w.evaluated() - before; n != 1 {
			t.Errorf("the host was read %d times; expected once, since a canary says nothing of it", n)
		}
		for _, held := range []bool{true, false} { // who has the answer has something to do with it
			w.scanner.locked(func() {
				if w.scanner.held != held {
					t.Errorf("scans held: %t, expected %t", w.scanner.held, held)
				}
			})
			pass(answerWait)
		}
	})
}

// Who waits for the canary of an evaluation does not wait for another one, that a change in between asks for; it comes right after.
func TestChangeWhileSomebodyWaitsIsEvaluatedAfterTheAnswer(t *testing.T) {
	w := &world{monitored: true, denied: true, blind: 1}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.denied = false })
		before := w.evaluated()
		answered := make(chan control.Answer, 1)
		go func() { answered <- c.handle(t.Context(), control.Request{Verb: control.Evaluate}) }()
		synctest.Wait()
		c.note("/etc/passwd")
		pass(canaryPatience - time.Millisecond)
		if n := w.evaluated() - before; n != 1 || len(answered) != 0 {
			t.Errorf("while the canary is awaited: the host was read %d times, answers %d; expected once, and none", n, len(answered))
		}
		pass(time.Millisecond)
		if n := w.evaluated() - before; n != 2 || len(answered) != 1 {
			t.Errorf("after it: the host was read %d times, answers %d; expected twice, and one", n, len(answered))
		}
	})
}

func TestUnknownKeepsAFaultRaised(t *testing.T) {
	w := &world{denied: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.unknown = true })
		a := c.handle(t.Context(), control.Request{Verb: control.Evaluate})
		if r := a.Status.Raised(); len(r) != 1 || r[0].Doubt.EN != "access cannot be read" {
			t.Errorf("%+v; expected fault 19 with the reason of doubt", r)
		}
	})
}

func TestPolicyThatTurnsMonitoringOffClosesTheSource(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.monitored = false })
		pass(evaluationPeriod)
		if s := c.status(); s.Source.Name != "none" || !strings.Contains(s.Source.Reason, "switches of the policy are off") || !w.source(0).isClosed() {
			t.Errorf("%+v", s)
		}
		if l := c.status().Source.Loss; l.Handled != canaryEvents || l.Lost != 1 {
			t.Errorf("the counts of the closed source are gone: %+v", l)
		}
	})
}

func TestManyChangesAreOneEvaluation(t *testing.T) {
	w := &world{}
	inWorld(t, w, func(t *testing.T, c *core) {
		before := w.evaluated()
		for range 10 {
			c.note("/etc/passwd")
			pass(quiet / 2)
		}
		if got := w.evaluated(); got != before {
			t.Errorf("%d evaluations while changes went on", got-before)
		}
		pass(quiet)
		if got := w.evaluated(); got != before+1 {
			t.Errorf("%d evaluations afterwards, expected 1", got-before)
		}
		for range 30 {
			c.note("/etc/passwd")
			pass(quiet / 2)
		}
		if got := w.evaluated(); got < before+3 {
			t.Errorf("changes that do not end kept the evaluation away: %d", got-before-1)
		}
	})
}

func TestRefusedSourceIsTriedAgain(t *testing.T) {
	w := &world{monitored: true, openErr: errRefused}
	inWorld(t, w, func(t *testing.T, c *core) {
		if s := c.status(); s.Mode != control.NoMode || s.Source.Name != "none" || s.Source.Error != errRefused.Error()+"\n"+errNoFallback.Error() {
			t.Errorf("%+v; expected no source and the kernel's error", s.Source)
		}
		w.set(func(w *world) { w.openErr = nil })
		pass(evaluationPeriod)
		if s := c.status(); s.Mode != control.Normal || s.Source.Error != "" {
			t.Errorf("a minute later %+v", s.Source)
		}
	})
}

// The degraded source stands in for one that cannot be opened, goes on while that is tried again, and makes way for it.
func TestDegradedSourceStandsIn(t *testing.T) {
	w := &world{monitored: true, openErr: errRefused, fallback: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		if s := c.status(); s.Mode != control.Degraded || s.Source.Name != "degraded" || s.Source.Error != errRefused.Error() || !s.Canary.OK {
			t.Errorf("%+v, mode %s; expected the degraded source and the kernel's error", s.Source, s.Mode)
		}
		pass(evaluationPeriod)
		if w.openings() != 1 || w.source(0).isClosed() {
			t.Errorf("%d opened; expected that the degraded source goes on", w.openings())
		}
		w.set(func(w *world) { w.openErr = nil })
		pass(evaluationPeriod)
		if s := c.status(); s.Mode != control.Normal || s.Source.Name != "ebpf" || s.Source.Error != "" || !w.source(0).isClosed() {
			t.Errorf("%+v, mode %s; expected that the full source took over", s.Source, s.Mode)
		}
	})
}

// Fault 19 reduces and does not blind; once it is gone the full source comes back by itself.
func TestFaultReducesToTheDegradedSource(t *testing.T) {
	w := &world{monitored: true, fallback: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.denied = true })
		pass(evaluationPeriod)
		if s := c.status(); s.Mode != control.Degraded || s.Source.Reason != "fault 19" {
			t.Errorf("%+v, mode %s", s.Source, s.Mode)
		}
		w.set(func(w *world) { w.denied = false })
		pass(evaluationPeriod)
		if s := c.status(); s.Mode != control.Normal || w.openings() != 3 {
			t.Errorf("%+v, mode %s, %d opened", s.Source, s.Mode, w.openings())
		}
	})
}

func TestSourceThatFailsIsOpenedAnew(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.source(0).fail <- errors.New("ring closed")
		synctest.Wait()
		if s := c.status(); s.Mode != control.NoMode || s.Source.Error != "ring closed" {
			t.Errorf("%+v", s.Source)
		}
		pass(evaluationPeriod)
		if s := c.status(); s.Mode != control.Normal || w.openings() != 2 {
			t.Errorf("%+v, %d opened", s.Source, w.openings())
		}
	})
}

// One that has lasted is opened anew at once, and one that ends again and again no more often than the host is looked at.
func TestSourceThatFailsLateIsOpenedAnewAtOnce(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(evaluationPeriod + evaluationPeriod/4)
		w.source(0).fail <- errors.New("ring closed")
		pass(quiet)
		if s := c.status(); s.Mode != control.Normal || w.openings() != 2 {
			t.Fatalf("%+v, %d opened; expected that it is open again", s.Source, w.openings())
		}
		w.source(1).fail <- errors.New("ring closed")
		pass(evaluationPeriod / 4)
		if s := c.status(); s.Mode != control.NoMode || w.openings() != 2 {
			t.Errorf("%+v, %d opened; expected that the periodic evaluation is awaited", s.Source, w.openings())
		}
		pass(evaluationPeriod)
		if s := c.status(); s.Mode != control.Normal || w.openings() != 3 {
			t.Errorf("%+v, %d opened; expected that it is open again", s.Source, w.openings())
		}
	})
}

// Where a blind source cannot be opened anew, it is judged at once that nothing is monitored, and whoever waits for the canary has an answer.
func TestBlindSourceThatCannotBeOpenedAnew(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.blind = 1 })
		w.source(0).fail <- errors.New("ring closed")
		pass(evaluationPeriod)
		w.set(func(w *world) { w.openErr = errRefused })
		answered := make(chan control.Answer, 1)
		go func() { answered <- c.ask(t.Context(), control.Evaluate) }()
		pass(canaryPatience + time.Second)
		if m := read(w, func(w *world) health.Monitoring { return w.judged }); m.Source != monitor.NoSource || !strings.Contains(m.Error, errRefused.Error()) {
			t.Errorf("judged as %+v; expected that nothing is monitored, and why", m)
		}
		select {
		case <-answered:
		default:
			t.Error("whoever waited for the canary has no answer")
		}
	})
}

func TestBlindSourceIsOpenedAnewOnceAndSaidToBeBlind(t *testing.T) {
	w := &world{monitored: true, blind: 3}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(canaryPatience)
		if s := c.status(); w.openings() != 2 || s.Mode != control.NoMode || s.Canary == nil || s.Canary.OK {
			t.Errorf("after the first: %d opened, %+v; expected a second source and no trust in it", w.openings(), s.Canary)
		}
		pass(canaryPatience)
		if s := c.status(); w.openings() != 2 || s.Mode != control.NoMode || s.Canary.OK || !strings.Contains(s.Canary.Detail, "no event came within 5s of: exec") {
			t.Errorf("after the second: %d opened, %+v", w.openings(), s.Canary)
		}
		pass(canaryPeriod + canaryPatience)
		pass(canaryPatience)
		if w.openings() != 3 {
			t.Errorf("by the clock: %d opened, expected one more", w.openings())
		}
		pass(canaryPeriod + canaryPatience)
		if s := c.status(); w.openings() != 4 || !s.Canary.OK || s.Mode != control.Normal {
			t.Errorf("in the end: %d opened, %+v", w.openings(), s.Canary)
		}
	})
}

func TestCanaryIsSentByTheClock(t *testing.T) {
	w := &world{monitored: true}
	inWorld(t, w, func(t *testing.T, c *core) {
		first := c.status().Canary.Time
		pass(canaryPeriod)
		if again := c.status().Canary.Time; !again.After(first) || w.events() != 2*canaryEvents {
			t.Errorf("canary at %v and %v, %d events", first, again, w.events())
		}
		// Whoever waits for a canary does not wait until the source finds it worth while to read.
		if looks := w.source(0).looks.Load(); looks != 2 {
			t.Errorf("the source was asked %d times to read what has come, expected once for each canary", looks)
		}
	})
}

func TestEventLogThatCannotBeOpenedIsSaidAndTriedAgain(t *testing.T) {
	w := &world{monitored: true, logErr: errRefused}
	inWorld(t, w, func(t *testing.T, c *core) {
		if s := c.status(); s.Log.Dropped != canaryEvents || s.Log.Error != errRefused.Error() || s.Mode != control.Normal {
			t.Errorf("%+v", s.Log)
		}
		if s := c.status().Detections; s.Error != errRefused.Error() || s.File != c.DetectionLog {
			t.Errorf("detections: %+v", s)
		}
		w.set(func(w *world) { w.logErr = nil })
		pass(canaryPeriod)
		if s := c.status(); s.Log.Dropped != canaryEvents || s.Log.Error != "" || w.events() != canaryEvents {
			t.Errorf("%+v, %d in the log", s.Log, w.events())
		}
	})
}

// A full disk is said once when it begins and once when it has ended, and each status says it meanwhile.
func TestEventLogThatCannotBeWrittenIsSaid(t *testing.T) {
	var said strings.Builder
	w := &world{monitored: true}
	config := func() Config {
		config := w.config(t)
		config.Log = slog.New(slog.NewTextHandler(&said, nil))
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.writeErr = syscall.ENOSPC })
		pass(2 * evaluationPeriod)
		for range 2 {
			if s := c.status(); s.Log.Error != syscall.ENOSPC.Error() {
				t.Errorf("%+v", s.Log)
			}
		}
		w.set(func(w *world) { w.writeErr = nil })
		pass(2 * evaluationPeriod)
		if s := c.status(); s.Log.Error != "" {
			t.Errorf("%+v", s.Log)
		}
	})
	for _, text := range []string{"the event log cannot be written", "the event log can be written again"} {
		if n := strings.Count(said.String(), text); n != 1 {
			t.Errorf("%q is said %d times, expected once:\n%s", text, n, &said)
		}
	}
}

func TestReloadOpensTheLogAndTellsTheServiceManager(t *testing.T) {
	w := &world{}
	var reload chan struct{}
	reopened := 0
	config := func() Config {
		config := w.config(t)
		reload = make(chan struct{})
		config.Reload, config.Reopen = reload, func() error { reopened++; return nil }
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		before := w.evaluated()
		reload <- struct{}{}
		synctest.Wait()
		a := c.handle(t.Context(), control.Request{Verb: control.Reload})
		if a.Code != "" || reopened != 2 || w.evaluated() != before+2 {
			t.Errorf("%+v, reopened %d, evaluated %d", a, reopened, w.evaluated()-before)
		}
		if n := strings.Count(strings.Join(w.told, "\n"), "RELOADING=1\nMONOTONIC_USEC="); n != 2 {
			t.Errorf("told %q", w.told)
		}
	})
}

func TestWatchdogHearsOfTheLoop(t *testing.T) {
	w := &world{}
	config := func() Config {
		config := w.config(t)
		config.Watchdog = 10 * time.Second
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		pass(30 * time.Second)
		n := 0
		for _, s := range w.said() {
			if s == notifyWatchdog {
				n++
			}
		}
		if n != 7 {
			t.Errorf("%d beats in 30 s, expected one at the start and one every 5 s", n)
		}
	})
}

// A host that is slow, as while it boots, takes its time for the facts: the daemon is not to be ended for that.
func TestWatchdogHearsOfALongEvaluation(t *testing.T) {
	w := &world{}
	long := false
	config := func() Config {
		config := w.config(t)
		config.Watchdog = 10 * time.Second
		gather := config.Gather
		config.Gather = func(ctx context.Context) *health.Facts {
			if long {
				time.Sleep(25 * time.Second)
			}
			return gather(ctx)
		}
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		long = true
		c.note("x")
		pass(quiet)
		before := len(w.said())
		pass(24 * time.Second)
		n := 0
		for _, s := range w.said()[before:] {
			if s == notifyWatchdog {
				n++
			}
		}
		if n != 4 {
			t.Errorf("%d beats in 24 s of an evaluation, expected one every 5 s", n)
		}
	})
}

// Nor for a source that is opened anew since no canary came through it.
func TestWatchdogHearsOfALongOpening(t *testing.T) {
	w := &world{monitored: true, blind: 1}
	w.opening = func() {
		if w.openings() > 0 {
			time.Sleep(25 * time.Second)
		}
	}
	config := func() Config {
		config := w.config(t)
		config.Watchdog = 10 * time.Second
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		pass(canaryPatience)
		before := len(w.said())
		pass(24 * time.Second)
		if n := len(w.said()) - before; w.openings() != 1 || n != 4 {
			t.Errorf("%d sources opened, %d beats in 24 s of opening another, expected one every 5 s", w.openings(), n)
		}
		pass(time.Second)
	})
}

func TestStatusIsAnsweredWhileAnEvaluationHangs(t *testing.T) {
	w := &world{}
	hang := false
	config := func() Config {
		config := w.config(t)
		gather := config.Gather
		config.Gather = func(ctx context.Context) *health.Facts {
			if hang {
				<-ctx.Done()
			}
			return gather(ctx)
		}
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		hang = true
		c.note("x")
		pass(quiet + time.Second)
		if s := c.status(); !s.Running {
			t.Error("no status")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a := c.handle(ctx, control.Request{Verb: control.Evaluate}); a.Code != control.Incomplete {
			t.Errorf("%+v, expected an answer that it is not done", a)
		}
	})
}
