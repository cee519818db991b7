package degraded

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// When the open sockets are asked for.
const (
	dumpEvery = time.Second // at most
	// dumpShare is how much longer the next dump waits than the last one took of a CPU, with what came of it: a thousandth of a core.
	dumpShare = 1000
	dumpRest  = 30 * time.Second // at least
)

// flowsMost bounds the sockets that are remembered, flowMisses the dumps in which one may be missing before it is forgotten, though its end
// was not told: one that was reset stays out of dumps until its owner closes it.
const (
	flowsMost  = 65_536
	flowMisses = 600
)

// flows are the sockets of sock_diag.
type flows struct {
	destroyed *netlinkSocket
	dumper    *diagDumper
	member    bool         // of the groups that tell of ends
	noGroups  error        // why it is not
	cost      atomic.Int64 // ns, of the last dump
}

func openFlows() (*flows, error) {
	destroyed, err := openNetlink(unix.NETLINK_SOCK_DIAG, 0)
	if err != nil {
		return nil, err
	}
	dumper, err := openDiagDumper()
	if err != nil {
		destroyed.close()
		return nil, err
	}
	f := &flows{destroyed: destroyed, dumper: dumper}
	if _, err := dumper.dump(unix.AF_INET, unix.IPPROTO_TCP, func(*diagSocket) {}); err != nil {
		f.close()
		return nil, fmt.Errorf("ask for TCP sockets: %w", err)
	}
	return f, nil
}

// set joins or leaves the groups that tell of sockets' ends, Linux 4.4. Not to be able to is a blind spot.
func (f *flows) set(kinds monitor.Kinds) {
	wanted := kinds&monitor.NetworkKinds != 0
	if wanted == f.member || wanted && f.noGroups != nil {
		return
	}
	option := unix.NETLINK_DROP_MEMBERSHIP
	if wanted {
		option = unix.NETLINK_ADD_MEMBERSHIP
	}
	for group := unix.SKNLGRP_INET_TCP_DESTROY; group <= unix.SKNLGRP_INET6_UDP_DESTROY; group++ {
		if err := unix.SetsockoptInt(f.destroyed.fd, unix.SOL_NETLINK, option, group); err != nil {
			f.noGroups = fmt.Errorf("join sock_diag's group %d: %w", group, err)
			return
		}
	}
	f.member = wanted
}

func (f *flows) close() error { return errors.Join(f.destroyed.close(), f.dumper.close()) }

// flow is a socket that was seen in a dump.
type flow struct {
	monitor.Flow
	listens bool
	told    bool
	seen    uint32 // the number of the dump it was in last
	uid     uint32
	inode   uint32
	opened  time.Duration // on the boot clock, 0 where it is not known
	owner   monitor.ProcessID
}

// flowTable is what is known of sockets, for one goroutine.
type flowTable struct {
	flows     map[uint64]*flow // by cookie
	listening map[netip.AddrPort]uint32
	fresh     []*flow // of the dump at hand
	dump      uint32  // its number; 0 is none yet
	owners    owners
}

// roundOfFlows reads what sock_diag has, and asks for what is open when it is time.
func (r *run) roundOfFlows(ready bool) error {
	if r.flows == nil {
		return nil
	}
	flowing := r.filter.Kinds&monitor.NetworkKinds != 0
	if flowing && !r.flowing { // what is open by now is not new
		r.sockets = flowTable{flows: map[uint64]*flow{}, listening: map[netip.AddrPort]uint32{}, owners: newOwners()}
		r.flowsDue = 0
	}
	r.flowing = flowing
	if ready {
		if err := r.readDestroyed(); err != nil {
			return fmt.Errorf("read sock_diag: %w", err)
		}
	}
	if flowing && (r.clocks.monotonic >= r.flowsDue || r.final) {
		return r.dumpFlows()
	}
	return nil
}

// readDestroyed reads which sockets are no more.
func (r *run) readDestroyed() error {
	for range 4096 {
		n, err := r.flows.destroyed.receive(r.small)
		if err != nil || n == 0 {
			return err
		}
		for b := r.small[:n]; len(b) > 0; {
			var m netlinkMessage
			var s diagSocket
			if m, b, err = nextMessage(b); err != nil || m.kind != unix.SOCK_DIAG_BY_FAMILY || s.parse(m.payload) != nil {
				r.tally[monitor.FlowClose].damaged.Add(1)
				break
			}
			if r.flowing {
				r.ended(&s)
			}
		}
	}
	return nil
}

// ended tells the end of a socket. One that was in no dump is told with what its end says: nobody knows any more whose it was.
func (r *run) ended(s *diagSocket) {
	t := &r.sockets
	f := t.flows[s.cookie]
	delete(t.flows, s.cookie)
	if s.remote.Port() == 0 || f != nil && f.listens {
		return
	}
	if f == nil {
		f = &flow{Flow: monitor.Flow{Protocol: s.protocol, Local: s.local, Remote: s.remote, Inbound: t.inbound(s)}, uid: monitor.Unset}
	}
	f.Sent, f.Received = s.sent, s.received
	if s.protocol != unix.IPPROTO_TCP {
		if !f.told {
			r.tellFlow(monitor.FlowOpen, f)
		}
		return
	}
	if f.opened != 0 {
		f.Duration = r.clocks.boot - f.opened
	}
	r.tellFlow(monitor.FlowClose, f)
}

