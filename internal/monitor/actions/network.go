package actions

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// network are what children do to sockets, over the loopback device.
func network() map[string]Action {
	return map[string]Action{
		"tcp":             func(r *Report) error { return tcp(r, "127.0.0.1:0", "", 1000, 2500) },
		"tcp6":            func(r *Report) error { return tcp(r, "[::1]:0", "", 1000, 2500) },
		"tcp-dual":        func(r *Report) error { return tcp(r, "[::]:0", "127.0.0.1", 1, 0) },
		"tcp-large":       func(r *Report) error { return tcp(r, "127.0.0.1:0", "", 3<<20, 5<<20) },
		"tcp-empty":       func(r *Report) error { return tcp(r, "127.0.0.1:0", "", 0, 0) },
		"tcp-blocking":    tcpBlocking,
		"tcp-mapped":      tcpMapped,
		"tcp-reset":       tcpReset,
		"tcp-late":        func(r *Report) error { return tcpLate(r, false) },
		"tcp-late-reset":  func(r *Report) error { return tcpLate(r, true) },
		"tcp-unaccepted":  tcpUnaccepted,
		"tcp-refused":     tcpRefused,
		"tcp-namespace":   tcpNamespace,
		"tcp-storm":       tcpStorm,
		"listen-unbound":  listenUnbound,
		"udp-connected":   func(r *Report) error { return udpConnected(r, "127.0.0.1:0") },
		"udp6-connected":  func(r *Report) error { return udpConnected(r, "[::1]:0") },
		"udp-unconnected": func(r *Report) error { return udpUnconnected(r, "127.0.0.1:0") },
		"udp-messages":    udpMessages,
		"udp-mapped":      udpMapped,
		"udp-many":        udpMany,
	}
}

func noIPv6(r *Report) bool {
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		r.Skip = "needs IPv6"
	}
	return r.Skip != ""
}

func addrOf(a net.Addr) netip.AddrPort {
	p := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

func (r *Report) expect(kind monitor.Kind, f monitor.Flow) {
	r.Events = append(r.Events, monitor.Event{Kind: kind, Flow: f})
}

// listens expects that somebody waits at a.
func (r *Report) listens(a netip.AddrPort) {
	r.expect(monitor.Listen, monitor.Flow{Protocol: unix.IPPROTO_TCP, Inbound: true, Local: a})
}

// client expects the connecting side of a connection.
func (r *Report) client(local, remote netip.AddrPort, sent, received uint64) {
	f := monitor.Flow{Protocol: unix.IPPROTO_TCP, Local: local, Remote: remote}
	r.expect(monitor.FlowOpen, f)
	f.Sent, f.Received = sent, received
	r.expect(monitor.FlowClose, f)
}

// server expects the accepting side.
func (r *Report) server(local, remote netip.AddrPort, sent, received uint64) {
	f := monitor.Flow{Protocol: unix.IPPROTO_TCP, Inbound: true, Local: local, Remote: remote}
	r.expect(monitor.FlowOpen, f)
	f.Sent, f.Received = sent, received
	r.expect(monitor.FlowClose, f)
}

// tcp passes some bytes there and back.
func tcp(r *Report, listen, to string, there, back int) error {
	if listen[0] == '[' && noIPv6(r) {
		return nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	r.listens(at)
	if to != "" {
		at = netip.AddrPortFrom(netip.MustParseAddr(to), at.Port())
	}
	done := make(chan error, 1)
	go func() { done <- serve(l, back) }()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return err
	}
	local, remote := addrOf(c.LocalAddr()), addrOf(c.RemoteAddr())
	if err := converse(c, there, back); err != nil {
		return err
	}
	r.client(local, remote, uint64(there), uint64(back))
	r.server(remote, local, uint64(back), uint64(there))
	return <-done
}

// serve accepts one connection, reads all, answers with so many bytes, and closes.
func serve(l net.Listener, answer int) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	_, err = c.Write(make([]byte, answer))
	return errors.Join(err, c.Close())
}

// converse sends so many bytes, says that these were all, and reads the answer.
func converse(c net.Conn, send, expect int) error {
	if _, err := c.Write(make([]byte, send)); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, c)
	if err == nil && int(n) != expect {
		err = fmt.Errorf("got %d bytes back, expected %d", n, expect)
	}
	return errors.Join(err, c.Close())
}

