package supervise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/scan"
)

// in runs a test of a supervisor of fakes on a clock of its own. A goroutine that is left behind fails it.
func in(t *testing.T, change func(*Config, *house), test func(*testing.T, *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, change).run()
		defer h.stop()
		synctest.Wait()
		test(t, h)
	})
}

func wantResult(t *testing.T, got map[string]outcome, name string, want scan.Result) {
	t.Helper()
	o, ok := got[name]
	if !ok || o.err != nil || o.answer.Result != want || (want == scan.Infected) != (o.answer.Name != "") {
		t.Errorf("%s: %+v, expected %s", name, o, want)
	}
}

func TestScansAreAnswered(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		names := []string{"clean", "infected", "failed"}
		for i := range 20 {
			names = append(names, fmt.Sprint("clean-", i))
		}
		got := h.all(names...)
		for _, name := range names {
			want := scan.Clean
			switch name {
			case "infected":
				want = scan.Infected
			case "failed":
				want = scan.Failed
			}
			wantResult(t, got, name, want)
		}
		if h.last().mostInFlight() != 3 {
			t.Errorf("%d in flight, expected 3", h.last().mostInFlight())
		}
		st := h.sup.State()
		want := control.Scan{
			State: control.ScanReady, Detail: "ready", Since: st.Since, Last: st.Last, PID: 100, User: "cisco-amp-scan-svc", UID: 995, GID: 993,
			Sandbox: []string{"user", "capabilities", "network", "system-calls"}, Workers: 3, MemoryBytes: 2560 * 4096, MemoryLimit: 2 << 30,
			Engine: "1.4.3", Definitions: "1", Signatures: 5, Scanned: 23, Found: 1, Failures: 1, Limits: Limits,
		}
		if !reflect.DeepEqual(st, want) || st.Last.IsZero() {
			t.Errorf("state %+v\nexpected %+v", st, want)
		}
		if got["clean"].answer.Epoch.Definitions != "1" || got["clean"].answer.Epoch.Engine != "1.4.3" {
			t.Errorf("%+v", got["clean"].answer)
		}
	})
}

func TestAServiceMayDoFewerSideBySide(t *testing.T) {
	in(t, func(_ *Config, h *house) {
		h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
			r, err := ready(ctx, o)
			r.Workers = 1
			return r, err
		}
	}, func(t *testing.T, h *house) {
		h.all("clean-1", "clean-2", "clean-3")
		if h.last().mostInFlight() != 1 {
			t.Errorf("%d in flight", h.last().mostInFlight())
		}
	})
}

