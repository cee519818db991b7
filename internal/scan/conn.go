package scan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is one end of the socket pair between the daemon and its scan service. Its methods may be called by several goroutines at once; a
// message is sent or received whole. Errors that wrap ErrMessage mean that the other side does not keep to the protocol, io.EOF that it
// has closed its end, as a process does that dies, [os.ErrClosed] and [os.ErrDeadlineExceeded] what they say; any other is the kernel's.
type Conn struct {
	f   *os.File
	raw interface {
		Read(func(uintptr) bool) error
		Write(func(uintptr) bool) error
	}
}

// Pair makes a connection: the daemon's end, and the service's, which is to become a descriptor of that process.
func Pair() (daemon *Conn, service *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	service = os.NewFile(uintptr(fds[1]), "scan service")
	if daemon, err = NewConn(fds[0]); err != nil {
		return nil, nil, errors.Join(err, service.Close())
	}
	return daemon, service, nil
}

// NewConn makes a connection of a descriptor, which is the connection's from then on, closed if it is not a socket of that kind.
func NewConn(fd int) (*Conn, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && kind != unix.SOCK_SEQPACKET {
		err = fmt.Errorf("socket of type %d, expected SOCK_SEQPACKET", kind)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true) // before it becomes a file, so that the runtime waits for it without a thread
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	c := &Conn{f: os.NewFile(uintptr(fd), "scan socket")}
	if c.raw, err = c.f.SyscallConn(); err != nil {
		return nil, errors.Join(err, c.f.Close())
	}
	return c, nil
}

// Close ends what waits in other methods.
func (c *Conn) Close() error { return c.f.Close() }

// SetSendDeadline bounds the time that sending may take, which waits where the other side does not read. The zero time is none.
func (c *Conn) SetSendDeadline(t time.Time) error { return c.f.SetWriteDeadline(t) }

// Send sends a request and a descriptor of the file that is to be scanned. The file stays the caller's.
func (c *Conn) Send(r Request, file *os.File) error {
	b, err := encodeRequest(r)
	if err != nil {
		return err
	}
	passed, err := file.SyscallConn() // not Fd, which would make the file blocking
	if err != nil {
		return err
	}
	var sent error
	err = passed.Control(func(fd uintptr) { sent = c.send(b, unix.UnixRights(int(fd))) })
	return errors.Join(err, sent)
}

// SendAnswer is for the service.
func (c *Conn) SendAnswer(a Answer) error {
	b, err := encodeAnswer(a)
	if err != nil {
		return err
	}
	return c.send(b, nil)
}

// SendReport is for the service, and for what makes its sandbox.
func (c *Conn) SendReport(r Report) error {
	b, err := encodeReport(r)
	if err != nil {
		return err
	}
	return c.send(b, nil)
}

// Receive is for the service: the next request, and its file, which is the caller's.
func (c *Conn) Receive() (Request, *os.File, error) {
	b, fds, err := c.receive()
	if err != nil {
		return Request{}, nil, err
	}
	r, err := decodeRequest(b)
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("%w: request with %d descriptors, expected 1", ErrMessage, len(fds))
	}
	if err != nil {
		closeAll(fds)
		return Request{}, nil, err
	}
	return r, os.NewFile(uintptr(fds[0]), "file to scan"), nil
}

// Message is what the service says: either an answer or a report.
type Message struct {
	Answer *Answer
	Report *Report
}

// ReceiveMessage is for the daemon.
func (c *Conn) ReceiveMessage() (Message, error) {
	b, fds, err := c.receive()
	if err != nil {
		return Message{}, err
	}
	if len(fds) > 0 {
		closeAll(fds)
		return Message{}, fmt.Errorf("%w: %d descriptors, none expected", ErrMessage, len(fds))
	}
	kind, err := kindOf(b)
	if err != nil {
		return Message{}, err
	}
	if kind == kindReport {
		r, err := decodeReport(b)
		if err != nil {
			return Message{}, err
		}
		return Message{Report: &r}, nil
	}
	a, err := decodeAnswer(b)
	if err != nil {
		return Message{}, err
	}
	return Message{Answer: &a}, nil
}

// send sends one message, waiting while the other side's queue is full.
func (c *Conn) send(b, control []byte) error {
	var sent error
	err := c.raw.Write(func(fd uintptr) bool {
		for {
			if _, sent = unix.SendmsgN(int(fd), b, control, nil, unix.MSG_NOSIGNAL); !errors.Is(sent, unix.EINTR) {
				return !errors.Is(sent, unix.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return waited(err)
	case sent != nil:
		return fmt.Errorf("sendmsg: %w", sent)
	}
	return nil
}

// waited is the error of a wait for the descriptor, which ends by a deadline or because it was closed; the latter has no exported value.
func waited(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return os.ErrClosed
}

// received is what one recvmsg(2) yielded.
type received struct {
	n, controlled, flags int
	err                  error
}

// receive waits for one message and returns it with the descriptors that came along. The kernel itself closes those for which there was
// no room, and says so by a flag.
func (c *Conn) receive() ([]byte, []int, error) {
	b, control := make([]byte, MaxMessage), make([]byte, unix.CmsgSpace(4))
	var got received
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			got.n, got.controlled, got.flags, _, got.err = unix.Recvmsg(int(fd), b, control, unix.MSG_CMSG_CLOEXEC)
			if !errors.Is(got.err, unix.EINTR) {
				return !errors.Is(got.err, unix.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return nil, nil, waited(err)
	case errors.Is(got.err, unix.ECONNRESET): // it died with messages of ours unread
		return nil, nil, io.EOF
	case got.err != nil:
		return nil, nil, fmt.Errorf("recvmsg: %w", got.err)
	}
	fds, err := descriptors(control[:got.controlled])
	switch {
	case err != nil:
	case got.n == 0 && len(fds) == 0 && got.flags&unix.MSG_CTRUNC == 0: // an empty message looks the same, and is none of ours either
		err = io.EOF
	case got.flags&unix.MSG_TRUNC != 0:
		err = fmt.Errorf("%w: longer than %d bytes", ErrMessage, MaxMessage)
	case got.flags&unix.MSG_CTRUNC != 0: // also where this process has no descriptor left
		err = fmt.Errorf("%w: descriptors that came with it could not be received", ErrMessage)
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return b[:got.n], fds, nil
}

// descriptors are those in the control messages.
func descriptors(control []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("control messages: %w", err)
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET || messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, fmt.Errorf("control messages: %w", err)
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