// blockingPair is a connection made by system calls that wait, and the descriptor of a listener that is closed by the caller.
func blockingPair(family int, sa func(port int) unix.Sockaddr) (listener, client int, err error) {
	if listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return
	}
	if err = unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return
	}
	if err = unix.Listen(listener, 5); err != nil {
		return
	}
	at, err := unix.Getsockname(listener)
	if err != nil {
		return
	}
	if client, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return
	}
	err = unix.Connect(client, sa(at.(*unix.SockaddrInet4).Port))
	return
}

func nameOf(sa unix.Sockaddr, err error) (netip.AddrPort, error) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), err
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), err
	}
	return netip.AddrPort{}, err
}

// ends are those of a connected socket.
func ends(fd int) (local, remote netip.AddrPort, err error) {
	local, err = nameOf(unix.Getsockname(fd))
	if err != nil {
		return
	}
	remote, err = nameOf(unix.Getpeername(fd))
	return
}

// connected is blockingPair with the ends of its client.
func connected(family int, sa func(port int) unix.Sockaddr) (listener, client int, local, remote netip.AddrPort, err error) {
	if listener, client, err = blockingPair(family, sa); err != nil {
		return
	}
	local, remote, err = ends(client)
	return
}

func loopback4(port int) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

func loopbackMapped(port int) unix.Sockaddr {
	return &unix.SockaddrInet6{Port: port, Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
}

func tcpBlocking(r *Report) error { return tcpByCalls(r, unix.AF_INET, loopback4) }

// tcpMapped connects with a socket of IPv6 to an address of IPv4.
func tcpMapped(r *Report) error {
	if noIPv6(r) {
		return nil
	}
	return tcpByCalls(r, unix.AF_INET6, loopbackMapped)
}

func tcpByCalls(r *Report, family int, sa func(int) unix.Sockaddr) error {
	l, c, local, remote, err := connected(family, sa)
	if err != nil {
		return err
	}
	s, _, err := unix.Accept(l)
	if err != nil {
		return err
	}
	buf := make([]byte, 100)
	_, err1 := unix.Write(c, buf[:77])
	n, err2 := unix.Read(s, buf)
	if n != 77 {
		return fmt.Errorf("read %d bytes, expected 77", n)
	}
	err3 := unix.Close(c)
	_, err4 := unix.Read(s, buf)
	r.listens(remote)
	r.client(local, remote, 77, 0)
	r.server(remote, local, 0, 77)
	return errors.Join(err1, err2, err3, err4, unix.Close(s), unix.Close(l))
}

// tcpReset ends with a RST instead of a FIN.
func tcpReset(r *Report) error {
	l, c, local, remote, err := connected(unix.AF_INET, loopback4)
	if err != nil {
		return err
	}
	s, _, err := unix.Accept(l)
	if err != nil {
		return err
	}
	_, err1 := unix.Write(c, make([]byte, 10))
	err2 := unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	r.listens(remote)
	r.client(local, remote, 10, 0)
	r.server(remote, local, 0, 10)
	return errors.Join(err1, err2, unix.Close(c), unix.Close(s), unix.Close(l))
}

// tcpLate accepts a connection that its peer has closed.
func tcpLate(r *Report, reset bool) error {
	l, c, local, remote, err := connected(unix.AF_INET, loopback4)
	if err != nil {
		return err
	}
	_, err1 := unix.Write(c, make([]byte, 5))
	if reset {
		err1 = errors.Join(err1, unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	}
	err2 := unix.Close(c)
	s, _, err := unix.Accept(l)
	if err != nil {
		return errors.Join(err, err1, err2)
	}
	_, err3 := unix.Read(s, make([]byte, 5))
	if reset {
		err3 = nil
	}
	r.listens(remote)
	r.client(local, remote, 5, 0)
	r.server(remote, local, 0, 5)
	return errors.Join(err1, err2, err3, unix.Close(s), unix.Close(l))
}

// tcpUnaccepted connects to somebody who goes away without accepting.
func tcpUnaccepted(r *Report) error {
	l, c, local, remote, err := connected(unix.AF_INET, loopback4)
	if err != nil {
		return err
	}
	r.listens(remote)
	r.client(local, remote, 0, 0)
	return errors.Join(unix.Close(l), unix.Close(c))
}

// tcpRefused connects to where nobody listens, waiting and not.
func tcpRefused(r *Report) error {
	held, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(held)
	if err := unix.Bind(held, loopback4(0)); err != nil {
		return err
	}
	at, err := nameOf(unix.Getsockname(held))
	if err != nil {
		return err
	}
	if _, err := net.Dial("tcp", at.String()); !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("connected to nobody: %w", err)
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(c)
	if err := unix.Connect(c, loopback4(int(at.Port()))); !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("connected to nobody: %w", err)
	}
	return nil
}

// tcpNamespace runs in a network namespace of its own, whose loopback is down at first.
func tcpNamespace(r *Report) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		r.Skip = fmt.Sprintf("needs a network namespace: %v", err)
		return nil
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return tcpByCalls(r, unix.AF_INET, loopback4)
}

