package bpf

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
	"github.com/ampconnector/amp/internal/policy"
)

func TestNetworkActions(t *testing.T) {
	needsRoot(t)
	inEachSet(t, func(t *testing.T, w *watch) {
		lost := w.Lost(t)
		for _, name := range actions.Network() {
			t.Run(name, func(t *testing.T) {
				w.CheckNetwork(t, program, name)
			})
		}
		if lost := w.Lost(t) - lost; lost != 0 {
			t.Errorf("lost %d events", lost)
		}
		t.Run("connected-before", func(t *testing.T) { testConnectionFromBefore(t, w) })
		t.Run("full", func(t *testing.T) { testFlowsFull(t, w) })
	})
}

// Flows are left out by who opened them, and while monitoring is reduced only listening goes on. All is counted.
func TestFlowsLeftOut(t *testing.T) {
	needsRoot(t)
	all := monitor.Settings{Kinds: allKinds}
	inEachSet(t, func(t *testing.T, w *watch) {
		for _, tt := range []struct {
			name   string
			change func(*monitor.Settings)
			seen   monitor.Kinds
			count  func(monitor.Count) uint64
		}{
			{"process", func(s *monitor.Settings) { s.Exclusions.Processes = []policy.ProcessExclusion{{Path: program}} }, 0,
				func(c monitor.Count) uint64 { return c.Excluded }},
			{"user", func(s *monitor.Settings) { s.Exclusions.Users = []uint32{0} }, 0,
				func(c monitor.Count) uint64 { return c.Excluded }},
			{"reduced", func(s *monitor.Settings) { s.Reduced = true }, monitor.KindsOf(monitor.Listen),
				func(c monitor.Count) uint64 { return c.Shed }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				s := all
				tt.change(&s)
				before, err1 := w.Counts()
				err2 := w.Set(s)
				pid, r := actions.Do(t, program, "tcp-blocking")
				want := slices.DeleteFunc(r.Events, func(e monitor.Event) bool { return !tt.seen.Has(e.Kind) })
				after, err3 := w.Counts()
				err4 := w.Set(all)
				if err := errors.Join(err1, err2, err3, err4); err != nil {
					t.Fatal(err)
				}
				later, more := actions.Do(t, program, "tcp-blocking") // all that came before it is there
				w.Finished(t, later, len(more.Events), monitor.NetworkKinds)
				var got []monitor.Event
				for _, e := range w.Of(pid) {
					if monitor.NetworkKinds.Has(e.Kind) {
						got = append(got, e)
					}
				}
				actions.Check(t, got, want)
				for _, k := range []monitor.Kind{monitor.FlowOpen, monitor.FlowClose} {
					if n := tt.count(after.Kinds[k]) - tt.count(before.Kinds[k]); n < 2 {
						t.Errorf("%d events of kind %v were counted as left out, expected 2 or more", n, k)
					}
				}
			})
		}
	})
}

// blind tells what the hook set cannot see: before 6.3, write(2) and read(2) of datagrams.
func (w *watch) blind(action string, e monitor.Event) bool {
	return slices.Contains([]string{"udp-connected", "udp6-connected", "udp-many"}, action) && w.kernel.failed["amp_udp_sent"] != nil && !e.Flow.Inbound
}

// connect makes a connection of this process with itself.
func connect(t *testing.T) [2]net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return [2]net.Conn{c, s}
}

// Of the end of a connection that was there before, nothing is told.
func testConnectionFromBefore(t *testing.T, w *watch) {
	if err := w.Set(monitor.Settings{Kinds: allKinds &^ monitor.NetworkKinds}); err != nil {
		t.Fatal(err)
	}
	before := connect(t)
	err := w.Set(monitor.Settings{Kinds: allKinds})
	if err := errors.Join(err, before[0].Close(), before[1].Close()); err != nil {
		t.Fatal(err)
	}
	pid, r := actions.Do(t, program, "tcp") // all that came before it is there
	w.Finished(t, pid, len(r.Events), monitor.NetworkKinds)
	got := slices.DeleteFunc(w.Of(os.Getpid()), func(e monitor.Event) bool { return !monitor.NetworkKinds.Has(e.Kind) })
	if len(got) != 0 {
		t.Errorf("got %+v, expected nothing", got)
	}
}

// Connections for which there is no room to remember them are counted as missed.
func testFlowsFull(t *testing.T, w *watch) {
	before, err := w.Counts()
	if err != nil {
		t.Fatal(err)
	}
	flows := w.kernel.maps["flows"]
	full, stop := make(chan struct{}), make(chan struct{})
	var filling sync.WaitGroup
	filling.Go(func() { keepFull(flows, full, stop) })
	<-full
	pid, r := actions.Do(t, program, "tcp-blocking")
	close(stop)
	filling.Wait()
	want := slices.DeleteFunc(r.Events, func(e monitor.Event) bool {
		return e.Kind == monitor.FlowClose || e.Kind == monitor.FlowOpen && !e.Flow.Inbound
	})
	actions.Check(t, w.Finished(t, pid, len(want), monitor.NetworkKinds), want)
	c, err := w.Counts()
	if err != nil {
		t.Fatal(err)
	}
	missed := func(k monitor.Kind) uint64 { return c.Kinds[k].Missed - before.Kinds[k].Missed }
	if o, cl := missed(monitor.FlowOpen), missed(monitor.FlowClose); o < 1 || cl < 2 { // others connect too
		t.Errorf("%d opened and %d closed ones were missed, expected 1 and 2", o, cl)
	}
}

// keepFull puts entries into a map of sockets until there is no more room, and whenever there is some again. It takes them away at the end.
func keepFull(flows *ebpf.Map, full, stop chan struct{}) {
	value := make([]byte, flows.ValueSize())
	for key := uint64(1); ; { // no addresses of sockets
		if flows.Put(key, value) == nil {
			key++
			continue
		}
		select {
		case <-stop:
			for ; key > 0; key-- {
				flows.Delete(key)
			}
			return
		case <-full:
		default:
			close(full)
		}
	}
}