// What events bring goes before what a person asked for, which is not kept waiting for ever by that.
func TestWhatAPersonAsksForGoesLast(t *testing.T) {
	in(t, func(c *Config, _ *house) { c.Workers = 1 }, func(t *testing.T, h *house) {
		var wg sync.WaitGroup
		scan := func(name string, impatient bool) {
			wg.Go(func() {
				j := h.job(name)
				defer j.File.Close()
				j.Impatient = impatient
				if _, err := h.sup.Scan(context.Background(), j); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		scan("demand-first", true)
		scan("demand-second", true)
		want := []string{"demand-first"}
		for i := range patience + 3 {
			scan(fmt.Sprint("event-", i), false)
			if i == patience {
				want = append(want, "demand-second")
			}
			want = append(want, fmt.Sprint("event-", i))
		}
		wg.Wait()
		if got := h.last().scanned; !slices.Equal(got, want) {
			t.Errorf("scanned %q\nexpected %q", got, want)
		}
	})
}

// Of several files that were in flight at an end, only the one that brings it about alone is set aside.
func TestOnlyThePoisonousFileIsBlamed(t *testing.T) {
	for _, poison := range []string{"crash", "hang", "unknown", "garbage", "named", "nameless", "zero", "twice"} {
		t.Run(poison, func(t *testing.T) {
			in(t, nil, func(t *testing.T, h *house) {
				begin := time.Now()
				got := h.all(poison, "clean-1", "clean-2", "clean-3", "clean-4", "infected")
				for i := range 4 {
					wantResult(t, got, fmt.Sprint("clean-", i+1), scan.Clean)
				}
				wantResult(t, got, "infected", scan.Infected)
				ends := 2
				if poison == "twice" { // the first of the two counts, and was whole
					wantResult(t, got, poison, scan.Clean)
					ends = 1
				} else if !errors.Is(got[poison].err, ErrSetAside) {
					t.Errorf("%+v", got[poison])
				}
				if len(h.beside(poison)) != 0 && poison != "twice" {
					t.Errorf("its second scan was beside %v", h.beside(poison))
				}
				synctest.Wait()
				st := h.sup.State()
				if len(st.Ends) != ends {
					t.Fatalf("ends %+v", st.Ends)
				}
				for i, e := range st.Ends {
					signal := "SIGKILL"
					if poison == "crash" {
						signal = "SIGSEGV"
					}
					if e.PID != 100+i || e.Signal != signal || e.Hung != (poison == "hang") {
						t.Errorf("end %+v", e)
					}
				}
				if poison != "twice" {
					if !slices.Contains(st.Ends[0].Files, "/"+poison) || !reflect.DeepEqual(st.Ends[1].Files, []string{"/" + poison}) {
						t.Errorf("files %v, %v", st.Ends[0].Files, st.Ends[1].Files)
					}
					if !reflect.DeepEqual(st.SetAside, []string{"/" + poison}) {
						t.Errorf("set aside %v", st.SetAside)
					}
					n := h.count()
					if _, err := h.scan(context.Background(), poison); !errors.Is(err, ErrSetAside) || h.count() > n+1 {
						t.Errorf("again: %v", err)
					}
				}
				if took := time.Since(begin); poison != "hang" && took > 2*time.Second || took > 2*time.Minute+2*time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func TestWhatWasSetAsideIsScannedAfterAChange(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		h.all("crash")
		h.set(func() {
			h.version = "2"
			h.behave = func(*fake, string, string) string { return "clean" }
		})
		if _, err := h.sup.Switch(context.Background()); err != nil {
			t.Fatal(err)
		}
		if a, err := h.scan(context.Background(), "crash"); err != nil || a.Result != scan.Clean || a.Epoch.Definitions != "2" {
			t.Errorf("%+v %v", a, err)
		}
	})
}

func TestWhatWasAnsweredBeforeTheEndCounts(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		got := h.all("answercrash")
		wantResult(t, got, "answercrash", scan.Clean)
		synctest.Wait()
		if st := h.sup.State(); len(st.Ends) != 1 || len(st.Ends[0].Files) != 0 || st.State != control.ScanWaiting || st.PID != 0 {
			t.Errorf("state %+v", st)
		}
		wantResult(t, h.all("clean"), "clean", scan.Clean)
	})
}

// An end that nothing was in flight at is nobody's fault, nor is it when a file comes just then.
func TestNobodyIsBlamedForAnEndInPeace(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		for range 5 {
			h.last().end(Exit{Status: 3})
			got := h.all("clean-1", "clean-2")
			wantResult(t, got, "clean-1", scan.Clean)
			wantResult(t, got, "clean-2", scan.Clean)
		}
		st := h.sup.State()
		if len(st.Ends) != 5 || st.Ends[0].Status != 3 || st.Ends[0].Signal != "" || len(st.Ends[4].Files) != 0 || len(st.SetAside) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestEndAtTheMemoryLimit(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		h.last().end(Exit{Signal: syscall.SIGKILL, Memory: 2736 << 20})
		synctest.Wait()
		if st := h.sup.State(); len(st.Ends) != 1 || st.Ends[0].MemoryLimit != 2736<<20 || !strings.Contains(st.Detail, "by SIGKILL, at its memory limit of 2736 MiB") {
			t.Errorf("%+v", st)
		}
	})
}

func TestPausesGrowAndAreForgotten(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		pause := func() time.Duration {
			n, begin := h.count(), time.Now()
			h.last().end(Exit{Signal: syscall.SIGABRT})
			for h.count() == n {
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
			return time.Since(begin).Round(50 * time.Millisecond)
		}
		want := firstEndPause
		for range 12 {
			if got := pause(); got != want {
				t.Errorf("pause %s, expected %s", got, want)
			}
			want = min(2*want, longestEndPause)
		}
		if n := len(h.sup.State().Ends); n != 12 {
			t.Errorf("%d ends", n)
		}
		time.Sleep(time.Duration(Limits.Quiet) * time.Second)
		if n := len(h.sup.State().Ends); n != 0 {
			t.Errorf("%d ends after the window", n)
		}
		if got := pause(); got != firstEndPause {
			t.Errorf("after a quiet time: %s", got)
		}
	})
}

// Whether the service was quiet does not depend on the clock, which somebody may set meanwhile.
func TestTheClockIsSetAfterAnEnd(t *testing.T) {
	quiet := time.Duration(Limits.Quiet) * time.Second
	for name, set := range map[string]time.Duration{"back": -9 * time.Hour, "forward": 9 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(t *testing.T, h *house) {
				crash := func() {
					h.last().end(Exit{Signal: syscall.SIGSEGV})
					time.Sleep(time.Second)
				}
				crash()
				crash()
				h.sup.mu.Lock()
				for i := range h.sup.ends { // as seen from the clock that was set
					h.sup.ends[i].Time = h.sup.ends[i].Time.Add(-set)
				}
				h.sup.mu.Unlock()
				time.Sleep(quiet - 2*time.Second)
				if n := len(h.sup.State().Ends); n != 2 {
					t.Errorf("%d ends before it was quiet for long enough, expected 2", n)
				}
				crash()
				if n := len(h.sup.State().Ends); n != 3 {
					t.Errorf("%d ends after another one, expected 3", n)
				}
				h.sup.mu.Lock()
				newest := &h.sup.ends[len(h.sup.ends)-1]
				newest.Time = newest.Time.Add(-set)
				h.sup.mu.Unlock()
				time.Sleep(quiet)
				if n := len(h.sup.State().Ends); n != 0 {
					t.Errorf("%d ends after it was quiet", n)
				}
				crash()
				if n := len(h.sup.State().Ends); n != 1 {
					t.Errorf("%d ends, expected the one since", n)
				}
			})
		})
	}
}

