package connector

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/monitor"
)

const (
	flowsEnv      = "AMP_CONNECTOR_TEST_FLOWS"
	flowAddresses = 4 // of a process: an address and port has no more than 28,000 clients
	flowProcesses = 4 // a container may have 20,000 descriptors in each and no right to more
)

// flowNetwork is where the connections go: nobody else's are in it.
var flowNetwork = netip.MustParsePrefix("127.77.0.0/16")

var errEarly = errors.New("whoever asked is gone")

func init() { liveRoles["flows"] = playFlows }

// playFlows opens connections, all at once open, says how many there are, and closes them when it is told to.
func playFlows(*testing.T) error {
	want, err := strconv.Atoi(os.Getenv(flowsEnv))
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(2*want + 100)
	limit.Max = max(limit.Max, limit.Cur)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("descriptors: %w", err)
	}
	var listeners [flowAddresses]int
	var addresses [flowAddresses]unix.Sockaddr
	for i := range listeners {
		if listeners[i], addresses[i], err = listenOn([4]byte{127, 77, 0, byte(1 + i)}); err != nil {
			return err
		}
	}
	var open []int
	for i := range want {
		client, server, err := connection(listeners[i%flowAddresses], addresses[i%flowAddresses])
		if err != nil {
			fmt.Fprintln(os.Stderr, "stopped by:", err)
			break
		}
		open = append(open, client, server)
	}
	fmt.Println("open", len(open)/2)
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return errEarly
	}
	for _, fd := range open {
		unix.Close(fd)
	}
	fmt.Println("closed", len(open)/2)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func listenOn(ip [4]byte) (int, unix.Sockaddr, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: ip}), unix.Listen(fd, 128)); err != nil {
		return 0, nil, err
	}
	address, err := unix.Getsockname(fd)
	return fd, address, err
}

func connection(listener int, to unix.Sockaddr) (client, server int, err error) {
	client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	if err := unix.Connect(client, to); err != nil {
		return 0, 0, err
	}
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	return client, server, err
}

// More connections at a time than the kernel's side remembers (50,000 ends): each opening and each end is told or counted, once, and the
// daemon does not grow by them.
func TestManyOpenFlows(t *testing.T) {
	want := 30000
	if testing.Short() {
		want = 5000
	}
	l := startLive(t)
	var opens, closes, strangers atomic.Uint64
	var pids [flowProcesses]atomic.Uint32
	l.listen(func(e *monitor.Event) {
		if !flowNetwork.Contains(e.Flow.Local.Addr()) && !flowNetwork.Contains(e.Flow.Remote.Addr()) {
			return
		}
		switch e.Kind {
		case monitor.FlowOpen:
			opens.Add(1)
		case monitor.FlowClose:
			closes.Add(1)
		default:
			return
		}
		for i := range pids {
			if e.Process.PID == pids[i].Load() {
				return
			}
		}
		strangers.Add(1)
	})
	before, memory := l.ask(control.ReadStatus), resident(t)
	var in [flowProcesses]io.Writer
	var out [flowProcesses]*bufio.Scanner
	started := time.Now()
	for i := range flowProcesses {
		cmd := role(t, "flows", fmt.Sprint(flowsEnv, "=", want/flowProcesses))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pids[i].Store(uint32(cmd.Process.Pid))
		in[i], out[i] = stdin, bufio.NewScanner(stdout)
	}
	made := uint64(0)
	for i := range out {
		made += uint64(said(t, out[i], "open"))
	}
	opened := time.Since(started)
	l.mark()
	full := resident(t)
	started = time.Now()
	for i := range in {
		fmt.Fprintln(in[i])
	}
	for i := range out {
		said(t, out[i], "closed")
	}
	l.mark()
	closed := time.Since(started)
	// The last of a connection is told in an interrupt, which may come after the mark.
	untold := func(s *control.Status, kind monitor.Kind) uint64 {
		_, n := produced(s, kind)
		_, old := produced(before, kind)
		return n - old
	}
	var s *control.Status
	within(t, "all flows", func() bool {
		s = l.ask(control.ReadStatus)
		return opens.Load()+untold(s, monitor.FlowOpen) >= 2*made && closes.Load()+untold(s, monitor.FlowClose) >= 2*made
	})
	after := resident(t)
	t.Logf("%d of %d connections, open in %v, closed in %v; of %d ends: opens %d told, %d counted; ends %d told, %d counted; resident %.1f MB before, %.1f open, %.1f after",
		made, want, opened.Round(time.Millisecond), closed.Round(time.Millisecond), 2*made, opens.Load(), untold(s, monitor.FlowOpen), closes.Load(), untold(s, monitor.FlowClose),
		float64(memory)/1e6, float64(full)/1e6, float64(after)/1e6)
	for _, k := range s.Source.Kinds {
		if k.Kind == "open" || k.Kind == "close" {
			t.Logf("%+v", k)
		}
	}
	if opens.Load() > 2*made || closes.Load() > 2*made {
		t.Errorf("%d openings and %d ends were told of %d each", opens.Load(), closes.Load(), 2*made)
	}
	if strangers.Load() != 0 && !foreignPIDs() {
		t.Errorf("%d flows were told to be of another process", strangers.Load())
	}
	if made < uint64(want)/2 {
		t.Errorf("%d connections were made of %d", made, want)
	}
	if grown := int64(after) - int64(memory); grown > 16<<20 && !raced() {
		t.Errorf("grown by %d bytes", grown)
	}
	l.sendCanary()
	l.until("a canary afterwards", func(s *control.Status) bool { return s.Canary.Time.After(started) && s.Canary.OK })
}

// said waits for a word and a number of a child.
func said(t *testing.T, lines *bufio.Scanner, word string) (n int) {
	t.Helper()
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), word+" "); ok {
			n, err := strconv.Atoi(rest)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the child did not say %q: %v", word, lines.Err())
	return 0
}
