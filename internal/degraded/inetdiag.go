package degraded

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Layout of struct inet_diag_msg, uapi/linux/inet_diag.h, and of what follows it.
const (
	diagSize   = 72
	diagFamily = 0
	diagState  = 1
	diagLocal  = 4 // ports and addresses in network byte order
	diagRemote = 6
	diagSource = 8
	diagTarget = 24
	diagCookie = 44
	diagUID    = 64
	diagInode  = 68

	attrHead     = 4
	attrInfo     = 2  // INET_DIAG_INFO
	attrProtocol = 10 // INET_DIAG_PROTOCOL
)

// Offsets in struct tcp_info, uapi/linux/tcp.h, which only grows: acked and received came with 4.1, sent and sent again with 4.19.
const (
	infoAcked     = 120
	infoReceived  = 128
	infoSent      = 200
	infoSentAgain = 208
)

// tcpListen and tcpEstablished are states, include/net/tcp_states.h. UDP sockets that are connected are established.
const (
	tcpEstablished = 1
	tcpFinWait1    = 4
	tcpFinWait2    = 5
	tcpClose       = 7
	tcpCloseWait   = 8
	tcpLastAck     = 9
	tcpListen      = 10
	tcpClosing     = 11
)

// diagSocket is what sock_diag tells of a socket.
type diagSocket struct {
	protocol       uint8 // 0 where it is not told
	state          uint8
	local, remote  netip.AddrPort
	cookie         uint64 // names the socket for as long as the kernel runs
	uid            uint32
	inode          uint32 // 0 where no file is left
	sent, received uint64 // bytes of data, TCP, where told
}

// parse reads the payload of a message SOCK_DIAG_BY_FAMILY. It trusts no length in it.
func (s *diagSocket) parse(b []byte) error {
	if len(b) < diagSize {
		return fmt.Errorf("sock_diag message of %d bytes, expected at least %d", len(b), diagSize)
	}
	source, target := b[diagSource:diagSource+16], b[diagTarget:diagTarget+16]
	switch f := b[diagFamily]; f {
	case unix.AF_INET:
		source, target = source[:4], target[:4]
	case unix.AF_INET6:
	default:
		return fmt.Errorf("sock_diag message of family %d, expected %d or %d", f, unix.AF_INET, unix.AF_INET6)
	}
	*s = diagSocket{
		state: b[diagState],
		local: address(source, b[diagLocal:]), remote: address(target, b[diagRemote:]),
		cookie: u64(b, diagCookie), uid: u32(b, diagUID), inode: u32(b, diagInode),
	}
	return s.attributes(b[diagSize:])
}

// address puts an address and a port together. IPv4 that is spoken by a socket of IPv6 is IPv4.
func address(ip, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

func (s *diagSocket) attributes(b []byte) error {
	for len(b) >= attrHead {
		size, kind := int(u16(b, 0)), u16(b, 2)
		if size < attrHead || size > len(b) {
			return fmt.Errorf("sock_diag attribute %d says %d bytes, %d are left", kind, size, len(b))
		}
		switch value := b[attrHead:size]; {
		case kind == attrProtocol && len(value) > 0:
			s.protocol = value[0]
		case kind == attrInfo:
			s.bytes(value)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}

// bytes reads struct tcp_info. What was acknowledged has one for SYN and one for FIN in it.
func (s *diagSocket) bytes(info []byte) {
	switch {
	case len(info) >= infoSentAgain+8:
		sent, again := u64(info, infoSent), u64(info, infoSentAgain)
		s.sent = sent - min(sent, again)
	case len(info) >= infoAcked+8:
		acked := u64(info, infoAcked)
		s.sent = acked - min(acked, 2)
	}
	if len(info) >= infoReceived+8 {
		s.received = u64(info, infoReceived)
	}
}

// netlinkMessage is one message of a datagram of netlink(7).
type netlinkMessage struct {
	kind    uint16
	payload []byte
}

// nextMessage cuts the first message off b.
func nextMessage(b []byte) (m netlinkMessage, rest []byte, err error) {
	if len(b) < nlmsgHead {
		return m, nil, fmt.Errorf("netlink message of %d bytes, expected at least %d", len(b), nlmsgHead)
	}
	size := u32(b, 0)
	if size < nlmsgHead || uint64(size) > uint64(len(b)) {
		return m, nil, fmt.Errorf("netlink message says %d bytes, %d were read", size, len(b))
	}
	m = netlinkMessage{u16(b, 4), b[nlmsgHead:size]}
	return m, b[min((int(size)+3)&^3, len(b)):], nil
}

// netlinkError is the error that a message NLMSG_ERROR or NLMSG_DONE tells, nil if there is none.
func (m netlinkMessage) netlinkError() error {
	if len(m.payload) < 4 {
		return nil
	}
	if code := int32(u32(m.payload, 0)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}
