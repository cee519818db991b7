package bpf

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/monitor"
)

// systemWire is a record of system_record.h with all fields set.
func systemWire(kind monitor.Kind, name string) wire {
	n := binary.NativeEndian
	var f []byte
	for _, v := range []uint32{7, 4711, 1000, 1001} {
		f = n.AppendUint32(f, v)
	}
	f = n.AppendUint16(f, uint16(len(name)))
	return wire{recordVersion, uint8(kind), 0, string(append(f, 0, 0, 0, 0, 0, 0)), name}
}

func TestDecodeSystem(t *testing.T) {
	for _, tt := range []struct {
		in   wire
		want monitor.Event
	}{
		{systemWire(monitor.ModuleLoad, "dummy"), monitor.Event{Name: "dummy"}},
		{systemWire(monitor.ModuleLoad, ""), monitor.Event{}},
		{systemWire(monitor.BPFLoad, "amp_exec"), monitor.Event{Name: "amp_exec", Subtype: 7}},
		{systemWire(monitor.Trace, ""), monitor.Event{Subtype: 7, OtherPID: 4711}},
		{systemWire(monitor.Credentials, ""), monitor.Event{OldUID: 1000, OldEUID: 1001}},
	} {
		d := decoder{clock: fixedClock()}
		got, err := d.decode(tt.in.bytes())
		if err != nil {
			t.Errorf("%v: %v", monitor.Kind(tt.in.kind), err)
			continue
		}
		w := tt.want
		if got.Kind != monitor.Kind(tt.in.kind) || got.Process.PID != 42 || got.Name != w.Name || got.Subtype != w.Subtype ||
			got.OtherPID != w.OtherPID || got.OldUID != w.OldUID || got.OldEUID != w.OldEUID {
			t.Errorf("got %+v, expected %+v", got, w)
		}
	}
}

func TestDecodeSystemErrors(t *testing.T) {
	for name, w := range map[string]wire{
		"nothing":        {recordVersion, uint8(monitor.Trace), 0, "", ""},
		"a byte short":   {recordVersion, uint8(monitor.Trace), 0, systemWire(monitor.Trace, "").fixed[1:], ""},
		"name too long":  {recordVersion, uint8(monitor.BPFLoad), 0, systemWire(monitor.BPFLoad, "abc").fixed, "ab"},
		"name too short": {recordVersion, uint8(monitor.BPFLoad), 0, systemWire(monitor.BPFLoad, "abc").fixed, "abcd"},
	} {
		d := decoder{clock: fixedClock()}
		if e, err := d.decode(w.bytes()); err == nil {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

func TestSystemLayout(t *testing.T) {
	spec, err := loadSystem()
	if err != nil {
		t.Fatal(err)
	}
	checkLayout(t, spec, "amp_system_record", systemSize, map[string]uint32{
		"head": 0, "subtype": offSystemSubtype, "other_pid": offSystemOtherPID, "old_uid": offSystemOldUID, "old_euid": offSystemOldEUID,
		"name_size": offSystemNameSize, "padding": systemSize - 6,
	})
}

func FuzzDecodeSystem(f *testing.F) {
	for _, k := range []monitor.Kind{monitor.ModuleLoad, monitor.BPFLoad, monitor.Trace, monitor.Credentials} {
		f.Add(systemWire(k, strings.Repeat("x", 55)).bytes())
	}
	d := decoder{clock: fixedClock()}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := d.decode(b); err == nil && len(e.Name) > len(b)-recordSize {
			t.Errorf("a name of %d bytes from a record of %d", len(e.Name), len(b))
		}
	})
}

func TestDecodeSystemWithoutAllocation(t *testing.T) {
	d := decoder{clock: fixedClock()}
	for _, k := range []monitor.Kind{monitor.ModuleLoad, monitor.BPFLoad, monitor.Trace, monitor.Credentials} {
		record := systemWire(k, "name").bytes()
		if n := testing.AllocsPerRun(1000, func() { d.decode(record) }); n > 0 {
			t.Errorf("%v: %v allocations a record", k, n)
		}
	}
}

func BenchmarkDecodeSystem(b *testing.B) {
	record := systemWire(monitor.BPFLoad, "amp_exec").bytes()
	d := decoder{clock: newWallClock(readClocks)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(record); err != nil {
			b.Fatal(err)
		}
	}
}