func TestStartsThatFail(t *testing.T) {
	report := func(r scan.Report) func(context.Context, StartOptions) (scan.Report, error) {
		return func(context.Context, StartOptions) (scan.Report, error) { return r, nil }
	}
	for _, tt := range []struct {
		name                    string
		spoil                   func(*house)
		stage, cause, why, file string
	}{
		{"no program", func(h *house) { h.startErr = errors.New("fork/exec /opt/x: no such file") }, "", control.ScanProgram, "/opt/x", ""},
		{"definitions", func(h *house) {
			h.report = report(scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, Error: "malformed", File: "main.cvd"})
		}, "definitions", control.ScanDefinitions, "malformed", "main.cvd"},
		{"library", func(h *house) { h.report = report(scan.Report{Stage: scan.StageLibrary, Cause: scan.LibraryMissing}) }, "library", control.ScanLibraryMissing, "", ""},
		{"old library", func(h *house) { h.report = report(scan.Report{Stage: scan.StageLibrary, Cause: scan.LibraryUnusable}) }, "library", control.ScanLibraryUnusable, "", ""},
		{"memory", func(h *house) { h.report = report(scan.Report{Stage: scan.StageDefinitions, Cause: scan.MemoryShort}) }, "definitions", control.ScanMemory, "", ""},
		{"rights", func(h *house) { h.report = report(scan.Report{Stage: scan.StageSandbox, Cause: scan.RightsMissing}) }, "sandbox", control.ScanRights, "", ""},
		{"self-test", func(h *house) { h.report = report(scan.Report{Stage: scan.StageSelfTest, Cause: scan.SelfTestFailed}) }, "self-test", control.ScanSelfTest, "", ""},
		{"impossible stage", func(h *house) { h.report = report(scan.Report{Stage: 77}) }, "", control.ScanProgram, "stage 77", ""},
		{"ready, and not", func(h *house) { h.report = report(scan.Report{Stage: scan.StageReady, Cause: scan.MemoryShort}) }, "ready", control.ScanMemory, "", ""},
		{"unreadable report", func(h *house) {
			h.report = func(context.Context, StartOptions) (scan.Report, error) { return scan.Report{}, errors.New("7 bytes") }
		}, "", control.ScanProgram, "7 bytes", ""},
		{"seccomp", func(h *house) { h.exit = &Exit{Signal: syscall.SIGSYS} }, "", control.ScanKilled, "SIGSYS: its seccomp", ""},
		{"crash", func(h *house) { h.exit = &Exit{Signal: syscall.SIGSEGV} }, "", control.ScanKilled, "SIGSEGV", ""},
		{"memory limit", func(h *house) { h.exit = &Exit{Signal: syscall.SIGKILL, Memory: 2736 << 20} }, "", control.ScanMemory, "its memory limit of 2736 MiB, and the kernel ended it", ""},
		{"memory of its runtime", func(h *house) { h.exit = &Exit{Status: 2, Short: "memory was refused"} }, "", control.ScanMemory, "it ended with status 2, since memory was refused", ""},
		{"stack of its threads", func(h *house) { h.exit = &Exit{Signal: syscall.SIGABRT, Short: "a thread was refused"} }, "", control.ScanMemory, "by SIGABRT, since a thread", ""},
		{"killed", func(h *house) { h.exit = &Exit{Signal: syscall.SIGKILL} }, "", control.ScanKilled, "SIGKILL: memory ran out, or somebody", ""},
		{"status", func(h *house) { h.exit = &Exit{Status: 127} }, "", control.ScanProgram, "status 127", ""},
		{"hangs", func(h *house) {
			h.report = func(ctx context.Context, _ StartOptions) (scan.Report, error) {
				<-ctx.Done()
				return scan.Report{}, ctx.Err()
			}
		}, "", control.ScanHung, "5m0s", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(_ *Config, h *house) { tt.spoil(h) }, func(t *testing.T, h *house) {
				for h.sup.State().State == control.ScanStarting {
					time.Sleep(100 * time.Millisecond)
				}
				st := h.sup.State()
				if st.State != control.ScanFailed || st.Stage != tt.stage || st.Cause != tt.cause || !strings.Contains(st.Error, tt.why) || st.File != tt.file || len(st.Ends) != 0 {
					t.Errorf("state %+v", st)
				}
				impatient := h.job("clean")
				defer impatient.File.Close()
				impatient.Impatient = true
				if _, err := h.sup.Scan(context.Background(), impatient); !errors.Is(err, ErrUnavailable) {
					t.Errorf("impatient: %v", err)
				}
				patient := make(chan error)
				go func() {
					_, err := h.scan(context.Background(), "clean")
					patient <- err
				}()
				h.set(func() { h.startErr, h.exit, h.report = nil, nil, ready })
				h.sup.Restart()
				if err := <-patient; err != nil {
					t.Error(err)
				}
				if st := h.sup.State(); st.State != control.ScanReady || st.Cause != "" || st.Error != "" {
					t.Errorf("mended: %+v", st)
				}
			})
		})
	}
}

