package kmod

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/ampconnector/amp/internal/monitor"
)

// recordOf is one of so many bytes that happened at a time.
func recordOf(size int, at uint64) []byte {
	b := make([]byte, size)
	binary.NativeEndian.PutUint32(b, uint32(size))
	binary.NativeEndian.PutUint64(b[offRecordTime:], at)
	for i := recordSmallest; i < size; i++ {
		b[i] = byte(i)
	}
	return b
}

// memoryRing is a ring as a module would fill it.
func memoryRing(size int) *ring {
	page := os.Getpagesize()
	r := &ring{module: "test", memory: make([]byte, page+size), across: make([]byte, recordLargest)}
	r.data = r.memory[page:]
	return r
}

// put is amp_send() of src/ring.h.
func (r *ring) put(b []byte) {
	produced := r.produced()
	for i, c := range b {
		r.data[(produced+uint64(i))%uint64(len(r.data))] = c
	}
	binary.NativeEndian.PutUint64(r.memory[offRingProduced:], produced+uint64(len(b)+7)&^7)
}

func TestRing(t *testing.T) {
	r := memoryRing(4096)
	for round := range 200 { // several times around, with records that go over the end
		want := recordOf(recordSmallest+round*3, uint64(round))
		r.put(want)
		got, err := r.next()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d: got %d bytes, error %v, expected %d", round, len(got), err, len(want))
		}
		r.read += uint64(len(got)+7) &^ 7
		if got, err := r.next(); got != nil || err != nil {
			t.Fatalf("round %d: got %d bytes more, error %v", round, len(got), err)
		}
	}
}

func TestDamagedRing(t *testing.T) {
	for _, size := range []uint32{0, recordSmallest - 1, recordSmallest + 8, recordLargest + 1, 1 << 31} {
		r := memoryRing(4096)
		r.put(recordOf(recordSmallest, 1))
		binary.NativeEndian.PutUint32(r.data, size)
		if got, err := r.next(); err == nil {
			t.Errorf("record that says %d bytes: got %d bytes, expected an error", size, len(got))
		}
	}
}

// Records of both modules come in the order of time.
func TestEarliest(t *testing.T) {
	s := &source{rings: []*ring{memoryRing(4096), memoryRing(4096)}}
	for i, times := range [][]uint64{{1, 4, 5}, {2, 3, 6}} {
		for _, at := range times {
			s.rings[i].put(recordOf(recordSmallest, at))
		}
	}
	for want := uint64(1); want <= 6; want++ {
		r, b, err := s.earliest()
		if err != nil || b == nil {
			t.Fatalf("record %d: %v, error %v", want, b, err)
		}
		if got := binary.NativeEndian.Uint64(b[offRecordTime:]); got != want {
			t.Errorf("got the record of time %d, expected %d", got, want)
		}
		r.read += recordSmallest
	}
}

// What the reader and the module call by number.
func TestLayoutOfCalls(t *testing.T) {
	if got := unsafe.Sizeof(settings{}); got != 24 {
		t.Errorf("settings have %d bytes, expected 24", got)
	}
	for name, n := range map[string][2]uintptr{"set": {ioctlSet, 0x4018a301}, "consumed": {ioctlConsumed, 0x4008a302}, "wait": {ioctlWait, 0xa303}} {
		if n[0] != n[1] {
			t.Errorf("call %s is %#x, expected %#x", name, n[0], n[1])
		}
	}
}

// docs/events.md has what the modules cannot see, and each spot is said in both languages.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	var table strings.Builder
	table.WriteString("| not seen | of events |\n|---|---|\n")
	for _, spot := range blindSpots {
		if spot.Kinds == 0 || spot.What.EN == "" || spot.What.JA == "" {
			t.Errorf("blind spot %+v lacks something", spot)
		}
		var kinds []string
		for k := range spot.Kinds.All {
			kinds = append(kinds, k.String())
		}
		fmt.Fprintf(&table, "| %s | %s |\n", spot.What.EN, strings.Join(kinds, ", "))
	}
	if !strings.Contains(string(b), table.String()) {
		t.Errorf("docs/events.md has not this table:\n%s", table.String())
	}
}

// Kinds that no module tells are blind spots.
func TestAllKindsAreToldOrBlindSpots(t *testing.T) {
	var told monitor.Kinds
	for _, m := range modules {
		told |= m.kinds
	}
	for _, spot := range blindSpots[:1] {
		told |= spot.Kinds
	}
	if want := monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds; told != want {
		t.Errorf("kinds %b, expected %b", told, want)
	}
}