// tellFlow tells of a flow.
func (r *run) tellFlow(k monitor.Kind, f *flow) {
	r.event = monitor.Event{Kind: k, Time: r.clocks.wall, Process: r.ownerOf(f), Flow: f.Flow}
	if k != monitor.FlowClose {
		r.event.Flow.Sent, r.event.Flow.Received, r.event.Flow.Duration = 0, 0, 0
	}
	r.deliver(nil)
}

// ownerOf is the process that had the socket when it was found, as it is known now.
func (r *run) ownerOf(f *flow) *monitor.Process {
	if f.owner.PID != 0 {
		if p := r.table.Current(f.owner.PID); p != nil && p.StartBoot == f.owner.Start {
			return p
		}
	}
	r.unknown = monitor.Process{PID: f.owner.PID, StartBoot: f.owner.Start, UID: f.uid, EUID: f.uid, AUID: monitor.Unset}
	return &r.unknown
}

// dumpFlows asks for all sockets, and tells of those that are new.
func (r *run) dumpFlows() error {
	runtime.LockOSThread() // whose time is measured
	defer runtime.UnlockOSThread()
	began := threadTime()
	t := &r.sockets
	first := t.dump == 0
	t.dump++
	t.fresh = t.fresh[:0]
	for _, protocol := range diagProtocols {
		for _, family := range diagFamilies {
			damaged, err := r.flows.dumper.dump(family, protocol, t.see)
			r.tally[0].damaged.Add(uint64(damaged))
			if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINTR) { // the kernel has no IPv6, or the dump was disturbed
				return fmt.Errorf("sock_diag: %w", err)
			}
		}
	}
	if first {
		for _, f := range t.fresh {
			f.told = true
		}
	} else if len(t.fresh) > 0 {
		r.tellFresh()
	}
	r.clocks = readClocks() // all that took time, in which what was new may have ended
	if err := r.readDestroyed(); err != nil {
		return err
	}
	r.forgetFlows()
	cost := threadTime() - began
	r.flows.cost.Store(max(1, int64(cost)))
	r.flowsDue = readClocks().monotonic + min(dumpRest, max(dumpEvery, dumpShare*cost))
	return nil
}

// see takes a socket of a dump.
func (t *flowTable) see(s *diagSocket) {
	listens := s.protocol == unix.IPPROTO_TCP && s.state == tcpListen
	if listens {
		t.listening[s.local] = t.dump
	}
	if f := t.flows[s.cookie]; f != nil {
		f.seen = t.dump
		return
	}
	if !listens && s.remote.Port() == 0 || len(t.flows) >= flowsMost {
		return
	}
	f := &flow{
		Flow:    monitor.Flow{Protocol: s.protocol, Local: s.local, Remote: s.remote},
		listens: listens, seen: t.dump, uid: s.uid, inode: s.inode,
	}
	t.flows[s.cookie] = f
	t.fresh = append(t.fresh, f)
}

// inbound reports whether a socket is of a connection that came to a port that was listened at.
func (t *flowTable) inbound(s *diagSocket) bool {
	return s.protocol == unix.IPPROTO_TCP && t.listensAt(s.local)
}

func (t *flowTable) listensAt(local netip.AddrPort) bool {
	for _, a := range [...]netip.Addr{local.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if _, ok := t.listening[netip.AddrPortFrom(a, local.Port())]; ok {
			return true
		}
	}
	return false
}

// tellFresh finds whose the new sockets are, and tells of them.
func (r *run) tellFresh() {
	t := &r.sockets
	wanted := make(map[uint32]uint32, len(t.fresh))
	for _, f := range t.fresh {
		if f.inode != 0 {
			wanted[f.inode] = 0
		}
	}
	t.owners.find(wanted)
	for _, f := range t.fresh {
		if pid := wanted[f.inode]; pid != 0 && f.inode != 0 {
			p := r.subject(pid)
			f.owner = monitor.ProcessID{PID: p.PID, Start: p.StartBoot}
		}
		f.told, f.opened = true, r.clocks.boot
		kind := monitor.FlowOpen
		if f.listens {
			kind = monitor.Listen
		} else {
			f.Inbound = f.Protocol == unix.IPPROTO_TCP && t.listensAt(f.Local)
		}
		r.tellFlow(kind, f)
	}
}

// forgetFlows forgets what ended without being told: all that is missing where ends are not told or were lost.
func (r *run) forgetFlows() {
	t := &r.sockets
	lost := r.flows.destroyed.lost
	if lost {
		r.tally[monitor.FlowClose].full.Add(r.flows.destroyed.takeLost())
	}
	for cookie, f := range t.flows {
		missed := t.dump - f.seen
		if missed == 0 {
			continue
		}
		if !r.flows.member && !f.listens && f.Protocol == unix.IPPROTO_TCP {
			f.Duration = r.clocks.boot - f.opened
			r.tellFlow(monitor.FlowClose, f)
		}
		if lost || !r.flows.member || missed > flowMisses {
			delete(t.flows, cookie)
		}
	}
	for at, seen := range t.listening {
		if t.dump-seen > 1 { // what was accepted may still end
			delete(t.listening, at)
		}
	}
}