func TestStartsAreTriedAgainWithPauses(t *testing.T) {
	var mu sync.Mutex
	tries, last := []time.Duration{}, time.Time{}
	sinceLast := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Since(last)
	}
	in(t, func(c *Config, h *house) {
		start := c.Start
		c.Start = func(ctx context.Context, o StartOptions) (Service, error) {
			mu.Lock()
			defer mu.Unlock()
			if !last.IsZero() {
				tries = append(tries, time.Since(last))
			}
			last = time.Now()
			return start(ctx, o)
		}
		h.startErr = errors.New("no")
	}, func(t *testing.T, h *house) {
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		const s = time.Second
		want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}
		mu.Lock()
		if !slices.Equal(tries, want) {
			t.Errorf("tried after %v", tries)
		}
		mu.Unlock()
		h.sup.Restart()
		synctest.Wait()
		if sinceLast() != 0 {
			t.Error("not tried at once when asked to")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if sinceLast() != 0 {
			t.Error("the pauses did not begin anew")
		}
	})
}

func TestSwitchWithoutAPause(t *testing.T) {
	in(t, func(_ *Config, h *house) {
		h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
			time.Sleep(30 * time.Second) // loading
			return ready(ctx, o)
		}
	}, func(t *testing.T, h *house) {
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		epochs := map[string]bool{}
		var slowest time.Duration
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				begin := time.Now()
				a, err := h.scan(context.Background(), "clean")
				if err != nil || a.Result != scan.Clean {
					t.Errorf("%+v %v", a, err)
				}
				epochs[a.Epoch.Definitions] = true
				slowest = max(slowest, time.Since(begin))
			}
		})
		h.set(func() { h.version = "2" })
		old := h.last()
		sw, err := h.sup.Switch(context.Background())
		if err != nil || sw.MadeRoom || sw.Pause != 0 {
			t.Errorf("%+v %v", sw, err)
		}
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		if !epochs["1"] || !epochs["2"] || slowest > took {
			t.Errorf("epochs %v, slowest %s", epochs, slowest)
		}
		<-old.dead
		st := h.sup.State()
		if len(st.Ends) != 0 || st.Definitions != "2" || st.PID != h.last().pid || st.State != control.ScanReady {
			t.Errorf("%+v", st)
		}
	})
}

func TestTheOldServiceFinishesWhatItHas(t *testing.T) {
	in(t, func(_ *Config, h *house) { h.took = 20 * time.Second }, func(t *testing.T, h *house) {
		var a Answer
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { a, err = h.scan(context.Background(), "clean") })
		synctest.Wait()
		old := h.last()
		h.set(func() { h.version = "2" })
		if _, err := h.sup.Switch(context.Background()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-old.dead:
			t.Error("ended with a scan in flight")
		default:
		}
		wg.Wait()
		if err != nil || a.Epoch.Definitions != "1" {
			t.Errorf("%+v %v", a, err)
		}
		<-old.dead
	})
}

