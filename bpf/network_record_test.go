package bpf

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

// flowWire is a record of a flow between two ends.
func flowWire(kind monitor.Kind, local, remote string, inbound byte, duration uint64) wire {
	n := binary.NativeEndian
	a, b := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	var f []byte
	f = n.AppendUint64(f, 1000)
	f = n.AppendUint64(f, 2000)
	f = n.AppendUint64(f, duration)
	for _, p := range []netip.AddrPort{a, b} {
		ip := p.Addr().As16()
		f = append(f, ip[:]...)
	}
	f = n.AppendUint16(n.AppendUint16(f, a.Port()), b.Port())
	f = append(f, unix.IPPROTO_TCP, inbound, 0, 0)
	return wire{recordVersion, uint8(kind), 0, string(f), ""}
}

func TestDecodeFlow(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, tt := range []struct {
		name string
		in   wire
		want monitor.Flow
	}{
		{"open", flowWire(monitor.FlowOpen, "127.0.0.1:4000", "10.1.2.3:443", 0, 0),
			monitor.Flow{Local: at("127.0.0.1:4000"), Remote: at("10.1.2.3:443")}},
		{"accept", flowWire(monitor.FlowOpen, "[::1]:443", "[2001:db8::1]:65535", 1, 0),
			monitor.Flow{Inbound: true, Local: at("[::1]:443"), Remote: at("[2001:db8::1]:65535")}},
		{"mapped", flowWire(monitor.FlowOpen, "[::ffff:1.2.3.4]:443", "[::ffff:5.6.7.8]:1", 1, 0),
			monitor.Flow{Inbound: true, Local: at("1.2.3.4:443"), Remote: at("5.6.7.8:1")}},
		{"close", flowWire(monitor.FlowClose, "1.2.3.4:1", "5.6.7.8:2", 0, 3_000_000_000),
			monitor.Flow{Local: at("1.2.3.4:1"), Remote: at("5.6.7.8:2"), Sent: 1000, Received: 2000, Duration: 3 * time.Second}},
		{"close with a duration of centuries", flowWire(monitor.FlowClose, "1.2.3.4:1", "5.6.7.8:2", 0, math.MaxUint64),
			monitor.Flow{Local: at("1.2.3.4:1"), Remote: at("5.6.7.8:2"), Sent: 1000, Received: 2000, Duration: math.MaxInt64}},
		{"listen", flowWire(monitor.Listen, "[::]:80", "[::]:0", 1, 0),
			monitor.Flow{Inbound: true, Local: at("[::]:80")}},
		{"listen for IPv4", flowWire(monitor.Listen, "0.0.0.0:80", "0.0.0.0:0", 1, 0),
			monitor.Flow{Inbound: true, Local: at("0.0.0.0:80")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decoder{clock: fixedClock()}
			got, err := d.decode(tt.in.bytes())
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Protocol = unix.IPPROTO_TCP
			if got.Kind != monitor.Kind(tt.in.kind) || got.Process.PID != 42 {
				t.Errorf("got kind %v of process %d", got.Kind, got.Process.PID)
			}
			if diff := cmp.Diff(tt.want, got.Flow, actions.SameEvents); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeFlowErrors(t *testing.T) {
	good := flowWire(monitor.FlowOpen, "1.2.3.4:1", "5.6.7.8:2", 0, 0)
	for name, w := range map[string]wire{
		"a byte short": {good.version, good.kind, 0, good.fixed[1:], ""},
		"a byte long":  {good.version, good.kind, 0, good.fixed, "x"},
		"nothing":      {good.version, good.kind, 0, "", ""},
	} {
		d := decoder{clock: fixedClock()}
		if e, err := d.decode(w.bytes()); err == nil {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

func TestFlowLayout(t *testing.T) {
	spec, err := loadNetworkTCP()
	if err != nil {
		t.Fatal(err)
	}
	checkLayout(t, spec, "amp_flow_record", flowSize, map[string]uint32{
		"head": 0, "sent": offFlowSent, "received": offFlowReceived, "duration": offFlowDuration, "ends": offFlowLocal,
		"protocol": offFlowProtocol, "inbound": offFlowInbound, "padding": flowSize - 2,
	})
	checkLayout(t, spec, "amp_ends", offFlowProtocol-offFlowLocal, map[string]uint32{
		"local": 0, "remote": offFlowRemote - offFlowLocal, "local_port": offFlowLocalPort - offFlowLocal, "remote_port": offFlowRemotePort - offFlowLocal,
	})
}

func FuzzDecodeFlow(f *testing.F) {
	for _, k := range []monitor.Kind{monitor.FlowOpen, monitor.FlowClose, monitor.Listen} {
		f.Add(flowWire(k, "1.2.3.4:1", "[2001:db8::1]:65535", 1, math.MaxUint64).bytes())
	}
	d := decoder{clock: fixedClock()}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := d.decode(b)
		if err != nil || !monitor.NetworkKinds.Has(e.Kind) {
			return
		}
		if e.Flow.Local.Addr().Is4In6() || e.Flow.Remote.Addr().Is4In6() || e.Flow.Duration < 0 || !e.Flow.Local.IsValid() {
			t.Errorf("flow %+v", e.Flow)
		}
	})
}

func TestDecodeFlowWithoutAllocation(t *testing.T) {
	d := decoder{clock: fixedClock()}
	for _, k := range []monitor.Kind{monitor.FlowOpen, monitor.FlowClose, monitor.Listen} {
		record := flowWire(k, "1.2.3.4:1", "[2001:db8::1]:2", 1, 5).bytes()
		if n := testing.AllocsPerRun(1000, func() { d.decode(record) }); n > 0 {
			t.Errorf("%v: %v allocations a record", k, n)
		}
	}
}

func BenchmarkDecodeFlow(b *testing.B) {
	record := flowWire(monitor.FlowClose, "10.0.0.1:40000", "10.0.0.2:443", 0, 5_000_000).bytes()
	d := decoder{clock: newWallClock(readClocks)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(record); err != nil {
			b.Fatal(err)
		}
	}
}