// loopbackUp makes the loopback device of a new network namespace work.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// tcpStorm connects from several threads at once.
func tcpStorm(r *Report) error {
	const threads, each = 4, 50
	reports, errs := make([]Report, threads), make([]error, threads)
	var all sync.WaitGroup
	for i := range threads {
		all.Go(func() {
			for range each {
				errs[i] = errors.Join(errs[i], tcp(&reports[i], "127.0.0.1:0", "", 10*i, i))
			}
		})
	}
	all.Wait()
	for i := range reports {
		r.Events = append(r.Events, reports[i].Events...)
	}
	return errors.Join(errs...)
}

// listenUnbound lets the kernel choose the port.
func listenUnbound(r *Report) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Listen(fd, 5); err != nil {
		return err
	}
	if err := unix.Listen(fd, 6); err != nil { // no second one
		return err
	}
	at, err := nameOf(unix.Getsockname(fd))
	r.listens(at)
	return err
}

func (r *Report) datagrams(inbound bool, local, remote netip.AddrPort) {
	r.expect(monitor.FlowOpen, monitor.Flow{Protocol: unix.IPPROTO_UDP, Inbound: inbound, Local: local, Remote: remote})
}

// udpConnected has a client with a peer, and a server without one.
func udpConnected(r *Report, at string) error {
	if at[0] == '[' && noIPv6(r) {
		return nil
	}
	server, err := net.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	defer server.Close()
	client, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	b := make([]byte, 100)
	for range 20 {
		if _, err := client.Write(b[:10]); err != nil {
			return err
		}
		_, from, err := server.ReadFrom(b)
		if err != nil {
			return err
		}
		if _, err := server.WriteTo(b[:10], from); err != nil {
			return err
		}
		if _, err := client.Read(b); err != nil {
			return err
		}
	}
	r.datagrams(false, addrOf(client.LocalAddr()), addrOf(client.RemoteAddr()))
	r.datagrams(true, addrOf(server.LocalAddr()), addrOf(client.LocalAddr()))
	return nil
}

// udpUnconnected has two sockets without peers; each is told of its two.
func udpUnconnected(r *Report, at string) error {
	a, err := net.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := net.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	defer b.Close()
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	defer c.Close()
	buf := make([]byte, 100)
	for range 5 {
		for _, to := range []net.PacketConn{b, c} {
			if _, err := a.WriteTo(buf[:1], to.LocalAddr()); err != nil {
				return err
			}
			if _, _, err := to.ReadFrom(buf); err != nil {
				return err
			}
		}
	}
	for _, to := range []net.PacketConn{b, c} {
		r.datagrams(false, addrOf(a.LocalAddr()), addrOf(to.LocalAddr()))
		r.datagrams(true, addrOf(to.LocalAddr()), addrOf(a.LocalAddr()))
	}
	return nil
}

// Datagrams is a socket for them, bound to a port of the loopback device.
func Datagrams() (fd int, at netip.AddrPort, err error) { return udpSocket(unix.AF_INET, loopback4(0)) }