func badDefinitions(_ context.Context, o StartOptions) (scan.Report, error) {
	if o.Definitions.Version == "bad" {
		return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, Error: "malformed", File: "x.hdb"}, nil
	}
	return ready(context.Background(), o)
}

func TestASwitchThatFailsLeavesTheOldService(t *testing.T) {
	for _, room := range []bool{true, false} {
		t.Run(fmt.Sprint("room ", room), func(t *testing.T) {
			in(t, func(c *Config, h *house) {
				h.report = badDefinitions
				c.Available = func() uint64 {
					if room {
						return 1 << 40
					}
					return 2560 * 4096 // as much as the service has
				}
			}, func(t *testing.T, h *house) {
				h.set(func() { h.version = "bad" })
				sw, err := h.sup.Switch(context.Background())
				var failure *StartError
				if !errors.As(err, &failure) || failure.File != "x.hdb" || failure.Cause != control.ScanDefinitions || sw.MadeRoom == room {
					t.Errorf("%+v %v", sw, err)
				}
				st := h.sup.State()
				if st.State != control.ScanReady || st.Definitions != "1" || st.Cause != "" || len(st.Ends) != 0 || (st.PID == 100) != room {
					t.Errorf("%+v", st)
				}
				wantResult(t, h.all("clean"), "clean", scan.Clean)
			})
		})
	}
}

func TestASwitchMakesRoomWhereMemoryIsShort(t *testing.T) {
	var hint uint64
	in(t, func(c *Config, h *house) {
		c.Available = func() uint64 { return 100 << 20 }
		c.EngineMemory = func() uint64 { return hint }
		h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
			for _, f := range h.before() {
				select {
				case <-f.dead:
				default:
					t.Error("two services at once")
				}
			}
			time.Sleep(20 * time.Second)
			return ready(ctx, o)
		}
		h.took = 5 * time.Second
	}, func(t *testing.T, h *house) {
		time.Sleep(time.Minute)
		hint = 90 << 20 // 108 MB with a fifth to spare
		h.set(func() { h.version = "2" })
		var wg sync.WaitGroup
		wg.Go(func() {
			got := h.all("clean-1", "clean-2", "clean-3", "clean-4", "clean-5")
			for name := range got {
				wantResult(t, got, name, scan.Clean)
			}
		})
		synctest.Wait()
		sw, err := h.sup.Switch(context.Background())
		if err != nil || !sw.MadeRoom || sw.Pause != 25*time.Second {
			t.Errorf("%+v %v", sw, err)
		}
		wg.Wait()
		if st := h.sup.State(); len(st.Ends) != 0 || st.Definitions != "2" {
			t.Errorf("%+v", st)
		}
	})
}

func TestTheOldServiceMayEndDuringASwitch(t *testing.T) {
	in(t, func(_ *Config, h *house) {
		h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
			time.Sleep(20 * time.Second)
			return badDefinitions(ctx, o)
		}
	}, func(t *testing.T, h *house) {
		time.Sleep(time.Minute)
		for i, version := range []string{"2", "bad"} {
			h.set(func() { h.version = version })
			old := h.last()
			go func() {
				time.Sleep(5 * time.Second)
				old.end(Exit{Signal: syscall.SIGSEGV})
			}()
			_, err := h.sup.Switch(context.Background())
			if (err != nil) != (version == "bad") {
				t.Errorf("%s: %v", version, err)
			}
			if h.count() != i+2 {
				t.Errorf("%s: %d services were started", version, h.count())
			}
			if version == "bad" {
				if st := h.sup.State(); st.State != control.ScanFailed || st.File != "x.hdb" {
					t.Errorf("%+v", st)
				}
				h.set(func() { h.version = "1" }) // as whoever owns the definitions does
			}
			wantResult(t, h.all("clean"), "clean", scan.Clean)
		}
		if n := len(h.sup.State().Ends); n != 2 {
			t.Errorf("%d ends", n)
		}
	})
}

