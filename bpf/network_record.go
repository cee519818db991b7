package bpf

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// The layout of struct amp_flow_record, record/network_record.h.
const (
	flowSize = 160

	offFlowSent       = 96
	offFlowReceived   = 104
	offFlowDuration   = 112
	offFlowLocal      = 120
	offFlowRemote     = 136
	offFlowLocalPort  = 152
	offFlowRemotePort = 154
	offFlowProtocol   = 156
	offFlowInbound    = 157
)

// flow reads the record of a flow or of a socket that listens.
func (d *decoder) flow(b []byte) error {
	if len(b) != flowSize {
		return fmt.Errorf("record of kind %d has %d bytes, expected %d", b[offKind], len(b), flowSize)
	}
	f := &d.event.Flow
	f.Protocol = b[offFlowProtocol]
	f.Inbound = b[offFlowInbound] != 0
	f.Local = addrPort(b, offFlowLocal, offFlowLocalPort)
	switch d.event.Kind {
	case monitor.Listen:
		return nil // nobody is at the other end
	case monitor.FlowClose:
		f.Sent, f.Received = u64(b, offFlowSent), u64(b, offFlowReceived)
		f.Duration = time.Duration(min(u64(b, offFlowDuration), 1<<63-1))
	}
	f.Remote = addrPort(b, offFlowRemote, offFlowRemotePort)
	return nil
}

// addrPort reads one end. An address of IPv4, which stands in the record as ::ffff:a.b.c.d, is shown as such.
func addrPort(b []byte, address, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[address:])).Unmap(), u16(b, port))
}
