package degraded

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveBuffer is how much the kernel may keep for us on each socket, in bytes. A message counts with its overhead, some 700 bytes.
const receiveBuffer = 8 << 20

// netlinkSocket is a socket of netlink(7) that the kernel sends to a group.
type netlinkSocket struct {
	fd    int
	drops uint32 // as they were counted last
	lost  bool   // the kernel said so, and its count was not read since
}

// openNetlink opens a socket that listens to groups, a mask.
func openNetlink(protocol int, groups uint32) (*netlinkSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // without CAP_NET_ADMIN up to net.core.rmem_max
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind: %w", err)
	}
	return &netlinkSocket{fd: fd}, nil
}

// send sends a message to the kernel.
func (s *netlinkSocket) send(message []byte) error {
	if err := unix.Sendto(s.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive reads one datagram. Nothing is there: n is 0. Only messages of the kernel are let through: any process may send to a socket.
func (s *netlinkSocket) receive(buf []byte) (n int, err error) {
	for {
		var from unix.RawSockaddrNetlink
		size := uint32(unix.SizeofSockaddrNetlink)
		r, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		switch {
		case errno == unix.EAGAIN:
			return 0, nil
		case errno == unix.EINTR:
		case errno == unix.ENOBUFS:
			s.lost = true
		case errno != 0:
			return 0, errno
		case r == 0:
			return 0, errors.New("recvfrom: end of file")
		case from.Pid == 0:
			return int(r), nil
		}
	}
}

// memory is what getsockopt(SO_MEMINFO) tells, socket(7): Linux 4.12.
func (s *netlinkSocket) memory() (m [unix.SK_MEMINFO_VARS]uint32, ok bool) {
	size := uint32(unsafe.Sizeof(m))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&size)), 0)
	return m, errno == 0 && size >= uint32(unsafe.Sizeof(m))
}

// takeLost is how many messages the kernel could not keep since it was asked last. A kernel that does not count says that there were
// some: that is one.
func (s *netlinkSocket) takeLost() uint64 {
	m, ok := s.memory()
	if !ok {
		if s.lost {
			s.lost = false
			return 1
		}
		return 0
	}
	s.lost = false
	n := m[unix.SK_MEMINFO_DROPS] - s.drops
	s.drops = m[unix.SK_MEMINFO_DROPS]
	return uint64(n)
}

// queue is how many bytes wait, and for how many there is room.
func (s *netlinkSocket) queue() (waiting, size uint64) {
	m, ok := s.memory()
	if !ok {
		return 0, 0
	}
	return uint64(m[unix.SK_MEMINFO_RMEM_ALLOC]), uint64(m[unix.SK_MEMINFO_RCVBUF])
}

func (s *netlinkSocket) close() error { return unix.Close(s.fd) }