func TestTheUserChangesWithoutARestart(t *testing.T) {
	in(t, func(c *Config, h *house) {
		c.Deadline = time.Hour // no other timer helps
		h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
			if !o.AsRoot && h.count() == 3 {
				return scan.Report{Stage: scan.StageSandbox, Cause: scan.RightsMissing, Error: "setuid"}, nil
			}
			return ready(ctx, o)
		}
	}, func(t *testing.T, h *house) {
		h.sup.SetAsRoot(true, errors.New("there is no user cisco-amp-scan-svc"))
		synctest.Wait()
		st := h.sup.State()
		if !st.AsRoot || st.UserError == "" || st.PID != 101 || st.Detail != "ready, as root" || !h.last().options.AsRoot {
			t.Errorf("%+v", st)
		}
		h.sup.SetAsRoot(false, nil) // the first one fails
		synctest.Wait()
		if st := h.sup.State(); !st.AsRoot || st.PID != 101 || st.UserError != "" {
			t.Errorf("%+v", st)
		}
		wantResult(t, h.all("clean"), "clean", scan.Clean)
		time.Sleep(longestStartPause)
		synctest.Wait()
		if st := h.sup.State(); st.AsRoot || st.PID != 103 || len(st.Ends) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// The account is back before the service without it has come up: that one is on its way all the same.
func TestAServiceOfAnotherUserOnItsWay(t *testing.T) {
	in(t, func(c *Config, h *house) {
		h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
			if o.AsRoot {
				time.Sleep(time.Second)
			}
			return ready(ctx, o)
		}
	}, func(t *testing.T, h *house) {
		other := func(want bool, when string) {
			t.Helper()
			synctest.Wait()
			if got := h.sup.StartsOther(); got != want {
				t.Errorf("%s: %v, expected %v", when, got, want)
			}
		}
		other(false, "at rest")
		h.sup.SetAsRoot(true, errors.New("no user"))
		other(false, "the one that is asked for")
		h.sup.SetAsRoot(false, nil)
		other(true, "the one that was asked for")
		if st := h.sup.State(); st.AsRoot {
			t.Errorf("%+v; expected the one before, as yet", st)
		}
		time.Sleep(2 * time.Second)
		other(false, "afterwards")
		if st := h.sup.State(); st.AsRoot {
			t.Errorf("%+v", st)
		}
	})
}

func TestTheEndOfScanning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil).run()
		errs := make(chan error, 10)
		for i := range cap(errs) {
			go func() {
				_, err := h.scan(context.Background(), fmt.Sprint("hang-", i))
				errs <- err
			}()
		}
		time.Sleep(time.Second)
		h.stop()
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
		}
		if _, err := h.scan(context.Background(), "clean"); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		if _, err := h.sup.Switch(context.Background()); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		if st := h.sup.State(); len(st.Ends) != 0 || len(st.SetAside) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestTheEndComesWhileAServiceStarts(t *testing.T) {
	for _, room := range []uint64{0, 1 << 40} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, func(c *Config, h *house) {
				c.Available = func() uint64 { return room }
				h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
					if h.count() > 1 {
						<-ctx.Done()
						return scan.Report{}, ctx.Err()
					}
					return ready(ctx, o)
				}
			}).run()
			synctest.Wait()
			over := make(chan error)
			go func() {
				_, err := h.sup.Switch(context.Background())
				over <- err
			}()
			time.Sleep(time.Second)
			h.stop()
			if err := <-over; err == nil {
				t.Error("a switch that was cut off is told as done")
			}
		})
	}
}