// Connection is one to a listener on the loopback device, which has not accepted it.
func Connection() (listener, client int, err error) { return blockingPair(unix.AF_INET, loopback4) }

func udpSocket(family int, sa unix.Sockaddr) (fd int, at netip.AddrPort, err error) {
	if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return
	}
	if err = unix.Bind(fd, sa); err != nil {
		return
	}
	at, err = nameOf(unix.Getsockname(fd))
	return
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	msghdr unix.Msghdr
	len    uint32
	_      uint32
}

// udpMessages sends and receives with all system calls that there are for it.
func udpMessages(r *Report) error {
	a, from, err := udpSocket(unix.AF_INET, loopback4(0))
	if err != nil {
		return err
	}
	defer unix.Close(a)
	buf := []byte("x")
	var fds []int
	var at []netip.AddrPort
	for range 4 {
		fd, addr, err := udpSocket(unix.AF_INET, loopback4(0))
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		fds, at = append(fds, fd), append(at, addr)
	}
	if _, err := unix.SendmsgN(a, buf, nil, loopback4(int(at[0].Port())), 0); err != nil {
		return err
	}
	if err := unix.Sendto(a, buf, 0, loopback4(int(at[1].Port()))); err != nil {
		return err
	}
	if err := sendmmsg(a, buf, at[2:]); err != nil {
		return err
	}
	if _, _, _, _, err := unix.Recvmsg(fds[0], buf, nil, 0); err != nil {
		return err
	}
	for _, fd := range fds[1:] {
		if _, _, err := unix.Recvfrom(fd, buf, 0); err != nil {
			return err
		}
	}
	for _, to := range at {
		r.datagrams(false, from, to)
		r.datagrams(true, to, from)
	}
	return nil
}

func sendmmsg(fd int, b []byte, to []netip.AddrPort) error {
	names := make([]unix.RawSockaddrInet4, len(to))
	messages := make([]mmsghdr, len(to))
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(len(b))
	for i, a := range to {
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4(), Port: a.Port()<<8 | a.Port()>>8}
		messages[i].msghdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&names[i])), Namelen: unix.SizeofSockaddrInet4, Iov: &iov}
		messages[i].msghdr.SetIovlen(1)
	}
	// For a socket of IPv4 an address of no family is one of IPv4 (udp_sendmsg() of the kernel).
	names[len(names)-1].Family = unix.AF_UNSPEC
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(to)), 0, 0, 0)
	runtime.KeepAlive(names)
	if errno != 0 || int(n) != len(to) {
		return fmt.Errorf("sendmmsg sent %d messages: %w", n, errno)
	}
	return nil
}

// udpMapped sends from a socket of IPv6 to an address of IPv4.
func udpMapped(r *Report) error {
	if noIPv6(r) {
		return nil
	}
	server, at, err := udpSocket(unix.AF_INET, loopback4(0))
	if err != nil {
		return err
	}
	defer unix.Close(server)
	client, from, err := udpSocket(unix.AF_INET6, loopbackMapped(0))
	if err != nil {
		return err
	}
	defer unix.Close(client)
	for range 3 {
		if err := unix.Sendto(client, []byte("x"), 0, loopbackMapped(int(at.Port()))); err != nil {
			return err
		}
		if _, _, err := unix.Recvfrom(server, make([]byte, 1), 0); err != nil {
			return err
		}
	}
	r.datagrams(false, from, at)
	r.datagrams(true, at, from)
	return nil
}

// udpMany opens sockets one after the other, which take one another's place in memory.
func udpMany(r *Report) error {
	server, at, err := udpSocket(unix.AF_INET, loopback4(0))
	if err != nil {
		return err
	}
	defer unix.Close(server)
	seen := map[netip.AddrPort]bool{}
	for range 100 {
		c, err := net.Dial("udp", at.String())
		if err != nil {
			return err
		}
		local := addrOf(c.LocalAddr())
		if seen[local] { // the same flow again
			c.Close()
			continue
		}
		seen[local] = true
		_, err = c.Write([]byte("x"))
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
		if _, _, err := unix.Recvfrom(server, make([]byte, 1), 0); err != nil {
			return err
		}
		r.datagrams(false, local, at)
		r.datagrams(true, at, local)
	}
	return nil
}
