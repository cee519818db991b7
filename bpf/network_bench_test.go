package bpf

import (
	"errors"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

// The cost of a connection and of a further datagram, without a source and with one; prog-ns/op is the time in our programs.

func BenchmarkConnection(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	benchSeen(b, func() error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		// A reset leaves no port waiting.
		err = c.(*net.TCPConn).SetLinger(0)
		s, err2 := l.Accept()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		return errors.Join(c.Close(), s.Close())
	})
}

func BenchmarkDatagram(b *testing.B) {
	server, at, err := actions.Datagrams()
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(server)
	client, _, err := actions.Datagrams()
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(client)
	to, buf := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, []byte("x")
	benchSeen(b, func() error {
		err := unix.Sendto(client, buf, 0, to)
		_, _, err2 := unix.Recvfrom(server, buf, 0)
		return errors.Join(err, err2)
	})
}

// BenchmarkStream is the way of a stream's data, on which nothing is to be seen.
func BenchmarkStream(b *testing.B) {
	l, c, err := actions.Connection()
	if err != nil {
		b.Fatal(err)
	}
	s, _, err := unix.Accept(l)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { errors.Join(unix.Close(l), unix.Close(c), unix.Close(s)) }()
	buf := []byte("x")
	benchSeen(b, func() error {
		_, err := unix.Write(c, buf)
		_, err2 := unix.Read(s, buf)
		return errors.Join(err, err2)
	})
}

func benchSeen(b *testing.B, op func() error) {
	b.Run("bare", func(b *testing.B) { repeat(b, op) })
	needsRoot(b)
	b.Run("seen", func(b *testing.B) {
		w := startWatch(b, options{})
		if err := w.Set(monitor.Settings{Kinds: monitor.NetworkKinds}); err != nil {
			b.Fatal(err)
		}
		stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			b.Fatal(err)
		}
		defer stats.Close()
		before := w.programTime(b)
		repeat(b, op)
		b.ReportMetric(float64(w.programTime(b)-before)/float64(b.N), "prog-ns/op")
	})
}

func repeat(b *testing.B, op func() error) {
	for b.Loop() {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
}

// programTime is how long our programs have run, in ns; others on the machine make them run too.
func (w *watch) programTime(b *testing.B) (sum int64) {
	for _, p := range w.kernel.programs {
		st, err := p.Stats()
		if err != nil {
			b.Fatal(err)
		}
		sum += int64(st.Runtime)
	}
	return sum
}