func TestWhoeverWaitsMayGiveUp(t *testing.T) {
	in(t, func(_ *Config, h *house) { h.took = 10 * time.Second }, func(t *testing.T, h *house) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := h.scan(ctx, "clean"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(20 * time.Second) // the answer comes, and is no rubbish
		synctest.Wait()
		if st := h.sup.State(); len(st.Ends) != 0 || st.Scanned != 1 {
			t.Errorf("%+v", st)
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := h.scan(ctx, "crash"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(20 * time.Second)
		// It is a suspect now: nothing is in flight beside it, and the second end sets it aside.
		got := h.all("crash", "clean-1", "clean-2", "clean-3", "clean-4")
		if !errors.Is(got["crash"].err, ErrSetAside) || len(h.beside("crash")) != 0 {
			t.Errorf("%+v, beside %v", got["crash"], h.beside("crash"))
		}
		for i := range 4 {
			wantResult(t, got, fmt.Sprint("clean-", i+1), scan.Clean)
		}
		if n := len(h.sup.State().Ends); n != 2 {
			t.Errorf("%d ends", n)
		}
	})
}

func TestAFileThatCannotBeSentIsItsOwnFailure(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		j := h.job("clean")
		j.File.Close()
		if _, err := h.sup.Scan(context.Background(), j); err == nil {
			t.Error("a closed file is scanned")
		}
		wantResult(t, h.all("clean"), "clean", scan.Clean)
		if st := h.sup.State(); len(st.Ends) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestChangesAreTold(t *testing.T) {
	var mu sync.Mutex
	told := 0
	var h *house
	var states []control.ScanState
	in(t, func(c *Config, hh *house) {
		h = hh
		c.OnChange = func() {
			st := h.sup.State() // may be asked from within
			mu.Lock()
			defer mu.Unlock()
			told++
			states = append(states, st.State)
		}
	}, func(t *testing.T, h *house) {
		h.all("crash")
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(states, control.ScanReady) || !slices.Contains(states, control.ScanWaiting) || told > 10 {
			t.Errorf("told %d times: %v", told, states)
		}
	})
}

func TestASuspectWaitsForAllThatFlies(t *testing.T) {
	in(t, func(_ *Config, h *house) { h.took = 20 * time.Second }, func(t *testing.T, h *house) {
		var slow sync.WaitGroup
		slow.Go(func() { wantResult(t, h.all("clean-slow"), "clean-slow", scan.Clean) })
		synctest.Wait()
		h.set(func() { h.version, h.took = "2", time.Second })
		if _, err := h.sup.Switch(context.Background()); err != nil { // the old service keeps the slow one
			t.Fatal(err)
		}
		h.set(func() {
			h.behave = func(_ *fake, name, behaviour string) string {
				if name == "crash" && h.count() > 2 {
					if at := h.sup.State().Scanned; at != 1 {
						t.Error("a suspect is scanned while another file is")
					}
				}
				return behaviour
			}
		})
		if got := h.all("crash"); !errors.Is(got["crash"].err, ErrSetAside) {
			t.Errorf("%+v", got)
		}
		slow.Wait()
	})
}

func TestAKnownSuspectDoesNotJoinOthers(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		ctx, cancel := context.WithTimeout(context.Background(), took/2)
		defer cancel()
		h.scan(ctx, "crash")
		time.Sleep(time.Second)
		var others sync.WaitGroup
		others.Go(func() { wantResult(t, h.all("clean-1"), "clean-1", scan.Clean) })
		synctest.Wait()
		if _, err := h.scan(context.Background(), "crash"); !errors.Is(err, ErrSetAside) || len(h.beside("crash")) != 0 {
			t.Errorf("%v, beside %v", err, h.beside("crash"))
		}
		others.Wait()
		if st := h.sup.State(); len(st.Ends) != 2 {
			t.Errorf("%+v", st.Ends)
		}
	})
}

// A suspect that nobody waits for any more when its turn comes is one all the same.
func TestASuspectThatIsGivenUpIsRemembered(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		ctx, cancel := context.WithTimeout(context.Background(), took+firstEndPause/2)
		defer cancel()
		if _, err := h.scan(ctx, "crash"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		var others sync.WaitGroup
		time.Sleep(time.Second)
		others.Go(func() { h.all("clean-1") })
		synctest.Wait()
		if _, err := h.scan(context.Background(), "crash"); !errors.Is(err, ErrSetAside) || len(h.beside("crash")) != 0 {
			t.Errorf("%v, beside %v", err, h.beside("crash"))
		}
		others.Wait()
		if n := len(h.sup.State().Ends); n != 2 {
			t.Errorf("%d ends", n)
		}
	})
}

// A service that ends while a file is being handed over may have it or not; what Send says decides, also where Send returns late.
func TestAFileThatNeverArrivedIsNotBlamed(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		sends := 0
		h.set(func() {
			h.sending = func(f *fake, name string) error {
				if name != "crash" {
					return nil
				}
				if sends++; sends == 2 { // its turn alone: the service ends by itself, and only later Send returns
					f.end(Exit{Signal: syscall.SIGTERM})
					time.Sleep(5 * time.Second)
					return syscall.EPIPE
				}
				return nil
			}
		})
		h.set(func() {
			h.behave = func(_ *fake, name, _ string) string {
				if name == "crash" && h.count() == 1 {
					return "crash"
				}
				return "clean"
			}
		})
		wantResult(t, h.all("crash"), "crash", scan.Clean)
		if st := h.sup.State(); len(st.Ends) != 2 || len(st.SetAside) != 0 || sends != 3 {
			t.Errorf("%+v, sent %d times", st, sends)
		}
	})
}

func TestAFileThatArrivedIsBlamedThoughSendReturnsLate(t *testing.T) {
	in(t, nil, func(t *testing.T, h *house) {
		h.set(func() {
			h.sending = func(f *fake, _ string) error {
				f.end(Exit{Signal: syscall.SIGSEGV})
				time.Sleep(5 * time.Second)
				return errTaken
			}
		})
		if got := h.all("crash"); !errors.Is(got["crash"].err, ErrSetAside) {
			t.Errorf("%+v", got)
		}
	})
}

