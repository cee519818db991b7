package degraded

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// diagFamilies and diagProtocols are what is asked for, in turn.
var (
	diagFamilies  = [...]uint8{unix.AF_INET, unix.AF_INET6}
	diagProtocols = [...]uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP}
)

// The states that are dumped: of TCP those of connections that were established, and of sockets that wait for some; of UDP those that
// have one peer.
var diagStates = map[uint8]uint32{
	unix.IPPROTO_TCP: 1<<tcpEstablished | 1<<tcpFinWait1 | 1<<tcpFinWait2 | 1<<tcpCloseWait | 1<<tcpLastAck | 1<<tcpClosing | 1<<tcpListen,
	unix.IPPROTO_UDP: 1 << tcpEstablished,
}

// diagRequest asks for the sockets of a family and protocol: struct inet_diag_req_v2 behind the head.
func diagRequest(family, protocol uint8) []byte {
	const size = nlmsgHead + 56
	b := make([]byte, size)
	ne := binary.NativeEndian
	ne.PutUint32(b, size)
	ne.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[nlmsgHead], b[nlmsgHead+1] = family, protocol
	ne.PutUint32(b[nlmsgHead+4:], diagStates[protocol])
	return b
}

// diagDumper asks for sockets. It has a socket of its own, which answers before send returns and each time that something was read.
type diagDumper struct {
	socket *netlinkSocket
	buf    []byte
}

func openDiagDumper() (*diagDumper, error) {
	s, err := openNetlink(unix.NETLINK_SOCK_DIAG, 0)
	if err != nil {
		return nil, err
	}
	return &diagDumper{socket: s, buf: make([]byte, 64<<10)}, nil
}

// dump calls each for the sockets of a family and protocol. Damage of one message does not end it, and is told.
func (d *diagDumper) dump(family, protocol uint8, each func(*diagSocket)) (damaged int, err error) {
	if err := d.socket.send(diagRequest(family, protocol)); err != nil {
		return 0, err
	}
	for {
		n, err := d.socket.receive(d.buf)
		if err != nil {
			return damaged, err
		}
		if n == 0 {
			return damaged, fmt.Errorf("sock_diag's answer ends without an end")
		}
		done, bad, err := readDump(d.buf[:n], protocol, each)
		damaged += bad
		if done || err != nil {
			return damaged, err
		}
	}
}

// readDump reads a datagram of an answer.
func readDump(b []byte, protocol uint8, each func(*diagSocket)) (done bool, damaged int, err error) {
	var s diagSocket
	for len(b) > 0 {
		var m netlinkMessage
		if m, b, err = nextMessage(b); err != nil {
			return false, damaged, err
		}
		switch m.kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			return true, damaged, m.netlinkError()
		case unix.SOCK_DIAG_BY_FAMILY:
			if s.parse(m.payload) != nil {
				damaged++
				continue
			}
			s.protocol = protocol
			each(&s)
		}
	}
	return false, damaged, nil
}

// close closes the socket.
func (d *diagDumper) close() error { return d.socket.close() }
