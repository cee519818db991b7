package degraded

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// talker is the actor of flows, step by step.
type talker struct {
	t   *testing.T
	c   *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startTalker(t *testing.T) *talker {
	t.Helper()
	w := &talker{t: t, c: actor(t, "flows")}
	var err error
	if w.in, err = w.c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.out = bufio.NewReader(out)
	if err := w.c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.in.Close(); w.c.Wait() })
	return w
}

// says reads addresses.
func (w *talker) says() (a [3]netip.AddrPort) {
	w.t.Helper()
	line, err := w.out.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	var s [3]string
	fmt.Sscan(line, &s[0], &s[1], &s[2])
	for i := range s {
		a[i], _ = netip.ParseAddrPort(s[i])
	}
	return a
}

func (w *talker) goOn() { fmt.Fprintln(w.in) }

func TestFlows(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: allOfThem}, func(e *monitor.Event) bool { return monitor.NetworkKinds.Has(e.Kind) })
	waitUntil(t, "the first dump", func() bool { return w.flows.cost.Load() > 0 })
	actor := startTalker(t)
	for range 2 { // IPv4, IPv6
		a := actor.says()
		server, client, udp := a[0], a[1], a[2]
		is := func(k monitor.Kind, protocol uint8, inbound bool, local, remote netip.AddrPort) *monitor.Event {
			return w.find(fmt.Sprint(k, protocol, inbound, local, remote), func(e *monitor.Event) bool {
				f := e.Flow
				return e.Kind == k && f.Protocol == protocol && f.Inbound == inbound && f.Local == local && f.Remote.Port() == remote.Port()
			})
		}
		open := []*monitor.Event{
			is(monitor.Listen, unix.IPPROTO_TCP, false, server, netip.AddrPort{}),
			is(monitor.FlowOpen, unix.IPPROTO_TCP, false, client, server),
			is(monitor.FlowOpen, unix.IPPROTO_TCP, true, server, client),
			is(monitor.FlowOpen, unix.IPPROTO_UDP, false, udp, server),
		}
		for _, e := range open {
			if e != nil && (int(e.Process.PID) != actor.c.Process.Pid || e.Process.Exe.Path != executablePath(t)) {
				t.Errorf("%s %+v: process %+v, expected %d", e.Kind, e.Flow, e.Process, actor.c.Process.Pid)
			}
		}
		actor.goOn()
		if line, err := actor.out.ReadString('\n'); err != nil || line != "closed\n" {
			t.Fatal(line, err)
		}
		closed := is(monitor.FlowClose, unix.IPPROTO_TCP, false, client, server)
		if closed != nil && (closed.Flow.Sent != 5 || closed.Flow.Duration <= 0 || int(closed.Process.PID) != actor.c.Process.Pid) {
			t.Errorf("closed: %+v of %d", closed.Flow, closed.Process.PID)
		}
		closed = is(monitor.FlowClose, unix.IPPROTO_TCP, true, server, client)
		if closed != nil && closed.Flow.Received < 5 {
			t.Errorf("closed: %+v", closed.Flow)
		}
		actor.goOn()
	}
}

// What ends between two dumps is told at its end.
func TestShortFlows(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: monitor.NetworkKinds}, everything)
	waitUntil(t, "the first dump", func() bool { return w.flows.cost.Load() > 0 })
	actor := startTalker(t)
	a := actor.says()
	actor.goOn()
	actor.out.ReadString('\n')
	actor.goOn()
	e := w.find("close", func(e *monitor.Event) bool { return e.Kind == monitor.FlowClose && e.Flow.Local == a[1] })
	if e != nil && (e.Flow.Sent != 5 || e.Flow.Remote != a[0] || e.Flow.Protocol != unix.IPPROTO_TCP) {
		t.Errorf("got %+v", e.Flow)
	}
	w.find("UDP", func(e *monitor.Event) bool {
		return e.Kind == monitor.FlowOpen && e.Flow.Local == a[2] && e.Flow.Remote == a[0]
	})
}

func TestFlowsThatNobodyWants(t *testing.T) {
	w := watch(t, monitor.Settings{Kinds: monitor.ProcessKinds}, everything)
	pid := act(t, "storm", t.TempDir(), "0")
	w.find("exit", func(e *monitor.Event) bool { return e.Kind == monitor.Exit && int(e.Process.PID) == pid })
	if w.flows.cost.Load() != 0 || w.flows.member {
		t.Error("sockets were asked for")
	}
}

// waitUntil waits for something that cannot be subscribed to.
func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
