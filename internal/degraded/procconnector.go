package degraded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// enum proc_cn_mcast_op.
const (
	procListen = 1
	procIgnore = 2
)

// procPatience is how long the kernel gets to acknowledge. It does so before the call that asks returns; where it does not, nobody listens.
const procPatience = 200 * time.Millisecond

// What the process connector's silence and its refusals mean.
var (
	errSilent    = errors.New("the process connector does not answer: the kernel was built without CONFIG_PROC_EVENTS")
	errNamespace = errors.New("the process connector answers only in the initial user, pid and network namespaces")
)

// procConnector is a socket that the kernel tells of processes.
type procConnector struct {
	netlinkSocket
	mask       procWhat
	unfiltered bool // all messages have to be let through
	listens    int  // how often the kernel was told that somebody listens
}

func openProcConnector(ctx context.Context) (*procConnector, error) {
	p, err := newProcConnector(ctx, false)
	if err != nil || p.enduresFilter(ctx) {
		return p, err
	}
	p.netlinkSocket.close() // without a word: the kernel counts nobody any more
	return newProcConnector(ctx, true)
}

func newProcConnector(ctx context.Context, unfiltered bool) (*procConnector, error) {
	s, err := openNetlink(unix.NETLINK_CONNECTOR, cnIdxProc)
	if err != nil {
		return nil, err
	}
	p := &procConnector{netlinkSocket: *s, unfiltered: unfiltered}
	if err := errors.Join(p.filter(procAck), p.listen(ctx)); err != nil {
		return nil, errors.Join(err, p.netlinkSocket.close())
	}
	return p, nil
}

// enduresFilter makes a message that the filter does not let through, and looks whether the kernel still knows that somebody listens. Some
// kernels of the beginning of 2024 take a message that nobody got for a sign that nobody listens, and are silent from then on: those with
// commit c46bfba1337d ("connector: Fix proc_event_num_listeners count not cleared"), such as 6.6.14 and 6.7.2, until it was reverted.
func (p *procConnector) enduresFilter(ctx context.Context) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var name [16]byte
	if unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0) != nil ||
		unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0) != nil {
		return true // not to be found out
	}
	return p.listen(ctx) == nil
}

// listen subscribes, and waits for the acknowledgement, which is the only way to know that anybody is there.
func (p *procConnector) listen(ctx context.Context) error {
	err := p.send(procRequest(procListen))
	if errors.Is(err, unix.ECONNREFUSED) {
		return errNamespace
	}
	if err != nil {
		return err
	}
	p.listens++
	return p.awaitAck(ctx)
}

func (p *procConnector) awaitAck(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, procPatience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	for buf := make([]byte, 256); ; {
		n, err := p.receive(buf)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		var e procEvent
		if ok, err := e.parse(buf[:n]); n > 0 && err == nil && ok && e.what == procAck {
			if e.thread != 0 {
				return fmt.Errorf("listen: %w", unix.Errno(e.thread))
			}
			return nil
		}
		left := time.Until(deadline)
		if ctx.Err() != nil || left <= 0 {
			return silence()
		}
		if n == 0 {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1) // its result is what is received next
		}
	}
}

// silence tells why nobody answers.
func silence() error {
	for _, name := range []string{"user", "pid"} {
		if initial, err := inInitialNamespace(name); err == nil && !initial {
			return errNamespace
		}
	}
	return errSilent
}

// The initial namespaces' inodes, PROC_USER_INIT_INO and PROC_PID_INIT_INO of include/linux/proc_ns.h, which are the same on all kernels since 3.8.
var initialNamespaces = map[string]string{"user": "user:[4026531837]", "pid": "pid:[4026531836]"}

func inInitialNamespace(name string) (bool, error) {
	link, err := os.Readlink("/proc/self/ns/" + name)
	return link == initialNamespaces[name], err
}

// set asks for messages of some kinds only. The kernel sorts out the others before they cost anything since 6.6; before that the
// socket's filter keeps them from waking us.
func (p *procConnector) set(kinds monitor.Kinds) error {
	mask := procFork | procExec | procUID | procExit
	if kinds.Has(monitor.Trace) {
		mask |= procPtrace
	}
	if mask == p.mask || p.unfiltered {
		return nil
	}
	if err := p.filter(mask); err != nil {
		return err
	}
	if err := p.send(procRequest(procListen, uint32(mask))); err != nil { // older kernels take no notice of a request of this size
		return err
	}
	p.mask = mask
	return nil
}

// procRequest is a message to the connector: enum proc_cn_mcast_op, and since Linux 6.6 the kinds, struct proc_input.
func procRequest(words ...uint32) []byte {
	size := nlmsgHead + cnHead + 4*len(words)
	b := make([]byte, size)
	ne := binary.NativeEndian
	ne.PutUint32(b, uint32(size))
	ne.PutUint16(b[4:], unix.NLMSG_DONE)
	ne.PutUint32(b[nlmsgHead:], cnIdxProc)
	ne.PutUint32(b[nlmsgHead+4:], cnValProc)
	ne.PutUint16(b[nlmsgHead+16:], uint16(4*len(words)))
	for i, w := range words {
		ne.PutUint32(b[nlmsgHead+cnHead+4*i:], w)
	}
	return b
}

// filter lets messages of the kinds through, and acknowledgements. Of threads that come and go it lets none through: the number of one
// that is not its process's first is not the process's.
func (p *procConnector) filter(mask procWhat) error {
	if p.unfiltered {
		return nil
	}
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		ifEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ifAny   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		same    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X
		toX     = unix.BPF_MISC | unix.BPF_TAX
		jump    = unix.BPF_JMP | unix.BPF_JA
		ret     = unix.BPF_RET | unix.BPF_K
		whole   = 0xffff
	)
	const (
		child  = 9
		group  = 12
		accept = 13
		refuse = 14
	)
	return p.attach([]unix.SockFilter{
		0: {Code: load, K: offWhat},
		1: {Code: ifEqual, K: 0, Jt: accept - 2}, // an acknowledgement
		2: {Code: ifAny, K: network(uint32(mask)), Jf: refuse - 3},
		3: {Code: ifAny, K: network(uint32(procFork)), Jt: child - 4},
		4: {Code: ifAny, K: network(uint32(procExit)), Jf: accept - 5},
		5: {Code: load, K: offData},
		6: {Code: toX},
		7: {Code: load, K: offData + 4},
		8: {Code: jump, K: group - 9},

		child:     {Code: load, K: offData + 8},
		child + 1: {Code: toX},
		child + 2: {Code: load, K: offData + 12},

		group:  {Code: same, Jt: accept - group - 1, Jf: refuse - group - 1},
		accept: {Code: ret, K: whole},
		refuse: {Code: ret, K: 0},
	})
}

func (p *procConnector) attach(program []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: unsafe.SliceData(program)}
	if err := unix.SetsockoptSockFprog(p.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach a filter to the socket: %w", err)
	}
	return nil
}

// network is a word as a filter compares it: it loads words in network byte order.
func network(w uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], w)
	return binary.BigEndian.Uint32(b[:])
}

// close tells the kernel that nobody listens any more: it does not notice by itself, and goes on making messages. Before Linux 6.6 it counts how
// often it was told that somebody does.
func (p *procConnector) close() (err error) {
	for range p.listens {
		if e := p.send(procRequest(procIgnore)); !errors.Is(e, unix.ECONNREFUSED) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, p.netlinkSocket.close())
}