// A service whose socket is broken and that does not end is ended.
func TestAServiceThatNoLongerListensIsEnded(t *testing.T) {
	for how, gone := range map[string]error{
		"send": syscall.EPIPE, "receive": syscall.ECONNRESET, "closed here": fmt.Errorf("write: %w", net.ErrClosed), "closed file": os.ErrClosed, "closed descriptor": syscall.EBADF,
	} {
		t.Run(how, func(t *testing.T) {
			in(t, func(c *Config, _ *house) { c.Deadline = time.Hour }, func(t *testing.T, h *house) {
				first := h.last()
				if how == "receive" {
					first.answers <- answerOrError{err: gone}
					synctest.Wait()
				}
				h.set(func() {
					h.sending = func(f *fake, _ string) error {
						if f == first {
							return gone
						}
						return nil
					}
				})
				begin := time.Now()
				got := h.all("clean-1", "clean-2")
				wantResult(t, got, "clean-1", scan.Clean)
				wantResult(t, got, "clean-2", scan.Clean)
				if took := time.Since(begin); took > 2*grace {
					t.Errorf("took %s", took)
				}
				if st := h.sup.State(); len(st.Ends) != 1 || st.Ends[0].PID != first.pid {
					t.Errorf("%+v", st.Ends)
				}
			})
		})
	}
}

// Whatever services do, each Scan returns once, with what is true of the file or with an error; and of files that harm nobody, with what is true.
func TestScansAreRightWhateverHappens(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			chance := func(n int) bool {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n) == 0
			}
			in(t, func(c *Config, h *house) {
				c.Workers = 1 + seed%4
				h.report = func(ctx context.Context, o StartOptions) (scan.Report, error) {
					if chance(6) {
						return scan.Report{Stage: scan.StageDefinitions, Cause: scan.MemoryShort}, nil
					}
					return ready(ctx, o)
				}
				h.set(func() {
					h.behave = func(f *fake, _, behaviour string) string {
						if behaviour == "flaky" {
							behaviour = "clean"
							if chance(3) {
								behaviour = []string{"crash", "hang", "unknown", "garbage"}[f.pid%4]
							}
						}
						return behaviour
					}
				})
			}, func(t *testing.T, h *house) { storm(t, h, chance) })
		})
	}
}

func storm(t *testing.T, h *house, chance func(int) bool) {
	kinds := []string{"clean", "infected", "failed", "flaky", "crash", "hang", "garbage", "clean", "infected", "clean"}
	var wg sync.WaitGroup
	for i := range 60 {
		kind := kinds[i%len(kinds)]
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 7 * time.Millisecond)
			ctx, cancel := context.Background(), func() {}
			impatient := chance(8)
			if impatient {
				ctx, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
			}
			defer cancel()
			a, err := h.scan(ctx, fmt.Sprintf("%s-%d", kind, i))
			if impatient && errors.Is(err, context.DeadlineExceeded) {
				return
			}
			harmful := kind == "crash" || kind == "hang" || kind == "garbage"
			want := map[string]scan.Result{"clean": scan.Clean, "infected": scan.Infected, "failed": scan.Failed, "flaky": scan.Clean}[kind]
			switch {
			case harmful && !errors.Is(err, ErrSetAside), !harmful && kind != "flaky" && err != nil, err != nil && !errors.Is(err, ErrSetAside):
				t.Errorf("%s-%d: %+v %v", kind, i, a, err)
			case err == nil && a.Result != want:
				t.Errorf("%s-%d: %s", kind, i, a.Result)
			}
		})
	}
	for i := range 6 {
		time.Sleep(50 * time.Millisecond)
		switch i % 3 {
		case 0:
			h.set(func() { h.version = fmt.Sprint(i / 4) })
			_, _ = h.sup.Switch(context.Background())
		case 1:
			h.sup.SetAsRoot(chance(2), nil)
		default:
			h.sup.Restart()
			h.sup.State()
		}
	}
	wg.Wait()
}

// A service that began while its account was away is told by the name that the account has again.
func TestAnAccountThatComesBackIsNamed(t *testing.T) {
	var back atomic.Bool
	in(t, func(c *Config, _ *house) {
		c.UserName = func(uid uint32) string {
			if back.Load() {
				return "svc"
			}
			return strconv.FormatUint(uint64(uid), 10)
		}
	}, func(t *testing.T, h *house) {
		h.all("clean")
		st := h.sup.State()
		if st.User == "" || st.User != strconv.FormatUint(uint64(st.UID), 10) {
			t.Errorf("%q, expected the number %d", st.User, st.UID)
		}
		back.Store(true)
		if st := h.sup.State(); st.User != "svc" {
			t.Errorf("%q, expected the name", st.User)
		}
	})
}
