package bpf

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/internal/monitor"
)

// The offsets are those of the C structure.
func TestOperationLayout(t *testing.T) {
	spec, err := loadFileKprobe()
	if err != nil {
		t.Fatal(err)
	}
	value, ok := btf.UnderlyingType(spec.Maps["operations"].Value).(*btf.Struct)
	if !ok || value.Size != operationSize {
		t.Fatalf("%v, expected a structure of %d bytes", spec.Maps["operations"].Value, operationSize)
	}
	want := map[string]btf.Bits{"time": offOperationTime * 8, "kind": offOperationKind * 8, "late": offOperationLate * 8}
	for _, m := range value.Members {
		if off, ok := want[m.Name]; ok && off != m.Offset {
			t.Errorf("%s is at bit %d, expected %d", m.Name, m.Offset, off)
		}
		delete(want, m.Name)
	}
	if len(want) > 0 {
		t.Errorf("there is no %v", want)
	}
}

// What a thread left that has ended is taken away and counted; a folder that could not be removed is no event, and what goes on stays.
func TestOperationsThatLostTheirEnd(t *testing.T) {
	needsBPF(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: operationSize, MaxEntries: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	boot := 3 * operationLasts.Nanoseconds()
	put := func(thread uint32, began int64, kind monitor.Kind, late uint32) {
		t.Helper()
		op := make([]byte, operationSize)
		binary.NativeEndian.PutUint64(op[offOperationTime:], uint64(began))
		binary.NativeEndian.PutUint32(op[offOperationKind:], uint32(kind))
		binary.NativeEndian.PutUint32(op[offOperationLate:], late)
		if err := m.Put(thread, op); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (threads []uint32) {
		var thread uint32
		op := make([]byte, operationSize)
		for all := m.Iterate(); all.Next(&thread, &op); {
			threads = append(threads, thread)
		}
		return threads
	}
	put(1, boot-operationLasts.Nanoseconds(), monitor.FileRename, 0)
	put(2, boot-operationLasts.Nanoseconds(), monitor.FileDelete, 1)
	put(3, boot-operationLasts.Nanoseconds()+1, monitor.FileCopy, 0)
	var o operations
	now := time.Now()
	for range 2 { // the second time nothing is looked at
		if err := o.sweep(m, now, boot); err != nil {
			t.Fatal(err)
		}
		var c monitor.Counts
		o.addTo(&c)
		if got := left(); !slices.Contains(got, 3) || slices.Contains(got, 1) || slices.Contains(got, 2) || c.Total().Missed != 1 || c.Kinds[monitor.FileRename].Missed != 1 {
			t.Errorf("threads %v are left, %d missed (%d renames); expected thread 3, and one rename", got, c.Total().Missed, c.Kinds[monitor.FileRename].Missed)
		}
		put(4, 0, monitor.FileCreate, 0)
	}
	if err := o.sweep(m, now.Add(sweepPeriod), boot); err != nil || len(left()) != 1 {
		t.Errorf("threads %v are left a period later, error %v; expected thread 3", left(), err)
	}
	if err := o.sweep(nil, now.Add(2*sweepPeriod), boot); err != nil {
		t.Errorf("without the map: %v", err)
	}
}
